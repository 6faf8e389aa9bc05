"""Files that are not ours, not whole or shared."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tractable._core import DataError, TractableError
from tractable.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from _store_rows import HERE, block, fill, run_on

WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from _store_rows import HERE, block, run_on
from tractable.store import Store
path, name, first, last, pause = sys.argv[2:]
run = run_on(HERE, name)
with Store.open(path) as store:
    store.begin(HERE, run)
    for size in range(int(first), int(last)):
        done = store.finished("hip", "cd" * 16, HERE.id, "cpu")
        if ("reads", size, 0) in done:
            continue
        time.sleep(float(pause))
        store.add_block(block(run, size))
        print(size, flush=True)
"""


def writer(path, name, first, last, pause=0.005):
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(path), name]
    command += [str(first), str(last), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def untouched(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(path, match):
    before = untouched(path.parent)
    with pytest.raises(DataError, match=match):
        Store.open(path)
    assert untouched(path.parent) == before


def test_a_newer_file_is_refused_untouched(tmp_path):
    path = tmp_path / "s.db"
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    refused(path, "version 2.*upgrade")
    with pytest.raises(DataError, match="upgrade"):
        Store.open(path, read_only=True)


def test_a_newer_version_still_in_the_log_is_refused(tmp_path):
    path = tmp_path / "s.db"
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(DataError, match="upgrade"):
            Store.open(path, read_only=read_only)
    assert path.read_bytes() == before
    connection.close()


def test_a_foreign_database_is_refused_untouched(tmp_path):
    path = tmp_path / "s.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE machine (id)")
    connection.commit()
    connection.close()
    refused(path, "not a store of tractable")


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0", os.urandom(5000)])
def test_a_file_that_is_no_database_is_refused_untouched(tmp_path, content):
    (tmp_path / "s.db").write_bytes(content)
    refused(tmp_path / "s.db", "not a store of tractable")
    with pytest.raises(DataError, match="not a store"):
        Store.open(tmp_path / "s.db", read_only=True)


@pytest.mark.parametrize("how", ["page", "cut", "schema"])
def test_a_damaged_file_is_refused_untouched(tmp_path, how):
    path = tmp_path / "s.db"
    fill(path, sizes=tuple(range(200)))
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[len(content) // 2 :]
    else:
        start = 4096 * 5 if how == "page" else 100
        content[start : start + 2000] = os.urandom(2000)
    path.write_bytes(content)
    refused(path, "damaged")


def test_damage_met_while_reading_is_told(tmp_path):
    path = tmp_path / "s.db"
    fill(path, sizes=tuple(range(200)))
    content = bytearray(path.read_bytes())
    for start in range(4096 * 2, len(content), 4096):
        content[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with Store.open(path, read_only=True) as store, pytest.raises(DataError, match="damaged"):
        store.measurements("hip")


def test_a_folder_or_an_unreachable_place_is_told(tmp_path):
    with pytest.raises(TractableError, match="set TRACTABLE_STORE"):
        Store.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(TractableError, match="set TRACTABLE_STORE"):
        Store.open(tmp_path / "file" / "s.db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anything")
def test_a_folder_that_cannot_be_written_can_be_read(tmp_path):
    path = tmp_path / "s.db"
    run = fill(path)
    path.chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with Store.open(path, read_only=True) as store:
            assert len(store.measurements("hip")) == 16
        with Store.open(path) as store, pytest.raises(TractableError, match="cannot be written"):
            store.add_block(block(run, 4096))
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_killed_writer_loses_nothing_finished(tmp_path):
    moments = random.Random(64)
    path = tmp_path / "s.db"
    printed: set[int] = set()
    for attempt in range(6):
        child = writer(path, f"run{attempt}", 0, 10_000)
        first = child.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.3))
        child.kill()
        rest, _ = child.communicate()
        again = {int(line) for line in (first + rest).split("\n") if line}
        assert not again & printed  # what was finished did not run again
        printed |= again
        with Store.open(path, read_only=True) as store:  # right after, log and all
            assert printed <= {row.size for row in store.measurements("hip")}
        with Store.open(path) as store:  # passes the integrity check
            rows = store.measurements("hip")
            done = store.finished("hip", "cd" * 16, HERE.id, "cpu")
        sizes = [size for _, size, _ in done]
        assert printed <= set(sizes)
        assert len(sizes) <= len(printed) + attempt + 1  # at most one a kill was not yet printed
        assert len(rows) == 4 * len(sizes)  # and no block is half there
    assert len(printed) > 20


def test_a_writer_killed_while_making_the_file(tmp_path):
    moments = random.Random(65)
    for attempt in range(5):
        path = tmp_path / f"s{attempt}.db"
        child = writer(path, "run", 0, 10_000)
        time.sleep(moments.uniform(0.03, 0.2))
        child.kill()
        child.communicate()
        fill(path)


def test_two_writers_and_one_reader(tmp_path):
    path = tmp_path / "s.db"
    children = [writer(path, "left", 0, 60, 0.0), writer(path, "right", 60, 120, 0.0)]
    seen = 0
    while any(child.poll() is None for child in children):
        with Store.open(path, read_only=True) as store:
            found = len(store.measurements("hip"))
        assert found % 4 == 0
        assert found >= seen
        seen = found
    for child in children:
        child.communicate()
        assert child.returncode == 0
    with Store.open(path) as store:
        assert len(store.measurements("hip")) == 480
        assert len(store.runs()) == 2


def test_a_writer_that_waits_too_long_is_told(tmp_path, monkeypatch):
    from tractable.store import _file

    monkeypatch.setattr(_file, "PATIENCE", 0.05)
    run = fill(tmp_path / "s.db")
    with Store.open(tmp_path / "s.db") as one, Store.open(tmp_path / "s.db") as two:
        one._connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(TractableError, match="another process"):
            two.add_block(block(run, 4096))
        one._connection.execute("ROLLBACK")
        two.add_block(block(run, 4096))


CLOSER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM run").fetchone()
connection.close()
"""


def test_opening_again_keeps_the_locks_of_an_open_store(tmp_path):
    path = tmp_path / "s.db"
    run = fill(path)
    with Store.open(path) as store:
        store.add_block(block(run, 1))
        with Store.open(path, read_only=True):
            pass
        with Store.open(path):
            pass
        list(store.export_lines())
        subprocess.run([sys.executable, "-c", CLOSER, str(path)], check=True)
        assert path.with_name("s.db-wal").exists()  # the other was not the last one, and knew it
        store.add_block(block(run, 2))
    with Store.open(path) as store:
        assert len(store.measurements("hip")) == 24


def test_a_closed_store_says_so(tmp_path):
    with Store.open(tmp_path / "s.db") as store:
        store.begin(HERE, run_on(HERE))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        store.runs()
