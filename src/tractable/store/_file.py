"""Where the file is, whether it is ours, and how it is opened."""

import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from tractable._core.errors import DataError, RangeError, TractableError

__all__ = ["default_location"]

APPLICATION = int.from_bytes(b"trac")
VERSION = 1
PATIENCE = 60.0
"""Seconds to wait for another writer: longer than merging 100 MB of rows takes."""

_OPENING = Lock()

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE machine (id TEXT PRIMARY KEY, description TEXT NOT NULL);
CREATE TABLE run (
    id TEXT PRIMARY KEY, started TEXT NOT NULL, machine TEXT NOT NULL REFERENCES machine,
    version TEXT NOT NULL, form TEXT NOT NULL, device TEXT NOT NULL, seed INTEGER NOT NULL,
    command_note TEXT NOT NULL, UNIQUE (id, machine)
);
CREATE TABLE measurement (
    id BLOB PRIMARY KEY, run TEXT NOT NULL, machine TEXT NOT NULL,
    slug TEXT NOT NULL, experiment TEXT NOT NULL, arm TEXT NOT NULL, metric TEXT NOT NULL,
    size NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL, value REAL,
    samples TEXT NOT NULL, status TEXT NOT NULL, detail TEXT NOT NULL, key TEXT NOT NULL,
    seed INTEGER NOT NULL, threads INTEGER NOT NULL, load REAL,
    FOREIGN KEY (run, machine) REFERENCES run (id, machine)
);
CREATE INDEX measurement_of_claim ON measurement (slug, machine, device, key);
CREATE TABLE verdict (
    id INTEGER PRIMARY KEY, machine TEXT NOT NULL, slug TEXT NOT NULL, form TEXT NOT NULL,
    device TEXT NOT NULL, at TEXT NOT NULL, word TEXT NOT NULL, sentence TEXT NOT NULL,
    tier TEXT NOT NULL, criteria_hash TEXT NOT NULL, key TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX verdict_of_claim ON verdict (slug, machine, device, at, id);
"""


def _on_linux() -> bool:
    return sys.platform == "linux"


def default_location() -> Path:
    """Return where the store is: `TRACTABLE_STORE`, or a file in the user's data folder.

    Raises:
        RangeError: if the variable holds a URL other than `sqlite:///` and a path.
    """
    if named := os.environ.get("TRACTABLE_STORE"):
        return as_path(named)
    try:
        if _on_linux():  # one line of its rules, and none of its loading time
            raise ImportError
        from platformdirs import user_data_path  # of the extra `verify`
    except ImportError:
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(data) / "tractable" / "store.sqlite3"
    return Path(user_data_path("tractable", appauthor=False)) / "store.sqlite3"


def as_path(location: str | Path) -> Path:
    """Return the path that a location names; every URL but `sqlite:///` is refused."""
    text = str(location)
    if isinstance(location, str):
        if text.startswith("sqlite:///"):
            text = text.removeprefix("sqlite:///")
        elif re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(/|$)", text):
            raise RangeError(
                f"got the store {text!r}; wanted a path, or sqlite:/// and a path "
                "(the store is one SQLite file)"
            )
    if not text or "\0" in text:
        raise RangeError(f"got the store {location!r}; wanted the path of a file")
    return Path(text).expanduser().absolute()


def open_file(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a store, made first if it is missing; a file that is not ours stays untouched.

    Reading a missing file gives an empty store in memory: nothing is made on disk.

    Raises:
        DataError: if the file is newer, damaged or another program's.
        TractableError: if the operating system refuses it.
    """
    with readable_errors(path), _OPENING:
        if path.exists():
            return _open_to_read(path) if read_only else _open_to_write(path)
        if not read_only:
            _make(path)
            return _open_to_write(path)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(_SCHEMA + "PRAGMA query_only = 1;")
        return connection


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system say into the library's errors."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TractableError(f"store {path}: {error}; {_advice(str(error))}") from error
    except sqlite3.ProgrammingError:
        raise  # a closed store or another thread: nothing is wrong with the file
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"store {path} is damaged ({error}); move it away, and merge an export if you have one"
        ) from error
    except OSError as error:
        raise TractableError(
            f"store {path}: {error.strerror}; set TRACTABLE_STORE to a file you can write"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Write everything inside the block, or nothing."""
    with readable_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite ends it by itself when the disk is full
                connection.execute("ROLLBACK")
            raise


def _advice(message: str) -> str:
    if "locked" in message:
        return f"another process has been writing for {PATIENCE:.0f} s, try again"
    if "readonly" in message:
        return "it was opened to be read only, or the file cannot be written"
    return "set TRACTABLE_STORE to a file on a disk that has room and that you can write"


def _make(path: Path) -> None:
    """Make an empty store under a name of its own and link it, so nobody sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.urandom(6).hex()}.new")
    made.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(made, isolation_level=None)
        try:
            connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;PRAGMA journal_mode = WAL;")
        finally:
            connection.close()
        try:
            os.link(made, path)
        except FileExistsError:
            return  # another process was quicker
        except OSError:  # a file system without hard links
            made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _open_to_write(path: Path) -> sqlite3.Connection:
    """Look at every page first, then open."""
    if _wal(path).exists():  # a writer is at work, or was killed
        _check_pages(path, "mode=ro")
    else:
        try:  # nobody has it open: looked at like this, no side file is left behind
            _check_pages(path, "immutable=1")
        except DataError:
            if not _wal(path).exists():
                raise
            _check_pages(path, "mode=ro")  # a writer came meanwhile: what was seen is not sure
    connection = _connect(path, "mode=rw")
    connection.executescript("PRAGMA foreign_keys = 1; PRAGMA cache_size = -65536;")
    _check_head(connection, path)
    return connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "mode=ro")
    try:
        _check_head(connection, path)
    except sqlite3.OperationalError:
        connection.close()
        if _wal(path).exists() and _wal(path).stat().st_size:
            raise
        connection = _connect(path, "immutable=1")  # in a folder where no side file can be made
        _check_head(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_head(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that another program made, or a later version of this one.

    Only SQLite may look at the file: where one of its connections is open, closing a file handle
    of Python's own would drop that connection's locks.
    """
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        application, version = 0, 0
    if application != APPLICATION:
        raise DataError(
            f"{path} is not a store of tractable; it was left as it is, name another file"
        )
    if version > VERSION:
        raise DataError(
            f"store {path} has version {version}, this tractable knows {VERSION}; "
            "it was left as it is: upgrade tractable, or name another file"
        )


def _check_pages(path: Path, how: str) -> None:
    connection = _connect(path, how)
    try:
        _check_head(connection, path)
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        said = str(error)
    finally:
        connection.close()
    if said != "ok":
        raise DataError(
            f"store {path} is damaged ({' '.join(said.split())[:200]}); it was left as it is: "
            "move it away, and merge an export if you have one"
        )


def _wal(path: Path) -> Path:
    """Where SQLite keeps what is not yet in the file; it is there while a writer is."""
    return path.with_name(path.name + "-wal")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=PATIENCE)
