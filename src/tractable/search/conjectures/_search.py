"""The search: every left-hand side with every pattern of signs, screened, lifted, verified."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from fractions import Fraction
from typing import NamedTuple

from tractable._core import DataError, RangeError, fan_out, note
from tractable._core.checks import check_integer
from tractable.search.conjectures._conjecture import Conjecture
from tractable.search.conjectures._continued import (
    MOST_BITS,
    Constant,
    Cylinder,
    Enclosure,
    digits_after,
    enclose,
    quotients,
)
from tractable.search.conjectures._left import LeftHandSide, left_hand_sides
from tractable.search.conjectures._recurrence import (
    MODULUS,
    SPARE,
    Massey,
    Recurrence,
    check_prime,
    closed_form,
    lift,
)

__all__ = ["Job", "Outcome", "esma", "examine", "sign_patterns"]

TERMS_PER_DIGIT = 10
"""Terms a wanted digit after which verifying gives up: a run of 2s under signs -1 fixes nothing."""


class Job(NamedTuple):
    """One left-hand side with all patterns of signs; plain numbers, so that it can be sent.

    Args:
        lhs: the left-hand side.
        low, high, bits: whole numbers around 2^bits times the constant.
        patterns: of signs.
        depth, most, modulus, digits, allow_preperiod: as in `esma`.
    """

    lhs: LeftHandSide
    low: int
    high: int
    bits: int
    patterns: tuple[tuple[int, ...], ...]
    depth: int
    most: int
    modulus: int
    digits: int
    allow_preperiod: bool


class Outcome(NamedTuple):
    """What a pattern of signs came to: the law with what was checked, if there is one."""

    signs: tuple[int, ...]
    recurrence: Recurrence
    polynomials: tuple[tuple[Fraction, ...], ...] | None
    terms: int
    digits: int
    rate: float


class _TooFewBitsError(Exception):
    """The enclosure does not fix the terms that are needed."""


def esma(
    constant: Constant,
    *,
    symbol: str = "c",
    degree: int = 1,
    coefficient_bound: int = 2,
    periods: tuple[int, int] = (1, 4),
    depth: int = 100,
    threshold: int | None = None,
    modulus: int = MODULUS,
    verify_digits: int = 200,
    allow_preperiod: bool = True,
    executor: Executor | None = None,
) -> list[Conjecture]:
    """Search for continued fractions of a constant whose terms follow a linear recurrence.

    Args:
        constant: a function without arguments that mpmath evaluates to its working precision,
            such as `mpmath.e` or `lambda: mpmath.tan(1)`.
        symbol: how it is printed.
        degree: largest degree of P and Q in the left-hand sides |P(c) / Q(c)|.
        coefficient_bound: their largest coefficient.
        periods: shortest and longest period of the signs, at least 1 and at most 12.
        depth: terms that a sequence is judged by, at least 12.
        threshold: a recurrence whose length, preperiod included, is at least this is no hit;
            None takes all that leave four terms of `depth` to test it, the most there can be.
        modulus: a prime for screening; coefficients lie within half of it.
        verify_digits: decimal digits that an identity must hold to.
        allow_preperiod: whether the first terms may break the pattern.
        executor: where left-hand sides are spread: threads, processes, Dask; None stays here.

    Returns:
        The identities in the order of the left-hand sides, short ones first, then of the signs.
        The terms of each are certain for the constant and follow the recurrence as whole
        numbers, twice `depth` of them at least. None of them is proved.

    Raises:
        DTypeError, RangeError: for options outside their range.
        DataError: for a constant that is infinite or looks rational.
        MissingPackageError: without mpmath.

    Example:
        >>> import mpmath
        >>> found = esma(mpmath.e, symbol="e", coefficient_bound=1, periods=(2, 2))
        >>> print(found[0])
        e = [2, 2, 1, 2, (2, 2m + 5)] signs +-
    """
    depth = check_integer("depth", depth, low=12)
    most = (depth - SPARE) // 2
    if threshold is not None:
        most = min(most, check_integer("threshold", threshold, low=1) - 1)
    digits = check_integer("verify_digits", verify_digits, low=10)
    patterns = tuple(sign_patterns(*_check_periods(periods)))
    settings = (
        patterns,
        depth,
        most,
        check_prime(modulus),
        digits,
        allow_preperiod,
    )
    waiting = left_hand_sides(degree, coefficient_bound)
    bits = max(16 * depth, 4 * digits) + 64
    results: dict[LeftHandSide, list[Outcome]] = {}
    while True:
        low, high = enclose(constant, bits)
        if not results:
            waiting = _distinct(waiting, low, high, bits)
        jobs = [Job(lhs, low, high, bits, *settings) for lhs in waiting]
        outcomes = fan_out(executor, examine, jobs)
        pairs = list(zip(waiting, outcomes, strict=True))
        results.update((lhs, found) for lhs, found in pairs if found is not None)
        waiting = [lhs for lhs, found in pairs if found is None]
        if not waiting or 2 * bits > max(MOST_BITS, 64 * depth):
            break
        bits *= 2
    if not results:
        raise DataError(
            f"no left-hand side has {depth} certain terms at {bits} bits; the constant looks "
            "rational, or its value does not follow mpmath's working precision"
        )
    return [
        Conjecture(_with_sign(lhs, low, bits), symbol, *outcome)
        for lhs in sorted(results, key=left_hand_sides(degree, coefficient_bound).index)
        for outcome in results[lhs]
    ]


def sign_patterns(shortest: int, longest: int) -> Iterator[tuple[int, ...]]:
    """Yield every period of signs that is no repetition of a shorter one.

    Example:
        >>> list(sign_patterns(1, 2))
        [(1,), (-1,), (1, -1), (-1, 1)]
    """
    for length in range(shortest, longest + 1):
        shorter = [k for k in range(1, length) if length % k == 0]
        for signs in itertools.product((1, -1), repeat=length):
            if all(signs != signs[:k] * (length // k) for k in shorter):
                yield signs


def examine(job: Job) -> list[Outcome] | None:
    """Examine one left-hand side under every pattern of signs.

    Returns:
        What was found; None if the enclosure of the constant is too wide to tell.
    """
    x = job.lhs.enclose(job.low, job.high, job.bits)
    if x is None:
        return None
    found = []
    try:
        for signs in job.patterns:
            note("expansions")
            outcome = _examine_signs(job, x, signs)
            if outcome is not None:
                found.append(outcome)
    except _TooFewBitsError:
        return None
    return found


def _examine_signs(job: Job, x: Enclosure, signs: tuple[int, ...]) -> Outcome | None:
    """Screen, lift and verify the expansion of x with these signs."""
    source = quotients(x, signs)
    terms: list[int] = []
    massey = Massey(job.modulus)
    work = 0
    for term in itertools.islice(source, job.depth):
        terms.append(term)
        work += 1 + massey.work
        if massey.push(term) > job.most:  # it never shrinks: the rest need not be seen
            note("operations", work)
            return None
    note("operations", work)
    if len(terms) < job.depth:
        raise _TooFewBitsError
    recurrence = lift(massey, terms, allow_preperiod=job.allow_preperiod)
    if recurrence is None:
        return None
    rate = digits_after(terms, signs) / job.depth
    cylinder = Cylinder(signs)
    for term in terms:
        cylinder.push(term)
    give_up = 2 * job.depth + TERMS_PER_DIGIT * job.digits
    while cylinder.n < 2 * job.depth or cylinder.digits < job.digits:
        if cylinder.n == give_up:
            return None
        term = next(source, 0)
        if term == 0:
            raise _TooFewBitsError
        if term != recurrence.next(terms):
            return None
        terms.append(term)
        cylinder.push(term)
    note("operations", (len(terms) - job.depth) * (2 + recurrence.order))
    return Outcome(
        signs, recurrence, closed_form(recurrence), len(terms), int(cylinder.digits), rate
    )


def _distinct(sides: list[LeftHandSide], low: int, high: int, bits: int) -> list[LeftHandSide]:
    """Drop left-hand sides whose value a shorter one has, as an algebraic constant's do."""
    found: dict[int, LeftHandSide] = {}
    for lhs in sides:
        x = lhs.enclose(low, high, bits)
        # Half the bits are far from the enclosure's own width, and tell other values apart.
        key = hash(lhs) if x is None else round(Fraction(x.low << (bits // 2), x.low_over))
        found.setdefault(key, lhs)
    return list(found.values())


def _with_sign(lhs: LeftHandSide, low: int, bits: int) -> LeftHandSide:
    """Turn the numerator's sign where P(c) / Q(c) is negative, so that it prints as it is."""
    c = Fraction(low, 1 << bits)
    top, bottom = (sum(a * c**i for i, a in enumerate(p)) for p in lhs)
    return lhs.signed((top < 0) != (bottom < 0))


def _check_periods(periods: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(periods, tuple) or len(periods) != 2:
        raise RangeError(f"periods is {periods!r}; wanted the shortest and the longest period")
    shortest = check_integer("the shortest period", periods[0], low=1, high=12)
    return shortest, check_integer("the longest period", periods[1], low=shortest, high=12)
