import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tractable.claims.catalogue import entries

PAPERS = [entry for entry in entries() if entry.here]
TRACTABLE = str(Path(sys.executable).parent / "tractable")

PROBLEMS = {
    "my prompt is too long for attention": "hip",
    "the model runs out of memory on long documents": "hip",
    "speed up decoding when the kv cache is huge": "hip",
    "sparse attention for a pretrained llama without retraining": "hip",
    "count mismatches of a pattern at every position of a genome": "hamming",
    "search a dna motif and allow a few errors": "hamming",
    "how different is this byte string from every place in a big file": "hamming",
    "users need to see an item several times before they like it": "tallying-bandit",
    "which exercise to give when it only helps after practice": "tallying-bandit",
    "bandit where the reward depends on what i played recently": "tallying-bandit",
}


def test_plain_words_find_the_right_paper_in_nine_of_ten(run):
    first = {}
    for problem in PROBLEMS:
        found = json.loads(run("find", problem, "--json").output)
        first[problem] = found[0]["slug"] if found else None
    wrong = {problem: got for problem, got in first.items() if got != PROBLEMS[problem]}
    assert len(wrong) <= 1, wrong


def test_find_without_a_match_says_what_to_do(run):
    ran = run("find", "zzz", "qqq")
    assert ran.exit_code == 0
    assert "tractable list" in ran.output


@pytest.mark.parametrize("query", ['"', "NEAR(", "a* OR", "-", "' ; drop", "title:hip"])
def test_find_takes_any_characters(run, query):
    assert run("find", query).exit_code == 0


def test_list_has_all_64_and_says_what_is_not_here(run):
    found = json.loads(run("list", "--json").output)
    assert len({paper["slug"] for paper in found}) == 64
    absent = [paper for paper in found if paper["slug"] == "mkor"]
    assert absent[0]["verdict"] is None
    assert absent[0]["experiments"] == []
    text = run("list").output
    assert "Not here yet" in text
    assert "here: · not run yet" in text


def test_list_of_a_family(run):
    found = json.loads(run("list", "--family", "online", "--json").output)
    assert {paper["family"] for paper in found} == {"online"}
    ran = run("list", "--family", "onlin")
    assert ran.exit_code == 2
    assert "there are" in ran.output


@pytest.mark.parametrize("entry", PAPERS, ids=lambda entry: entry.slug)
def test_show_has_claim_scope_symbols_and_import_line(run, entry):
    text = run("show", entry.slug).output
    for part in (entry.title, "claims:", "checked:", f"from {entry.module} import", "Symbols:"):
        assert part in text
    (described,) = json.loads(run("show", entry.slug, "--json").output)
    assert {"slug", "family", "title", "tier", "verdict", "experiments"} <= set(described)
    assert {"name", "criteria", "placebo", "knockout"} <= set(described["experiments"][0])


def test_an_unknown_slug_names_the_nearest(run):
    ran = run("show", "hpi")
    assert ran.exit_code == 2
    assert "did you mean 'hip'" in ran.output


def test_a_paper_that_is_not_here_cannot_be_verified(run):
    ran = run("verify", "mkor")
    assert ran.exit_code == 1
    assert "not here yet" in ran.output


@pytest.mark.parametrize(
    "words",
    [
        ("verify",),
        ("verify", "--all", "hip"),
        ("verify", "hip", "--budget", "soon"),
        ("verify", "hip", "--workers", "0"),
        ("nonsense",),
        ("new", "--root", "."),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(run, words):
    assert run(*words).exit_code == 2


def test_cuda_without_a_device_is_refused(run):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    ran = run("verify", "hamming", "--device", "cuda")
    assert ran.exit_code == 1
    assert "no CUDA device" in ran.output


def test_verify_show_plot_export_and_merge(run, tmp_path, monkeypatch):
    ran = run("verify", "hamming", "--budget", "8s", "--json")
    assert ran.exit_code == 0, ran.output
    (paper,) = json.loads(ran.output)
    assert paper["verdict"] in ("agrees", "disagrees", "undecided")
    assert paper["experiments"][0]["criteria"][0] in ("agrees", "disagrees", "undecided")
    assert "at this scale" in run("show", "hamming").output
    assert run("plot", "hamming", "-o", "curve.svg").exit_code == 0
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")
    assert run("plot", "hamming", "-o", "x.svg", "--experiment", "none").exit_code == 2
    assert run("export", "rows.jsonl").exit_code == 0
    monkeypatch.setenv("TRACTABLE_STORE", str(tmp_path / "other.db"))
    merged = run("merge", "rows.jsonl")
    assert merged.exit_code == 0, merged.output
    assert "1 verdicts" in merged.output
    assert "0 new measurements" in run("merge", "rows.jsonl").output


def test_a_malformed_merge_file_is_one_readable_line(run, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"kind": "machine"')
    ran = run("merge", "bad.jsonl")
    assert ran.exit_code == 1
    assert "line 1" in ran.output


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(tmp_path):
    parent, child = pty.openpty()
    ran = subprocess.Popen(
        [TRACTABLE, "verify", "hamming", "--full"],
        stdout=child,
        stderr=child,
        stdin=child,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
        # where the tests run in the background, interrupts are ignored, and that is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    os.close(child)
    store = tmp_path / "store.db"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and rows_in(store) == 0:
        time.sleep(0.2)
    os.kill(ran.pid, signal.SIGINT)
    output = b""
    try:
        while chunk := os.read(parent, 4096):
            output += chunk
    except OSError:
        pass  # a terminal whose other end is gone
    os.close(parent)
    assert ran.wait() == 130
    assert b"goes on from there" in output
    assert re.search(rb"hamming .* round \d", output), "the bar says what runs"
    assert rows_in(store) > 0


def rows_in(path):
    from tractable.store import Store

    with Store.open(path, read_only=True) as store:
        return len(store.measurements("hamming"))


def test_without_the_extra_the_install_line_is_printed():
    code = "import sys; sys.modules['click'] = None; from tractable.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "pip install 'tractable[verify]'" in ran.stderr


def test_a_bare_machine_measures_without_the_extra(tmp_path):
    blocked = "import sys; sys.modules.update(dict.fromkeys(['click', 'rich', 'psutil']))\n"
    code = blocked + (
        "sys.argv = ['run', 'hamming', '--form', 'smoke', '--out', 'rows.jsonl']\n"
        "from tractable.run.__main__ import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert {"verdict", "machine", "run", "measurement"} == set(kinds)
