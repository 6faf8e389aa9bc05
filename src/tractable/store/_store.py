"""The store's one class."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tractable._core.errors import DataError
from tractable.store._exchange import (
    Merged,
    insert,
    merge_file,
    plain,
    short,
)
from tractable.store._file import (
    as_path,
    default_location,
    open_file,
    readable_errors,
    transaction,
)
from tractable.store._rows import (
    COLUMNS,
    Machine,
    Measurement,
    Run,
    Size,
    Verdict,
    as_line,
    check_characters,
    check_fields,
    pack,
    unpack,
)

__all__ = ["Store"]

_LATEST = """NOT EXISTS (
    SELECT 1 FROM verdict AS newer
    WHERE newer.slug = verdict.slug AND newer.machine = verdict.machine
    AND newer.device = verdict.device AND (newer.at, newer.id) > (verdict.at, verdict.id)
)"""
_ORDER = "slug, machine, device, key, experiment, size, round, arm, metric, run"
_AGAIN = ("crashed", "missing package", "refused")
"""Statuses that another run may cure: a block with no other is not finished."""


class Store:
    """Machines, runs, measurements and verdicts in one file; several processes may share it.

    Every method that writes is one short transaction. A `Store` belongs to the thread that
    opened it. Paths of home folders, host and user names are taken out of local texts.

    Example:
        >>> with Store.open("never-made.sqlite3", read_only=True) as store:
        ...     store.verdicts()
        []
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file at `path`; `Store.open` takes every spelling of a location."""
        self.path = path
        self._connection = open_file(path, read_only=read_only)

    @classmethod
    def open(cls, location: str | Path | None = None, *, read_only: bool = False) -> "Store":
        """Open a store, made first if it is missing.

        Args:
            location: a path, or `sqlite:///` and a path; None takes `default_location()`.
            read_only: write nothing; a missing file is an empty store then.

        Raises:
            RangeError: for another URL.
            DataError: if the file is newer, damaged or another program's; it stays untouched.
            TractableError: if the operating system refuses the file.
        """
        path = default_location() if location is None else as_path(location)
        return cls(path, read_only=read_only)

    def __enter__(self) -> "Store":
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._connection.close()

    def begin(self, machine: Machine, run: Run) -> None:
        """Write down a run before its first block; a known machine keeps its description.

        Raises:
            DataError: for a field that could not travel, or a run id that is taken.
        """
        about = _checked(
            "machine", {**machine._asdict(), "description": plain(machine.description)}
        )
        started = _checked("run", {**run._asdict(), "command_note": short(run.command_note)})
        with transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT INTO machine VALUES (?, ?) ON CONFLICT DO NOTHING", pack("machine", about)
            )
            insert(self._connection, "run", [started])

    def add_block(self, rows: Sequence[Measurement]) -> None:
        """Write all rows of a finished block in one transaction.

        Args:
            rows: of a run that has begun; `detail` is cut at 1,000 characters.

        Raises:
            DataError: for a field that could not travel (NaN and infinite values included), an
                unknown run or not its machine, or other content under a known row's identity.
        """
        checked = [
            _checked("measurement", {**row._asdict(), "detail": short(row.detail)}) for row in rows
        ]
        with transaction(self._connection, self.path):
            try:
                insert(self._connection, "measurement", checked)
            except sqlite3.IntegrityError as error:
                raise DataError(
                    "a row's run is unknown, or of another machine; call begin first"
                ) from error

    def measurements(
        self,
        slug: str,
        *,
        machine: str | None = None,
        key: str | None = None,
        device: str | None = None,
    ) -> list[Measurement]:
        """Return a claim's rows, those of older runs first, so that later ones can replace them.

        Args:
            slug: the claim's.
            machine, key, device: only rows with these.
        """
        named = {"slug": slug, "machine": machine, "key": key, "device": device}
        order = "(SELECT started FROM run WHERE run.id = measurement.run), " + _ORDER
        found = self._select("measurement", named, order=order)
        return [Measurement(**row) for row in found]

    def finished(
        self, slug: str, key: str, machine: str, device: str
    ) -> set[tuple[str, Size, int]]:
        """Return (experiment, size, round) of blocks that need not run again.

        A block whose rows all crashed, were refused or lacked a package is not among them.
        """
        marks = ", ".join("?" * len(_AGAIN))
        return set(
            self._rows(
                "SELECT DISTINCT experiment, size, round FROM measurement WHERE slug = ? AND "
                f"key = ? AND machine = ? AND device = ? AND status NOT IN ({marks})",
                (slug, key, machine, device, *_AGAIN),
            )
        )

    def hung(self, slug: str, key: str, machine: str, device: str) -> set[tuple[str, Size]]:
        """Return (experiment, size) of blocks in which an arm hung: not to be tried again."""
        return set(
            self._rows(
                "SELECT DISTINCT experiment, size FROM measurement WHERE slug = ? AND "
                "key = ? AND machine = ? AND device = ? AND status = 'hung'",
                (slug, key, machine, device),
            )
        )

    def add_verdict(self, verdict: Verdict) -> None:
        """Write down a verdict; earlier ones stay as history.

        Raises:
            DataError: for a field that could not travel.
        """
        texts = {"sentence": plain(verdict.sentence), "detail": plain(verdict.detail)}
        columns = pack("verdict", _checked("verdict", {**verdict._asdict(), **texts}))
        marks = ", ".join("?" * len(columns))
        with transaction(self._connection, self.path):
            self._connection.execute(f"INSERT INTO verdict VALUES (NULL, {marks})", columns)

    def verdicts(
        self, slug: str | None = None, machine: str | None = None, *, latest: bool = True
    ) -> list[Verdict]:
        """Return verdicts by slug, machine, device and time.

        Args:
            slug, machine: only verdicts with these.
            latest: only the last one of each slug, machine and device.
        """
        named = {"slug": slug, "machine": machine}
        order = "slug, machine, device, at, id"
        found = self._select("verdict", named, where=_LATEST if latest else "1", order=order)
        return [Verdict(**row) for row in found]

    def history(self, slug: str) -> list[Verdict]:
        """Return every verdict about a claim, oldest first."""
        found = self._select("verdict", {"slug": slug}, order="at, id")
        return [Verdict(**row) for row in found]

    def machines(self) -> list[Machine]:
        """Return all machines by id."""
        return [Machine(**row) for row in self._select("machine", {}, order="id")]

    def runs(self) -> list[Run]:
        """Return all runs, oldest first."""
        return [Run(**row) for row in self._select("run", {}, order="started, id")]

    def export_lines(self, slugs: Iterable[str] | None = None) -> Iterator[str]:
        """Yield JSON lines, without line ends: latest verdicts, machines, runs, measurements.

        Args:
            slugs: only these claims, with the machines and runs of their rows.

        Yields:
            One line a row, in an order that depends on the rows alone.
        """
        chosen = None if slugs is None else sorted(set(slugs))
        ours = "1" if chosen is None else f"slug IN ({', '.join('?' * len(chosen))})"
        wheres = {
            "verdict": f"{_LATEST} AND {ours}",
            "machine": f"id IN (SELECT machine FROM measurement WHERE {ours})",
            "run": f"id IN (SELECT run FROM measurement WHERE {ours})",
            "measurement": ours,
        }
        orders = ("slug, machine, device", "id", "started, id", _ORDER)
        if not self.path.exists():
            return
        # A connection of its own sees one moment, whatever is written meanwhile.
        with Store(self.path, read_only=True) as moment:
            moment._connection.execute("BEGIN")
            for (kind, where), order in zip(wheres.items(), orders, strict=True):
                for row in moment._select(kind, {}, where=where, order=order, more=chosen or ()):
                    yield as_line(kind, row)

    def merge(self, path: str | Path, *, local_machine: str) -> Merged:
        """Take the machines, runs and measurements of an export, all of them or none.

        Verdicts in the file are checked like all lines and not taken: recompute those of
        `slugs` from the rows. Rows whose machine is another than `local_machine` are foreign.

        Args:
            path: a file of JSON lines, read as a stream.
            local_machine: this machine's id.

        Raises:
            DataError: for a malformed line, with its number and the reason.
            TractableError: if the file cannot be read.
        """
        with transaction(self._connection, self.path):
            return merge_file(self._connection, Path(path), local_machine)

    def _select(
        self,
        kind: str,
        named: Mapping[str, str | None],
        *,
        where: str = "1",
        order: str,
        more: Sequence[str] = (),
    ) -> Iterator[dict[str, Any]]:
        wanted = {name: value for name, value in named.items() if value is not None}
        where += "".join(f" AND {name} = ?" for name in wanted)
        columns = ", ".join(f"{kind}.{name}" for name in COLUMNS[kind])
        query = f"SELECT {columns} FROM {kind} WHERE {where} ORDER BY {order}"
        for found in self._rows(query, (*more, *wanted.values())):
            yield unpack(kind, found)

    def _rows(self, query: str, values: Sequence[str]) -> Iterator[Any]:
        with readable_errors(self.path):
            yield from self._connection.execute(query, tuple(values))


def _checked(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    check_characters(row)
    return check_fields(kind, row)
