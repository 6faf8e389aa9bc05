"""Intervals, estimates, and the words that follow from them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tractable._core import RangeError
from tractable.stats import _thresholds as thresholds

Word = Literal["agrees", "disagrees", "undecided", "not run"]


@dataclass(frozen=True)
class Interval:
    """An estimate and the range that the truth lies in, at the stated confidence.

    Args:
        point: the best single number; NaN where none can be formed.
        low, high: the ends; infinite where the measurements do not limit them.
    """

    point: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What was measured, before any bound is looked at; `judge` turns it into a ruling.

    Args:
        intervals: one for growth and association, one a size for a level; None for a size that
            was not measured.
        sizes: the sizes that growth was judged on, to be named with the verdict.
        reason: why no verdict may rest on it ("fixed cost"); empty if one may.
        note: how it was formed where that is not the usual way ("ratio of means").
    """

    intervals: tuple[Interval | None, ...] = ()
    sizes: tuple[float, ...] = ()
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Ruling:
    """One criterion's verdict.

    Args:
        word: "agrees", "disagrees", "undecided" or "not run".
        interval: the one that decided: of a level's sizes, the one furthest on the wrong side.
        reason: why it is undecided, or how the number was formed; may be empty.
    """

    word: Word
    interval: Interval | None
    reason: str = ""


def rule(
    interval: Interval, *, at_most: float | None = None, at_least: float | None = None
) -> Word:
    """Hold one interval against one bound (MEASURING 4.5).

    Args:
        interval: the range that the truth lies in.
        at_most, at_least: exactly one of the two.

    Returns:
        "agrees" if even the worse end meets the bound, "disagrees" if even the better end misses
        it, else "undecided".

    Raises:
        RangeError: without exactly one bound, or with NaN for it.

    Example:
        >>> rule(Interval(1.1, 1.0, 1.2), at_most=1.5)
        'agrees'
        >>> rule(Interval(1.1, 1.0, 1.2), at_least=1.1)
        'undecided'
    """
    worse, better, bound = _oriented(interval, at_most, at_least)
    slack = thresholds.ROUNDING * abs(bound)
    if worse <= bound + slack:
        return "agrees"
    return "disagrees" if better > bound + slack else "undecided"


def combine(words: Iterable[Word]) -> Word:
    """Make one verdict of many: of sizes, of criteria, of experiments (MEASURING 4.5).

    Args:
        words: the verdicts.

    Returns:
        "disagrees" if one was refuted, "agrees" if all agree, "not run" if nothing ran, else
        "undecided".

    Example:
        >>> combine(["agrees", "undecided"]), combine(["agrees", "disagrees", "not run"])
        ('undecided', 'disagrees')
    """
    distinct = set(words)
    if "disagrees" in distinct:
        return "disagrees"
    if distinct == {"agrees"}:
        return "agrees"
    return "undecided" if distinct - {"not run"} else "not run"


def judge(
    estimate: Estimate,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    noise: float = 0.0,
) -> Ruling:
    """Hold an estimate against a bound: refuted by any size, met only by all (MEASURING 4.5).

    Args:
        estimate: from `growth`, `level` or `association`.
        at_most, at_least: exactly one of the two.
        noise: `noise_floor` of the log-ratio for clocked metrics, else 0; over the limit of 15 %
            the ruling can only be "undecided", reason "noisy" (3.5).

    Returns:
        The ruling; "not run" for an estimate without any measurement.

    Raises:
        RangeError: without exactly one bound, or with NaN for it.

    Example:
        >>> judge(Estimate((Interval(0.8, 0.7, 0.85), None)), at_most=0.9)
        Ruling(word='undecided', interval=Interval(point=0.8, low=0.7, high=0.85), reason='not \
measured at every size')
    """
    _oriented(Interval(0.0, 0.0, 0.0), at_most, at_least)
    measured = [each for each in estimate.intervals if each is not None]
    if not measured:
        return Ruling("undecided" if estimate.reason else "not run", None, estimate.reason)
    worst = max(measured, key=lambda each: _oriented(each, at_most, at_least)[0])
    if estimate.reason or noise > thresholds.NOISE_LIMIT:
        return Ruling("undecided", worst, estimate.reason or "noisy")
    words = [
        "not run" if each is None else rule(each, at_most=at_most, at_least=at_least)
        for each in estimate.intervals
    ]
    word = combine(words)
    if word == "undecided" and set(words) == {"agrees", "not run"}:
        return Ruling(word, worst, "not measured at every size")
    if word == "disagrees":
        worst = max(measured, key=lambda each: _oriented(each, at_most, at_least)[1])
    return Ruling(word, worst, estimate.note)


def _oriented(
    interval: Interval, at_most: float | None, at_least: float | None
) -> tuple[float, float, float]:
    """Return worse end, better end and bound, signs turned so that less is better."""
    bounds = [bound for bound in (at_most, at_least) if bound is not None]
    if len(bounds) != 1 or math.isnan(bounds[0]):
        raise RangeError(f"at_most={at_most}, at_least={at_least}; wanted exactly one number")
    if at_most is not None:
        return interval.high, interval.low, at_most
    return -interval.low, -interval.high, -bounds[0]
