import html
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import pytest
from page.samples import HOSTILE, SLUG, experiment, hostile_verdict, publish, verdict
from starlette.testclient import TestClient

from tractable._core.errors import TractableError
from tractable.claims.catalogue import entries
from tractable.page._library import Library
from tractable.page._views import experiments_of
from tractable.page.server import is_loopback, make_app, serve

HEADER = {"host": "127.0.0.1:8642"}


def client(**options):
    return TestClient(make_app(), base_url="http://127.0.0.1:8642", **options)


def text(path, **options):
    answered = client().get(path, **options)
    assert answered.status_code == 200, answered.text
    return answered.text


def cells(page):
    return re.findall(r'<article class="cell is-([a-z-]+)"', page)


def test_the_grid_has_all_64_papers_with_title_and_link_from_the_start(store):
    page = text("/")
    assert len(cells(page)) == 64
    for entry in entries():
        assert html.escape(entry.title, quote=False) in html.unescape(page).replace("&", "&amp;")
        if not entry.here:
            assert html.escape(entry.link) in page
    assert page.count("not here yet</span>") == sum(not entry.here for entry in entries())


def test_a_cell_shows_both_runs_with_word_sign_and_curve(filled):
    page = text("/?family=online&verdict=agrees")
    assert cells(page) == ["agrees"]
    assert page.count('<svg class="spark"') == 2
    assert page.count('class="crossing"') == 3  # two curves and the legend
    for said in ("agrees", "✓", "undecided", "?", "crossover 2,100 (1,900 to 2,300)", "2031-05-04"):
        assert said in page
    assert "1 of the last 2 runs agreed" in page


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("verdict=agrees", 1),
        ("verdict=disagrees", 1),
        ("verdict=disagrees&family=online", 0),
        ("tier=scaled+down&verdict=disagrees", 1),
        ("family=quantum", 3),
        ("verdict=nonsense", 0),
        ("q=bandit+that+needs+exposure&family=online&verdict=agrees", 1),
    ],
)
def test_filters_combine(filled, query, count):
    assert len(cells(text(f"/?{query}"))) == count


def test_a_problem_in_words_finds_the_paper_first(filled):
    page = text("/", params={"q": "count mismatches of a pattern in a genome"})
    assert re.findall(r'href="/paper/([^"]+)"', page)[0] == "hamming"
    assert "Best matches first" in page


@pytest.mark.parametrize("query", ['"', "NEAR(", "' ; drop", HOSTILE, "x" * 100_000, "\x00"])
def test_search_takes_any_characters(store, query):
    page = client().get("/", params={"q": query[:50_000]})
    assert page.status_code == 200
    assert "<script" not in page.text


def test_a_paper_has_everything_that_is_known(filled):
    page = text(f"/paper/{SLUG}")
    for said in (
        "it pays",
        "same quantity",
        "2,100 (1,900 to 2,300)",
        "knock-out",
        "placebo",
        "A very old CPU",
        "from tractable.online.tallying_bandit import",
        f"tractable verify {SLUG}",
        f"tractable race {SLUG} --with",
        "@article{malik2023",
        "@misc{tractable-tallyingbandit-2031-05-04",
        "criteria a1b2c3d4",
        "first",
        "was undecided",
        'def</span> <span class="f">reference',
        "BurnInSuccessiveElimination",
        "quick one: key reads 216 (194.4 to 259.2) at tokens 256",
    ):
        assert said in page, said
    assert page.count('class="figure"') == 4  # here and published, wide and narrow
    for heading in ("Experiments", "Scope", "Code", "Run it", "History", "Cite"):
        assert f">{heading}" in page


def test_a_paper_without_a_run_says_how_to_run_it(store):
    page = text("/paper/hamming")
    assert "Nothing is measured on this machine yet" in page
    assert "Not measured yet. It will be judged by:" in page
    assert "No published run" in page


def test_a_paper_that_is_not_here_has_a_page(store):
    assert "Not here yet" in text("/paper/mkor")


def test_a_control_that_agrees_is_called_out(store):
    found = experiment(knockout="agrees")
    store.add_verdict(verdict(detail={"experiments": [found]}))
    assert "agrees: trust this verdict not" in text(f"/paper/{SLUG}")


def test_a_users_own_contender_is_named(store):
    found = experiment(contender=[{"text": "mine is faster", "word": "agrees", "guard": False}])
    store.add_verdict(verdict(detail={"experiments": [found]}))
    assert "<small>contender</small> <bdi>mine is faster" in text(f"/paper/{SLUG}")


def test_what_could_not_run_counts_as_not_run_here(store):
    store.add_verdict(verdict(word="not run"))
    here = [entry.family for entry in entries() if entry.here]
    assert len(cells(text("/?verdict=not+run+here"))) == len(here)
    online = cells(text("/?verdict=not+run+here&family=online"))
    assert len(online) == here.count("online")


