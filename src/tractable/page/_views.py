"""What templates are handed: small plain rows, made from verdicts without trusting them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from tractable.page._curves import Curves, read_curves, sequence
from tractable.page._library import Library, Moment, Shelf
from tractable.page._text import clean, day, exact
from tractable.page.figure import figure, spark
from tractable.store import Verdict

__all__ = [
    "ABSENT",
    "NOT_RUN_HERE",
    "STATES",
    "Cell",
    "Change",
    "Glimpse",
    "State",
    "cell_of",
    "changes_of",
    "experiments_of",
    "state_of",
]

LATEST = 60
"""Lines of history that a page shows."""


class State(NamedTuple):
    """A verdict's word, its sign for those who do not see colour, and its class."""

    word: str
    sign: str
    style: str


NOT_RUN_HERE = State("not run here", "–", "not-run")
ABSENT = State("not here yet", "·", "absent")
STATES = {
    "agrees": State("agrees", "✓", "agrees"),
    "disagrees": State("disagrees", "✗", "disagrees"),
    "undecided": State("undecided", "?", "undecided"),
    "not run": State("not run", "–", "not-run"),
}


class Glimpse(NamedTuple):
    """Half a cell: a verdict with its two curves in small."""

    state: State
    curve: Markup
    about: str


class Cell(NamedTuple):
    """One paper in the grid."""

    shelf: Shelf
    state: State
    tier: str
    here: Glimpse | None
    published: Glimpse | None
    axes: str
    crossover: str
    agreed: str

    @property
    def words(self) -> str:
        """What a search without a server looks through."""
        claim = self.shelf.claim
        entry = self.shelf.entry
        said = f"{claim.says} {' '.join(claim.solves)}" if claim else ""
        return f"{entry.title} {entry.slug} {entry.family} {said}".lower()


class Finding(NamedTuple):
    """A rule, judged; `role` is "guard", "contender", or nothing for what earns the verdict."""

    state: State
    role: str
    text: str


class Row(NamedTuple):
    """One size of an experiment's table, a text an arm."""

    size: str
    values: tuple[str, ...]


class Shown(NamedTuple):
    """One experiment as one machine measured it."""

    name: str
    where: str
    state: State
    why: str
    wide: Markup
    narrow: Markup
    curves: Curves
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    crossover: str
    controls: tuple[tuple[str, State, bool], ...]


class Change(NamedTuple):
    """One line of history: a verdict, and what is new in it."""

    verdict: Verdict
    state: State
    when: str
    new: str


def state_of(word: object) -> State:
    """Return the state of a verdict's word; an unknown word is no verdict."""
    return STATES.get(str(word), STATES["not run"])


def cell_of(shelf: Shelf, library: Library, moment: Moment) -> Cell:
    """Return a paper's cell."""
    entry, claim = shelf
    if claim is None:
        return Cell(shelf, ABSENT, "", None, None, "", "", "")
    mine = moment.here.get(entry.slug)
    theirs = next(iter(library.published.get(entry.slug, ())), None)
    found = _headline(mine) or _headline(theirs)
    name = str(found.get("name", "")) if found else ""
    curves = read_curves(found) if found else None
    agreed, runs = moment.agreed.get(entry.slug, (0, 0))
    return Cell(
        shelf,
        state_of(mine.word) if mine and mine.word != "not run" else NOT_RUN_HERE,
        claim.paper.tier,
        _glimpse(mine, name, "here") if mine else None,
        _glimpse(theirs, name, "published") if theirs else None,
        f"{curves.metric} by {curves.axis}" if curves and curves.points else "",
        clean(str(found.get("crossover") or "")) if found else "",
        f"{agreed} of the last {runs} runs agreed" if runs > 1 else "",
    )


def _experiments(verdict: Verdict | None) -> list[Mapping[str, Any]]:
    found = sequence(verdict.detail.get("experiments")) if verdict else ()
    return [each for each in found if isinstance(each, Mapping)]


def _headline(verdict: Verdict | None) -> Mapping[str, Any] | None:
    """Return the experiment that a cell shows: the first whose crossover has a place, or else
    the first with both curves."""
    drawn = []
    for found in _experiments(verdict):
        curves = read_curves(found)
        if curves.line("method") and curves.line("baseline"):
            if curves.crossover is not None:
                return found
            drawn.append(found)
    return drawn[0] if drawn else None


