"""Export, merge and the published files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tractable._core import DataError, TractableError
from tractable.store import (
    Merged,
    Store,
    _exchange,
    _published,
    published_folder,
    published_machines,
    published_measurements,
    published_verdicts,
    write_published,
)

sys.path.insert(0, str(Path(__file__).parent))
from _store_rows import HERE, THERE, block, fill, many_lines, run_on, verdict


def export(path, to):
    with Store.open(path, read_only=True) as store:
        lines = list(store.export_lines())
    to.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines


def test_export_merge_export_is_the_same(tmp_path):
    fill(tmp_path / "a.db")
    fill(tmp_path / "a.db", THERE)
    lines = export(tmp_path / "a.db", tmp_path / "rows.jsonl")
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["verdict"] * 2 + ["machine"] * 2 + ["run"] * 2 + ["measurement"] * 32
    with Store.open(tmp_path / "b.db") as store:
        done = store.merge(tmp_path / "rows.jsonl", local_machine=HERE.id)
        assert done == Merged(added=32, known=0, foreign=16, slugs=("hip",))
        assert store.verdicts() == []  # somebody's word is not taken
        assert list(store.export_lines()) == lines[2:]
        again = store.merge(tmp_path / "rows.jsonl", local_machine=HERE.id)
        assert (again.added, again.known) == (0, 32)
        for machine in (THERE, HERE):
            store.add_verdict(verdict(machine))
        assert list(store.export_lines()) == lines


def lines_of_an_export():
    run = run_on(THERE)
    rows = [verdict(THERE), THERE, run, *block(run), *block(run, "σ-net", 1)]
    return [{"kind": type(row).__name__.lower(), **row._asdict()} for row in rows]


def refused(tmp_path, text, match):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with Store.open(tmp_path / "s.db") as store:
        with pytest.raises(DataError, match=match) as caught:
            store.merge(path, local_machine=HERE.id)
        assert store.machines() == store.runs() == store.measurements("hip") == []
    assert "rows.jsonl, line" in str(caught.value)
    assert str(caught.value).isprintable()


MALFORMED = [
    (0, "word", "adores", "line 1: .*wanted one of"),
    (0, "detail", "text", "line 1: .*object"),
    (0, "detail", {"a": {"b": [1e301]}}, "finite"),
    (0, "detail", {"a": "\u202e"}, "bidirectional"),
    (0, "detail", {"a\u2066": 1}, "bidirectional"),
    (0, "at", "yesterday", "ISO time"),
    (1, "description", [], "object"),
    (1, "description", {"cpu": 2**63}, "finite"),
    (1, "id", "x" * 65, "1 to 64"),
    (2, "started", "2031-05-04T03:02:01+02:00", "ISO time"),
    (2, "machine", "unknown", "line 3: its machine is unknown"),
    (2, "seed", True, "whole number"),
    (2, "form", "long", "wanted one of"),
    (4, "value", "8", "line 5: .*value"),
    (4, "value", 1e301, "finite"),
    (4, "value", -(2**64), "finite"),
    (4, "value", False, "finite"),
    (4, "samples", [1, None], "finite"),
    (4, "samples", {"0": 1}, "list"),
    (4, "size", None, "size"),
    (4, "size", "", "size"),
    (4, "round", 1.0, "whole number"),
    (4, "round", -1, "whole number"),
    (4, "threads", 2**63, "whole number"),
    (4, "status", "fine", "wanted one of"),
    (4, "slug", "../hip", "slug"),
    (4, "arm", "a\x00b", "control"),
    (4, "arm", "a\x85b", "control"),
    (4, "detail", "a\nb", "control"),
    (4, "detail", "\u2028", "control"),
    (4, "detail", "\u200f", "control or bidirectional"),
    (4, "detail", "x" * 1001, "1000"),
    (4, "metric", ["seconds"], "text"),
    (4, "run", "unknown", "line 5: its run is unknown"),
    (4, "machine", HERE.id, "of another machine"),
    (4, "kind", "measurements", "kind"),
    (4, "kind", ["run"], "kind"),
    (4, "extra", 1, "unknown fields: extra"),
]


@pytest.mark.parametrize("change", MALFORMED)
@pytest.mark.parametrize("escaped", [True, False])
def test_malformed_fields_are_refused_whole(tmp_path, escaped, change):
    rows = lines_of_an_export()
    line, field, value, wanted = change
    rows[line][field] = value
    text = "\n".join(json.dumps(row, ensure_ascii=escaped) for row in rows)
    refused(tmp_path, text, wanted)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"value": 8.0', '"value": NaN', "NaN"),
        ('"value": 8.0', '"value": -Infinity', "Infinity"),
        ('"value": 8.0', '"value": 1e999', "finite"),
        ('"value": 8.0', '"value": ' + "9" * 5000, "no JSON line|finite"),
        ('"value": 8.0', '"value": ' + "[" * 100_000, "no JSON line"),
        ('"value": 8.0', '"value": 8.0, "value": 9.0', "same name twice"),
        ('"cores": 64', '"cores": 64, "cores": 65', "same name twice"),
        (', "load": 0.25', "", "missing or unknown fields"),
        ('"arm": "method"', '"arm": "\\ud800"', "control"),
        ('"arm": "method"', '"arm": "me\tthod"', "no JSON line"),
        ("\n", "\n\n", "no JSON line"),
        ('{"kind": "run"', '[{"kind": "run"', "no JSON line"),
        ('{"kind": "machine"', '\ufeff{"kind": "machine"', "no JSON line"),
        ('"arm": "method"', '"arm": "me\ud800thod"', "no JSON line"),
    ],
)
def test_malformed_text_is_refused_whole(tmp_path, old, new, match):
    text = "\n".join(json.dumps(row) for row in lines_of_an_export())
    assert old in text
    refused(tmp_path, text.replace(old, new), match)


def test_other_shapes_of_file_are_refused(tmp_path):
    text = "\n".join(json.dumps(row) for row in lines_of_an_export())
    refused(tmp_path, text[:-20], "line 11: no JSON line")
    refused(tmp_path, text.encode() + b"\n\xff\xfe", "line 12: no JSON line")
    refused(tmp_path, text + "\n1", "kind")
    refused(tmp_path, text + "\nnull", "kind")
    refused(tmp_path, text + "\n" + " " * (2**20 + 1), "bytes")
    with Store.open(tmp_path / "s.db") as store, pytest.raises(TractableError, match="cannot read"):
        store.merge(tmp_path / "none.jsonl", local_machine=HERE.id)


def test_ids_with_other_content_are_refused(tmp_path, monkeypatch):
    rows = lines_of_an_export()
    changes = [
        (1, "description", {"cpu": "Other"}),
        (2, "seed", 8),
        (4, "value", 9),
        (5, "load", 1),
    ]
    for line, field, value in changes:
        text = [json.dumps(row) for row in [*rows, {**rows[line], field: value}]]
        refused(tmp_path, "\n".join(text), "line 12: .*same id and other content")
    monkeypatch.setattr(_exchange, "_BATCH", 3)
    refused(tmp_path, "\n".join(text), "line 12: .*same id and other content")
    fill(tmp_path / "here.db", THERE, (1024,))
    rows[4]["value"] = 9.5
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with Store.open(tmp_path / "here.db") as store:
        with pytest.raises(DataError, match="line 5"):
            store.merge(tmp_path / "rows.jsonl", local_machine=HERE.id)
        assert len(store.measurements("hip")) == 4


def test_the_same_row_twice_is_known(tmp_path):
    rows = lines_of_an_export()
    text = "\r\n".join(json.dumps(row) for row in [*rows, *rows])
    (tmp_path / "rows.jsonl").write_text(text)
    with Store.open(tmp_path / "s.db") as store:
        done = store.merge(tmp_path / "rows.jsonl", local_machine=THERE.id)
    assert done == Merged(added=8, known=8, foreign=0, slugs=("hip",))


@settings(max_examples=25, deadline=None)
@given(
    st.text(max_size=1200), st.floats(-1e300, 1e300) | st.none(), st.integers(-(2**63), 2**63 - 1)
)
def test_whatever_is_stored_can_be_merged(tmp_path_factory, detail, value, seed):
    folder = tmp_path_factory.mktemp("any")
    run = run_on(THERE)._replace(command_note=detail)
    with Store.open(folder / "a.db") as store:
        store.begin(THERE, run)
        store.add_block(block(run, detail=detail, value=value, seed=seed))
    lines = export(folder / "a.db", folder / "rows.jsonl")
    with Store.open(folder / "b.db") as store:
        assert store.merge(folder / "rows.jsonl", local_machine=HERE.id).added == 4
        assert list(store.export_lines()) == lines


MERGE = """
import resource, sys
from tractable.store import Store
with Store.open(sys.argv[1]) as store:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = store.merge(sys.argv[2], local_machine="here")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = store.measurements("last-slug")
print(done.added, done.foreign, len(last), (after - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in Linux's unit")
def test_a_hundred_megabytes_are_merged_in_bounded_memory(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in many_lines(275_000))
        file.write(line_of_last_slug())
    assert path.stat().st_size > 100e6
    command = [sys.executable, "-c", MERGE, str(tmp_path / "s.db"), str(path)]
    said = subprocess.check_output(command, text=True)
    added, foreign, last, megabytes = map(int, said.split())
    assert (added, foreign, last) == (275_001, 275_001, 1)
    assert megabytes < 150


def line_of_last_slug():
    return json.dumps(
        {"kind": "measurement", **block(run_on(THERE), slug="last-slug")[0]._asdict()}
    )


def test_published_files(tmp_path):
    folder = tmp_path / "published"
    fill(tmp_path / "a.db")
    fill(tmp_path / "b.db", THERE, (64, 512, 1024))
    with Store.open(tmp_path / "a.db") as store:
        with pytest.raises(TractableError, match="tractable verify mkor"):
            write_published(store, "mkor", folder)
        store.add_block(block(run_on(HERE), 4096, key="stale"))
        assert write_published(store, "hip", folder) == folder / "hip.jsonl"
    with Store.open(tmp_path / "b.db") as store:
        write_published(store, "hip", folder)
        first = (folder / "hip.jsonl").read_bytes()
        write_published(store, "hip", folder)
    assert (folder / "hip.jsonl").read_bytes() == first
    found = published_verdicts(folder)
    assert [row["machine"] for row in found["hip"]] == [HERE.id, THERE.id]
    assert found["hip"][0] == {"kind": "verdict", **verdict(HERE)._asdict()}
    assert published_machines("hip", folder) == [HERE, THERE]
    rows = published_measurements("hip", folder)
    assert [row.machine for row in rows] == [HERE.id] * 16 + [THERE.id] * 12
    assert "stale" not in {row.key for row in rows}
    with Store.open(tmp_path / "c.db") as store:  # it is an export like any other
        store.merge(folder / "hip.jsonl", local_machine=HERE.id)
        assert "".join(f"{line}\n" for line in store.export_lines()).encode() in first
    run = run_on(HERE, "later")
    with Store.open(tmp_path / "d.db") as store:  # a later run of a machine replaces its rows
        store.begin(HERE, run)
        store.add_block(block(run, 512))
        store.add_verdict(verdict(HERE, word="undecided"))
        write_published(store, "hip", folder)
    rows = published_measurements("hip", folder)
    assert [row.machine for row in rows] == [HERE.id] * 4 + [THERE.id] * 12
    assert [row["word"] for row in published_verdicts(folder)["hip"]] == ["undecided", "agrees"]
    assert "run1-aaaa" not in (folder / "hip.jsonl").read_text()


def test_published_verdicts_are_read_alone(tmp_path):
    line = json.dumps({"kind": "verdict", "word": "agrees"}, separators=(",", ":"))
    (tmp_path / "hip.jsonl").write_text(f"{line}\nthis is never read\n")
    assert published_verdicts(tmp_path) == {"hip": [json.loads(line)]}
    (tmp_path / "hip.jsonl").write_text(line[:-5])
    with pytest.raises(DataError, match="malformed verdict"):
        published_verdicts(tmp_path)
    with pytest.raises(DataError, match="line 1"):
        published_measurements("hip", tmp_path)
    assert published_measurements("mkor", tmp_path) == []


def test_where_the_published_folder_is(tmp_path, monkeypatch):
    found = published_folder()
    assert found is not None
    assert found.name == "published"
    package = tmp_path / "lib" / "tractable"
    (package / "store").mkdir(parents=True)
    (tmp_path / "published").mkdir()
    monkeypatch.setattr(_published, "__file__", str(package / "store" / "_published.py"))
    assert published_folder() is None  # somebody else's folder of that name
    assert published_verdicts() == {}
    assert published_measurements("hip") == []
    (package / "published").mkdir()
    assert published_folder() == package / "published"


def test_brief_verdicts_are_the_whole_ones_without_their_detail(tmp_path):
    fill(tmp_path / "a.db")
    with Store.open(tmp_path / "a.db") as store:
        store.add_verdict(verdict(HERE, sentence='it says ,"detail":{ and goes on'))
        write_published(store, "hip", tmp_path)
    whole, brief = published_verdicts(tmp_path), published_verdicts(tmp_path, brief=True)
    assert brief["hip"] == [{**row, "detail": {}} for row in whole["hip"]]
    assert whole["hip"][0]["detail"]
