import os
import subprocess
import sys
from pathlib import Path

import pytest

from tractable._core import DataError, RangeError, TractableError
from tractable.store import Machine, Store, default_location

sys.path.insert(0, str(Path(__file__).parent))
from _store_rows import HERE, THERE, block, fill, run_on, verdict


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store.sqlite3") as store:
        yield store


def test_import_is_light():
    code = "import sys, tractable.store; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"numpy", "scipy", "torch", "platformdirs", "platform", "hashlib"}


def test_rows_come_back_as_they_went(store):
    run = run_on(HERE)
    rows = [row for size in (512, 2048.5, "σ-net") for row in block(run, size)]
    rows[0] = rows[0]._replace(value=None, samples=(), status="hung", load=None, detail="60 s")
    store.begin(HERE, run)
    store.add_block(rows)
    assert sorted(store.measurements("hip"), key=repr) == sorted(rows, key=repr)
    assert {type(row.size) for row in store.measurements("hip")} == {int, float, str}
    assert store.machines() == [HERE]
    assert store.runs() == [run]
    assert store.measurements("mkor") == []


def test_filters_and_age_of_measurements(store):
    old, new = run_on(HERE, "zz"), run_on(HERE, "aa")._replace(started="2031-06-01T00:00:00Z")
    for run in (new, old):
        store.begin(HERE, run)
        store.add_block(block(run))
    found = [row.run for row in store.measurements("hip")]
    assert found == [old.id] * 4 + [new.id] * 4
    for name in ("machine", "key", "device"):
        assert store.measurements("hip", **{name: "other"}) == []
        assert len(store.measurements("hip", **{name: getattr(block(old)[0], name)})) == 8


def test_identity_is_content_without_results():
    row = block(run_on(HERE))[0]
    assert row.id == row._replace(value=9.0, samples=(), status="crashed", seed=5, load=None).id
    names = ("run", "machine", "slug", "experiment", "arm", "metric", "size", "device", "key")
    assert len({row.id} | {row._replace(**{name: "x"}).id for name in names}) == 10
    assert row.id != row._replace(round=1).id
    assert len(row.id) == 64


def test_finished_and_hung_tell_what_to_resume(store):
    run = run_on(HERE)
    store.begin(HERE, run)
    store.add_block(block(run, 512))
    store.add_block(block(run, 1024, value=None, samples=(), status="crashed"))
    store.add_block(block(run, 2048, 1, value=None, samples=(), status="hung"))
    store.add_block(block(run, "net", 2, value=None, samples=(), status="out of memory"))
    where = ("hip", "cd" * 16, HERE.id, "cpu")
    assert store.finished(*where) == {
        ("reads", 512, 0),
        ("reads", 2048, 1),
        ("reads", "net", 2),
    }
    assert store.hung(*where) == {("reads", 2048)}
    assert store.finished("hip", "other", HERE.id, "cpu") == set()


def test_a_block_is_written_whole_or_not(store):
    run = run_on(HERE)
    store.begin(HERE, run)
    rows = block(run)
    store.add_block(rows)
    store.add_block(rows)  # the same again changes nothing
    store.add_block([])
    assert len(store.measurements("hip")) == 4
    changed = [*block(run, 2048)[:2], rows[0]._replace(value=3.0)]
    with pytest.raises(DataError, match="same id and other content"):
        store.add_block(changed)
    assert len(store.measurements("hip")) == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", float("nan")),
        ("value", float("inf")),
        ("value", 1e301),
        ("samples", (1.0, float("nan"))),
        ("seed", 2**63),
        ("round", -1),
        ("slug", "No Slug"),
        ("arm", "two\nlines"),
        ("metric", "right\u202eleft"),
        ("experiment", ""),
        ("load", float("-inf")),
    ],
)
def test_a_row_that_could_not_travel_is_refused(store, field, value):
    run = run_on(HERE)
    store.begin(HERE, run)
    with pytest.raises(DataError):
        store.add_block([block(run)[0]._replace(**{field: value})])
    assert store.measurements("hip") == []


def test_a_block_needs_its_run(store):
    with pytest.raises(DataError, match="call begin first"):
        store.add_block(block(run_on(HERE)))
    store.begin(HERE, run_on(HERE))
    store.begin(THERE, run_on(THERE))
    with pytest.raises(DataError, match="another machine"):
        store.add_block(block(run_on(HERE), machine=THERE.id))


def test_a_run_id_is_taken_once(store):
    store.begin(HERE, run_on(HERE))
    store.begin(HERE, run_on(HERE))
    with pytest.raises(DataError, match="same id"):
        store.begin(HERE, run_on(HERE)._replace(seed=8))