def _glimpse(verdict: Verdict, name: str, where: str) -> Glimpse:
    found = next((each for each in _experiments(verdict) if each.get("name") == name), None)
    found = found or _headline(verdict)
    state = state_of(verdict.word)
    drawn = ""
    if found is not None:
        curves = read_curves(found)
        said = clean(f"{where}: {curves.metric} by {curves.axis} of method and baseline")
        drawn = spark(curves, said)
    return Glimpse(
        state,
        Markup(drawn),
        ", ".join(
            [verdict.at[:10], verdict.form, *([verdict.device] if verdict.device != "cpu" else [])]
        ),
    )


def experiments_of(
    claimed: Sequence[str], mine: Verdict | None, theirs: Sequence[Verdict]
) -> Iterator[tuple[str, list[Shown]]]:
    """Yield each experiment's name with what was measured here and in the published runs.

    Of the published runs after the first, which may be another device's, what ran is shown.
    """
    measured: dict[str, list[Shown]] = {name: [] for name in claimed}
    runs = [("here", mine), *(("published", verdict) for verdict in theirs)]
    first = theirs[0] if theirs else None
    for where, verdict in runs:
        for found in _experiments(verdict):
            if where == "here" or verdict is first or found.get("word") != "not run":
                name = clean(str(found.get("name", "")))
                device = f", {clean(verdict.device)}" if verdict and verdict.device != "cpu" else ""
                measured.setdefault(name, []).append(_shown(found, name, where + device))
    yield from measured.items()


def _shown(found: Mapping[str, Any], name: str, where: str) -> Shown:
    curves = read_curves(found)
    title = f"{name}, {where}: {curves.metric} by {curves.axis}"
    drawn = bool(curves.points)
    return Shown(
        name,
        where,
        state_of(found.get("word")),
        clean(str(found.get("why") or "")),
        Markup(figure(curves, title) if drawn else ""),
        Markup(figure(curves, title, narrow=True) if drawn else ""),
        curves,
        tuple(_table(curves)),
        tuple(_findings(found)),
        clean(str(found.get("crossover") or "")),
        tuple(_controls(found)),
    )


def _findings(found: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("criteria", "contender"):
        for each in sequence(found.get(key)):
            if isinstance(each, Mapping):
                role = "guard" if each.get("guard") else ""
                role = "contender" if key == "contender" else role
                text = str(each.get("text") or each.get("rule") or "")
                yield Finding(state_of(each.get("word")), role, clean(text))


def _controls(found: Mapping[str, Any]) -> Iterator[tuple[str, State, bool]]:
    """Yield the controls; the last field says that one agrees, which it must not."""
    for name, key in (("knock-out", "knockout"), ("placebo", "placebo")):
        word = found.get(key)
        if isinstance(word, str):
            yield name, state_of(word), word == "agrees"


def _table(curves: Curves) -> Iterator[Row]:
    sizes = sorted({point.size for point in curves.points})
    columns = [{point.size: point for point in line.points} for line in curves.lines]
    for size in sizes:
        values = []
        for points in columns:
            point = points.get(size)
            text = "" if point is None else exact(point.median)
            if point is not None and point.low != point.high:
                text += f" ({exact(point.low)} to {exact(point.high)})"
            values.append(text)
        yield Row(curves.names[int(size)] if curves.names else exact(size), tuple(values))


def changes_of(verdicts: Sequence[Verdict]) -> list[Change]:
    """Return verdicts, oldest first, as lines of history, newest first.

    What is new is said against the same machine's and device's verdict before.
    """
    before: dict[tuple[str, str], Verdict] = {}
    made = []
    for verdict in verdicts:
        last = before.get((verdict.machine, verdict.device))
        if last is None:
            new = "first"
        elif last.criteria_hash != verdict.criteria_hash:
            new = "criteria changed"
        elif last.word != verdict.word:
            new = f"was {last.word}"
        elif last.key != verdict.key:
            new = "code changed"
        else:
            new = ""
        before[verdict.machine, verdict.device] = verdict
        made.append(Change(verdict, state_of(verdict.word), day(verdict.at), clean(new)))
    return made[::-1][:LATEST]
