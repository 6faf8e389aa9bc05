"""Rows as JSON lines: strict reading, merging whole or not at all, plain local text."""

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tractable._core.errors import DataError, TractableError
from tractable.store._rows import (
    COLUMNS,
    DETAIL_LIMIT,
    check_characters,
    check_fields,
    identity,
    pack,
    without_odd_characters,
)

__all__ = ["Merged"]

_BATCH = 500
_LONGEST = 2**20
_SUSPECT = re.compile(rb"[^ -\[\]-~]")
"""Bytes that a line without any odd character does not need: only then are texts searched."""
_NOBODY = {"admin", "localhost", "python", "root", "runner", "test", "ubuntu", "user"}
"""Names that tell nothing about anybody."""


class Merged(NamedTuple):
    """What a merge did.

    Args:
        added: measurements that were new.
        known: measurements that were here already.
        foreign: measurements in the file, new or known, of other machines than this one.
        slugs: claims with measurements in the file, sorted: their verdicts are to be recomputed.
    """

    added: int
    known: int
    foreign: int
    slugs: tuple[str, ...]


class RowError(DataError):
    """A row that does not fit what is known, and where it stands in its batch."""

    def __init__(self, position: int, message: str) -> None:
        """Keep the position."""
        super().__init__(message)
        self.position = position


class LineError(DataError):
    """A line that is refused, and the whole file with it."""

    def __init__(self, path: Path, number: int, error: DataError) -> None:
        """Say where and why."""
        super().__init__(f"{path.name}, line {number}: {error}; nothing of the file was taken")


def numbered_rows(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Read a file of JSON lines one by one: line number, kind, checked fields.

    Raises:
        LineError: for the first malformed line, with its number and what is wrong.
        TractableError: if the file cannot be read.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while raw := file.readline(_LONGEST + 1):
                number += 1
                try:
                    kind, row = _parse(raw)
                except DataError as error:
                    raise LineError(path, number, error) from None
                yield number, kind, row
    except OSError as error:
        raise TractableError(f"cannot read {path}: {error.strerror}") from error


def _parse(raw: bytes) -> tuple[str, dict[str, Any]]:
    if len(raw) > _LONGEST:
        raise DataError(f"wanted lines of at most {_LONGEST:,} bytes")
    try:
        found = _DECODER.decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON line ({error})") from None
    kind = found.pop("kind", None) if type(found) is dict else None
    if type(kind) is not str or kind not in COLUMNS:
        raise DataError(f"wanted an object with the kind {', '.join(COLUMNS)}")
    if _SUSPECT.search(raw.rstrip(b"\r\n")):
        check_characters(found)
    return kind, check_fields(kind, found)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object has the same name twice")
    return made


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_refuse_constant)


def insert(connection: sqlite3.Connection, kind: str, rows: Sequence[dict[str, Any]]) -> int:
    """Add machines, runs or measurements and return how many were new.

    Raises:
        RowError: if an id is known, or given twice, with different content.
    """
    if not rows:
        return 0
    packed = [pack(kind, row) for row in rows]
    if kind == "measurement":
        packed = [(identity(row), *columns) for row, columns in zip(rows, packed, strict=True)]
    marks = ", ".join("?" * len(packed[0]))
    before = connection.total_changes
    connection.executemany(f"INSERT INTO {kind} VALUES ({marks}) ON CONFLICT DO NOTHING", packed)
    added = connection.total_changes - before
    if added < len(packed):
        query = f"SELECT * FROM {kind} WHERE id = ?"
        for position, columns in enumerate(packed):
            if connection.execute(query, columns[:1]).fetchone() != columns:
                raise RowError(position, f"this {kind} is known with the same id and other content")
    return added


def merge_file(connection: sqlite3.Connection, path: Path, local_machine: str) -> Merged:
    """Take a file's machines, runs and measurements; the caller holds the transaction."""
    added = seen = foreign = 0
    slugs: set[str] = set()
    for kind, numbers, rows in _batches(path):
        if kind == "verdict":
            continue  # somebody's word: it is recomputed from rows, never taken
        try:
            _check_owners(connection, kind, rows)
            new = insert(connection, kind, rows)
        except RowError as error:
            raise LineError(path, numbers[error.position], error) from None
        if kind == "measurement":
            added, seen = added + new, seen + len(rows)
            foreign += sum(row["machine"] != local_machine for row in rows)
            slugs.update(row["slug"] for row in rows)
    return Merged(added, seen - added, foreign, tuple(sorted(slugs)))


def _batches(path: Path) -> Iterator[tuple[str, list[int], list[dict[str, Any]]]]:
    """Yield neighbouring rows of one kind with their line numbers, some hundred at a time."""
    for kind, lines in groupby(numbered_rows(path), key=itemgetter(1)):
        while batch := list(islice(lines, _BATCH)):
            yield kind, [number for number, _, _ in batch], [row for _, _, row in batch]


def _check_owners(
    connection: sqlite3.Connection, kind: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Refuse a run before its machine, and a measurement before its run or of another machine."""
    if kind == "machine":
        return
    names, query, problem = _OWNERS[kind]
    known = set()
    for position, row in enumerate(rows):
        owner = tuple(row[name] for name in names)
        if owner not in known and not connection.execute(query, owner).fetchone():
            raise RowError(position, problem)
        known.add(owner)


_OWNERS = {
    "run": (
        ("machine",),
        "SELECT 1 FROM machine WHERE id = ?",
        "its machine is unknown; a machine's line stands before its runs",
    ),
    "measurement": (
        ("run", "machine"),
        "SELECT 1 FROM run WHERE id = ? AND machine = ?",
        "its run is unknown, or of another machine; a run's line stands before its rows",
    ),
}


def plain(value: Any) -> Any:
    """Return a text, or a tree of texts, that may travel.

    Home folders become `~`, the user's and the host's name go, and so do odd characters, all of
    which the text of an exception may hold.
    """
    if isinstance(value, str):
        return _private().sub("~", without_odd_characters(value))
    if isinstance(value, dict):
        return {plain(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def short(text: object) -> object:
    """Return a `plain` text cut to what a row's note may be; other types are for the checks."""
    return plain(text)[:DETAIL_LIMIT] if isinstance(text, str) else text


@cache
def _private() -> re.Pattern[str]:
    home = os.path.expanduser("~")
    host = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    users = (os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME"))
    names = {name for name in (host, host.split(".")[0], *users) if len(name) > 2} - _NOBODY
    found = [r"(?:/home|/Users|[A-Za-z]:\\Users)[/\\][^/\\\s'\":]+"]
    found += [re.escape(home)] if len(home) > 1 else []
    found += [rf"\b{re.escape(name)}\b" for name in sorted(names, key=len, reverse=True)]
    return re.compile("|".join(found))