def test_verdicts_latest_and_history(store):
    first = verdict(HERE, word="undecided")
    last = verdict(HERE, at="2031-05-05T00:00:00+00:00", word="disagrees")
    elsewhere = verdict(THERE, at="2031-05-03T00:00:00+00:00")
    on_gpu = verdict(HERE, device="cuda")
    other = verdict(HERE, slug="mkor")
    for made in (last, first, elsewhere, on_gpu, other):
        store.add_verdict(made)
    assert store.verdicts() == [last, on_gpu, elsewhere, other]
    assert store.verdicts("hip", HERE.id) == [last, on_gpu]
    assert store.verdicts("hip", HERE.id, latest=False) == [first, last, on_gpu]
    assert store.history("hip") == [elsewhere, first, on_gpu, last]
    with pytest.raises(DataError, match="tier"):
        store.add_verdict(first._replace(tier="likes it"))


def test_exports_have_no_host_or_user_name(tmp_path, monkeypatch):
    from tractable.store import _exchange

    monkeypatch.setenv("USER", "zebedee")
    monkeypatch.setenv("HOME", "/srv/people/zebedee")
    monkeypatch.setattr(os, "uname", lambda: type("Uname", (), {"nodename": "muffin.lab.org"}))
    _exchange._private.cache_clear()
    run = run_on(HERE)._replace(command_note="verify by zebedee at /srv/people/zebedee/code")
    machine = Machine(HERE.id, {"cpu": "Two Core", "note": ["host muffin.lab.org"]})
    detail = "no /home/eve/data on\nmuffin, C:\\Users\\mallory\\x, /Users/trent/y"
    with Store.open(tmp_path / "s") as store:
        store.begin(machine, run)
        store.add_block(block(run, detail=detail + "!" * 2000, status="crashed"))
        store.add_verdict(verdict(HERE, sentence="muffin says", detail={"a": ["zebedee"]}))
        text = "\n".join(store.export_lines())
        assert store.measurements("hip")[0].detail.startswith("no ~/data on ~, ~\\x, ~/y!!")
    _exchange._private.cache_clear()
    for name in ("zebedee", "muffin", "eve", "mallory", "trent"):
        assert name not in text


def test_location_by_argument_and_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACTABLE_STORE", str(tmp_path / "deep" / "er" / "a store?#%.db"))
    fill(default_location())
    assert (tmp_path / "deep" / "er" / "a store?#%.db").exists()
    monkeypatch.setenv("TRACTABLE_STORE", f"sqlite:///{tmp_path}/b.db")
    with Store.open() as store:
        assert store.path == tmp_path / "b.db"
    assert not list(tmp_path.glob("*.new"))
    monkeypatch.delenv("TRACTABLE_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_location().name == "store.sqlite3"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert default_location() == Path.home() / ".local/share/tractable/store.sqlite3"


@pytest.mark.parametrize(
    "url", ["postgresql://host/db", "http://x/y", "sqlite://x.db", "file:/x", "s3://b"]
)
def test_other_urls_are_refused(url, monkeypatch):
    monkeypatch.setenv("TRACTABLE_STORE", url)
    with pytest.raises(RangeError, match="sqlite:///"):
        Store.open()


def test_reading_a_missing_store_makes_nothing(tmp_path):
    with Store.open(tmp_path / "none" / "s.db", read_only=True) as store:
        assert store.verdicts() == store.machines() == list(store.export_lines()) == []
        with pytest.raises(TractableError, match="read only"):
            store.add_verdict(verdict(HERE))
    assert not list(tmp_path.iterdir())


def test_a_read_only_store_is_not_written(tmp_path):
    run = fill(tmp_path / "s.db")
    before = (tmp_path / "s.db").read_bytes()
    with Store.open(tmp_path / "s.db", read_only=True) as store:
        assert len(store.measurements("hip")) == 16
        with pytest.raises(TractableError, match="read only"):
            store.add_block(block(run, 4096))
    assert (tmp_path / "s.db").read_bytes() == before


def test_an_export_sees_one_moment(tmp_path):
    run = fill(tmp_path / "s.db")
    with Store.open(tmp_path / "s.db") as store:
        lines = store.export_lines()
        first = next(lines)
        store.add_block(block(run, 4096))
        assert len([first, *lines]) == 1 + 1 + 1 + 16
        assert len(list(store.export_lines(["hip"]))) == 1 + 1 + 1 + 20
        assert list(store.export_lines(["mkor"])) == []
