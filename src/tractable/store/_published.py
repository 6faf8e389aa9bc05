"""The rows that are committed: one file of JSON lines a claim, verdicts first."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tractable._core.errors import DataError, TractableError
from tractable.store._exchange import numbered_rows
from tractable.store._rows import Machine, Measurement, as_line, order
from tractable.store._store import Store

__all__ = [
    "published_folder",
    "published_machines",
    "published_measurements",
    "published_verdicts",
    "write_published",
]

_VERDICT = '{"kind":"verdict"'
_DETAIL = ',"detail":'
"""The last field; inside a text its quotes would be escaped."""


def published_folder() -> Path | None:
    """Return the folder of the published rows: in the installed package, or beside `src/`."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "published", package.parents[1] / "published"):
        if folder.is_dir() and (folder.parent == package or package.parent.name == "src"):
            return folder
    return None


def published_verdicts(
    folder: Path | None = None, *, brief: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Return the published verdicts of every claim, as the JSON objects that they are.

    Args:
        folder: where the files are; None takes `published_folder()`.
        brief: leave `detail`, by far the longest field, empty and unread.

    Returns:
        From slug to its verdicts, those on a CPU first and older ones before newer; only the
        first lines of each file are read, so this is quick.

    Raises:
        DataError: for a verdict that is no JSON line.
    """
    folder = folder or published_folder()
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.jsonl")) if folder else ():
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not line.startswith(_VERDICT):
                    break
                kept = line.partition(_DETAIL)[0] + _DETAIL + "{}}" if brief else line
                try:
                    found.setdefault(path.stem, []).append(json.loads(kept))
                except ValueError as error:
                    raise DataError(f"{path.name} has a malformed verdict ({error})") from None
    for rows in found.values():
        rows.sort(key=lambda row: (row.get("device") != "cpu", str(row.get("at"))))
    return found


def published_measurements(slug: str, folder: Path | None = None) -> list[Measurement]:
    """Return the published rows of a claim; none if nothing is published.

    Raises:
        DataError: for a malformed line, with its number.
    """
    return [Measurement(**row) for row in _published("measurement", slug, folder)]


def published_machines(slug: str, folder: Path | None = None) -> list[Machine]:
    """Return the machines on which a claim's published rows were measured.

    Raises:
        DataError: for a malformed line, with its number.
    """
    return [Machine(**row) for row in _published("machine", slug, folder)]


def _published(kind: str, slug: str, folder: Path | None) -> Iterator[dict[str, Any]]:
    folder = folder or published_folder()
    path = folder / f"{slug}.jsonl" if folder else None
    if path is not None and path.is_file():
        yield from (row for _, found, row in numbered_rows(path) if found == kind)


def write_published(
    store: Store,
    slug: str,
    folder: Path,
    *,
    keep: Callable[[Measurement], bool] = lambda row: True,
) -> Path:
    """Publish a claim's latest verdicts with the rows behind them.

    What the file has of a machine and device that the store has a verdict of is replaced, the
    rest is kept. Equal rows give equal bytes.

    Args:
        store: where the verdicts and rows are.
        slug: the claim's.
        folder: the folder of published files.
        keep: which rows are worth publishing: those that the verdict follows from.

    Returns:
        The file, `folder/slug.jsonl`.

    Raises:
        TractableError: if the store has no verdict of this claim.
        DataError: if the file there is malformed.
    """
    verdicts = store.verdicts(slug)
    if not verdicts:
        raise TractableError(f"the store has no verdict of {slug}; run `tractable verify {slug}`")
    path = folder / f"{slug}.jsonl"
    ours = {(verdict.machine, verdict.device) for verdict in verdicts}
    new: list[tuple[str, dict[str, Any]]] = [("verdict", verdict._asdict()) for verdict in verdicts]
    for verdict in verdicts:
        rows = store.measurements(
            slug, machine=verdict.machine, key=verdict.key, device=verdict.device
        )
        new += [("measurement", row._asdict()) for row in rows if keep(row)]
    kept = [(kind, row) for _, kind, row in numbered_rows(path)] if path.exists() else []
    new += [
        (kind, row)
        for kind, row in kept
        if kind in ("verdict", "measurement") and (row["machine"], row["device"]) not in ours
    ]
    runs = {row["run"] for kind, row in new if kind == "measurement"}
    machines = {row["machine"] for _, row in new}
    about = {("machine", row["id"]): row for kind, row in kept if kind == "machine"}
    about |= {("run", row["id"]): row for kind, row in kept if kind == "run"}
    about |= {("machine", machine.id): machine._asdict() for machine in store.machines()}
    about |= {("run", run.id): run._asdict() for run in store.runs()}
    new += [
        (kind, row)
        for (kind, name), row in about.items()
        if name in (machines if kind == "machine" else runs)
    ]
    _replace(path, [as_line(kind, row) for kind, row in sorted(new, key=_place)])
    return path


def _place(row: tuple[str, dict[str, Any]]) -> tuple[Any, ...]:
    kind, fields = row
    if kind == "verdict":
        return (0, fields["machine"], fields["device"])
    if kind == "machine":
        return (1, fields["id"])
    return (2, fields["started"], fields["id"]) if kind == "run" else (3, *order(fields))


def _replace(path: Path, lines: list[str]) -> None:
    """Write a file whole: whoever reads it meanwhile sees the old one."""
    made = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
        made.replace(path)
    except OSError as error:
        raise TractableError(f"cannot write {path}: {error.strerror}") from error
    finally:
        made.unlink(missing_ok=True)