def test_high_stakes_subjects_carry_their_disclaimer(store):
    library = Library()
    claim = library.by_slug[SLUG].claim
    claim.stakes = "clinical use"
    try:
        app = TestClient(make_app(library), base_url="http://127.0.0.1")
        for path in ("/", f"/paper/{SLUG}"):
            assert "Research code, not for clinical use" in app.get(path).text
    finally:
        claim.stakes = None


def test_an_unknown_paper_names_the_nearest(store):
    answered = client().get("/paper/haming")
    assert answered.status_code == 404
    assert "hamming" in answered.text
    assert (
        client(follow_redirects=False)
        .get("/paper/tallying_bandit")
        .headers["location"]
        .endswith(SLUG)
    )
    assert client().get("/nothing/here").status_code == 404
    assert client().get("/paper/..%2f..%2fetc").status_code == 404


def test_only_get_is_answered(store):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert client().request(method, "/").status_code == 405
    assert client().head("/").status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:80@evil", "", "localhost:x", "[::2]:80"],
)
def test_other_hosts_are_refused(store, host):
    answered = client().get("/", headers={"host": host})
    assert answered.status_code == 421
    assert "papers" not in answered.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:99", "LOCALHOST", "[::1]", "[::1]:8642"])
def test_loopback_names_are_answered(host):
    assert is_loopback(host)


@pytest.mark.parametrize("path", ["/", f"/paper/{SLUG}", "/page.css", "/feed.xml", "/nothing"])
def test_every_answer_has_the_safe_headers(store, path):
    answered = client().get(path)
    policy = answered.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    assert "script" not in policy
    assert answered.headers["x-content-type-options"] == "nosniff"


def test_pages_need_no_script_and_no_inline_style(filled):
    for path in ("/", f"/paper/{SLUG}"):
        page = text(path)
        assert "<script" not in page
        assert " style=" not in page
        assert "<style" not in page


def test_what_only_another_devices_published_run_has_is_shown():
    on_cpu = verdict(detail={"experiments": [experiment("horizon"), experiment("gaps", "not run")]})
    on_gpu = verdict(
        device="cuda",
        detail={"experiments": [experiment("horizon", "not run"), experiment("gaps")]},
    )
    shown = dict(experiments_of(["horizon", "gaps"], None, [on_cpu, on_gpu]))
    assert [each.where for each in shown["horizon"]] == ["published"]
    assert [each.where for each in shown["gaps"]] == ["published", "published, cuda"]


@pytest.mark.parametrize("path", ["/", f"/paper/{SLUG}", "/feed.xml"])
def test_hostile_rows_are_shown_harmlessly(store, published_folder, path):
    publish(published_folder, hostile_verdict())
    page = text(path)
    for bad in ("<script", "<b ", "<i>", "\u202e", "\u2066", "nan", "<x>"):
        assert bad not in page, bad
    if path != "/":
        assert "&lt;script&gt;" in page
    if path == "/feed.xml":
        ElementTree.fromstring(page)


def test_a_damaged_store_is_a_message_and_not_a_trace(monkeypatch, tmp_path, published_folder):
    broken = tmp_path / "store.db"
    monkeypatch.setenv("TRACTABLE_STORE", str(broken))
    app = TestClient(make_app(), base_url="http://127.0.0.1", raise_server_exceptions=False)
    broken.write_text("this is not a database, but it is long enough to be taken for one" * 20)
    answered = app.get("/")
    assert answered.status_code == 500
    assert "cannot be shown" in answered.text
    assert "Traceback" not in answered.text


def test_a_published_line_that_is_no_verdict_is_named(store, published_folder):
    (published_folder / "hamming.jsonl").write_text('{"kind":"verdict","slug":3}\n')
    with pytest.raises(TractableError, match=r"hamming\.jsonl"):
        Library()


def test_a_port_that_is_taken_is_a_readable_error(store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TractableError, match="--port"):
            serve(taken.getsockname()[1])


def test_the_feed_has_new_and_changed_verdicts_only(filled):
    filled.add_verdict(verdict(at="2031-05-05T03:02:01+00:00"))
    root = ElementTree.fromstring(text("/feed.xml"))
    atom = "{http://www.w3.org/2005/Atom}"
    titles = [item.findtext(f"{atom}title") for item in root.iter(f"{atom}entry")]
    assert f"{SLUG} agrees (same quantity); was undecided" in titles
    assert len(titles) == 4  # two of this paper here, one published, one of the other paper
    assert len({item.findtext(f"{atom}id") for item in root.iter(f"{atom}entry")}) == 4


def test_the_command_serves_until_ctrl_c(store):
    command = [str(Path(sys.executable).parent / "tractable"), "page", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", running.stdout.readline())[0]
            with urllib.request.urlopen(address, timeout=20) as answered:
                assert answered.status == 200
            running.send_signal(signal.SIGINT)
            assert running.wait(20) == 0
        finally:
            running.kill()
