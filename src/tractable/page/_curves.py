"""The curves of a stored verdict, read with suspicion: rows may come from anywhere."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tractable.page._text import LARGEST, clean, plain

__all__ = ["Curves", "Line", "Point", "finite", "read_curves", "sequence"]

ROLES = ("method", "baseline", "peer", "knockout")
MOST_LINES, MOST_POINTS = 12, 100


class Point(NamedTuple):
    """A place on the axis, and the median, lowest and highest round there."""

    size: float
    median: float
    low: float
    high: float


class Line(NamedTuple):
    """One arm's curve; `style` is the class that colours it."""

    name: str
    role: str
    style: str
    points: tuple[Point, ...]


class Curves(NamedTuple):
    """What an experiment's figure shows.

    Args:
        axis, metric: what is swept, and what is measured.
        log: whether the axis of sizes is logarithmic.
        names: the instances, where the sweep is over names; sizes are places among them then.
        lines: one an arm.
        crossover: the size at which method and baseline cost the same.
        beyond: "below" or "above" where that is outside the sizes that were measured.
    """

    axis: str
    metric: str
    log: bool
    names: tuple[str, ...]
    lines: tuple[Line, ...]
    crossover: float | None
    beyond: str = ""

    @property
    def points(self) -> list[Point]:
        """The points of all lines."""
        return [point for line in self.lines for point in line.points]

    def line(self, role: str) -> Line | None:
        """Return the first line of a role."""
        return next((line for line in self.lines if line.role == role), None)

    def only(self, *roles: str) -> "Curves":
        """Keep the first line of each of these roles."""
        kept = [line for role in roles if (line := self.line(role)) is not None]
        return self._replace(lines=tuple(kept))


def read_curves(found: Mapping[str, Any]) -> Curves:
    """Read one item of a verdict's `experiments`; what is malformed or not finite is left out."""
    curves = found.get("curves")
    curves = curves if isinstance(curves, Mapping) else {}
    arms = [arm for arm in sequence(curves.get("arms")) if isinstance(arm, Mapping)][:MOST_LINES]
    raw = [_raw_points(arm) for arm in arms]
    sizes = list(dict.fromkeys(point[0] for points in raw for point in points))
    named = any(isinstance(size, str) for size in sizes)
    names = [str(size) for size in sizes] if named else []
    lines = []
    peers = 0
    for arm, points in zip(arms, raw, strict=True):
        role = arm.get("role") if arm.get("role") in ROLES else "peer"
        style = f"peer-{peers % 6}" if role == "peer" else str(role)
        peers += role == "peer"
        read = [_point(point, names) for point in points]
        line = Line(
            plain(str(arm.get("name", ""))),
            str(role),
            style,
            tuple(p for p in read if p is not None),
        )
        lines += [line] if line.points else []
    log = not named and curves.get("scale") == "log"
    log = log and all(point.size > 0 for line in lines for point in line.points)
    return Curves(
        clean(str(curves.get("axis", ""))),
        clean(str(curves.get("metric", ""))),
        log,
        tuple(map(clean, names)),
        tuple(lines),
        None if named else finite(found.get("crossover_point")),
        _beyond(found.get("crossover")),
    )


def _beyond(said: object) -> str:
    """Return on which side of the sizes a crossover lies that has no place among them."""
    word = said.split(" ")[0] if isinstance(said, str) else ""
    return word if word in ("below", "above") else ""


def finite(value: object) -> float | None:
    """Return a number that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and abs(number) <= LARGEST else None


def sequence(value: object) -> Sequence[Any]:
    """Return a list or tuple as it is, and nothing for anything else."""
    return value if isinstance(value, list | tuple) else ()


def _raw_points(arm: Mapping[str, Any]) -> list[Sequence[Any]]:
    points = [p for p in sequence(arm.get("points")) if len(sequence(p)) == 4]
    return [p for p in points if isinstance(p[0], str) or finite(p[0]) is not None][:MOST_POINTS]


def _point(raw: Sequence[Any], names: Sequence[str]) -> Point | None:
    size = float(names.index(str(raw[0]))) if names else finite(raw[0])
    median, low, high = (finite(value) for value in raw[1:])
    if size is None or median is None:
        return None
    low = median if low is None else min(low, median)
    return Point(size, median, low, median if high is None else max(high, median))
