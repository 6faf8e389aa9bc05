"""The search that came before: try right-hand sides, look their values up among left-hand ones."""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tractable._core import RangeError, note
from tractable._core.checks import check_integer
from tractable.search.conjectures._conjecture import Conjecture
from tractable.search.conjectures._continued import Constant, enclose
from tractable.search.conjectures._left import left_hand_sides
from tractable.search.conjectures._recurrence import MODULUS
from tractable.search.conjectures._search import Job, _with_sign, examine, sign_patterns

__all__ = ["exhaustive_search"]

TERMS = 30
"""Terms at which a right-hand side is evaluated in double precision."""

CLOSE = 1e-12
"""Relative distance at which two values are looked at exactly."""

BATCH = 1 << 15
MOST = 1 << 26
"""Candidates that one call may try."""


def exhaustive_search(
    constant: Constant,
    *,
    symbol: str = "c",
    degree: int = 1,
    coefficient_bound: int = 2,
    interlaced: int = 1,
    largest: int = 4,
    periods: tuple[int, int] = (1, 1),
    budget: int | None = None,
    stop_after: int | None = None,
    verify_digits: int = 200,
) -> list[Conjecture]:
    """Try every continued fraction whose terms are interlaced polynomials of degree one.

    Values are computed in double precision for whole batches, and what meets a left-hand side is
    verified as in `esma`.

    Args:
        constant, symbol, degree, coefficient_bound, periods, verify_digits: as in `esma`.
        interlaced: how many polynomials p_j(m) = u_j + v_j m take turns, at least 1.
        largest: u_j and v_j run from 0 to this, small ones first.
        budget: operations (terms evaluated) after which it ends; None tries all.
        stop_after: identities after which it ends; None tries all.

    Returns:
        The identities found.

    Raises:
        DTypeError, RangeError: for options outside their range, or more than 2^26 candidates.

    Example:
        >>> import mpmath
        >>> found = exhaustive_search(lambda: mpmath.tanh(1), coefficient_bound=1, largest=2)
        >>> [str(conjecture) for conjecture in found]
        ['1/c = [(2m + 1)] signs +']
    """
    interlaced = check_integer("interlaced", interlaced, low=1)
    largest = check_integer("largest", largest, low=1)
    patterns = list(sign_patterns(*periods))
    total = (largest + 1) ** (2 * interlaced) * len(patterns)
    if total > MOST:
        raise RangeError(f"{total:,} candidates; wanted at most {MOST:,}, make `largest` smaller")
    digits = check_integer("verify_digits", verify_digits, low=10)
    depth = 2 * TERMS
    bits = max(64 * depth, 4 * digits) + 64
    low, high = enclose(constant, bits)
    sides, values = [], []
    for lhs in left_hand_sides(degree, coefficient_bound):
        x = lhs.enclose(low, high, bits)
        if x is not None:
            sides.append(lhs)
            values.append(x.low / x.low_over)
    order = np.argsort(values)
    table = np.asarray(values)[order]
    found: list[Conjecture] = []
    spent = 0
    for batch in _batches(interlaced, largest):
        terms = _terms(batch, TERMS)
        for signs in patterns:
            spent += terms.shape[0] * TERMS
            note("operations", terms.shape[0] * TERMS)
            note("expansions", terms.shape[0])
            for candidate, place in _matches(_evaluate(terms, signs), table):
                lhs = sides[order[place]]
                job = Job(
                    lhs, low, high, bits, (signs,), depth, depth // 2 - 2, MODULUS, digits, True
                )
                for outcome in examine(job) or ():
                    wanted = terms[candidate].astype(int).tolist()
                    if outcome.recurrence.terms(TERMS) == wanted:
                        side = _with_sign(lhs, low, bits)
                        found.append(Conjecture(side, symbol, *outcome))
            if len(found) >= (stop_after or np.inf) or spent >= (budget or np.inf):
                return found[:stop_after]
    return found


def _batches(interlaced: int, largest: int) -> Iterator[NDArray[np.int64]]:
    """Yield pairs (u_j, v_j) in batches (candidates, j, 2), by growing largest entry."""
    for most in range(largest + 1):
        every = itertools.product(range(most + 1), repeat=2 * interlaced)
        shell = (entries for entries in every if max(entries) == most)
        while True:
            part = list(itertools.islice(shell, BATCH))
            if not part:
                break
            yield np.asarray(part, np.int64).reshape(-1, interlaced, 2)


def _terms(batch: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the first terms of the candidates that are expansions: 1 at least after the first."""
    n = np.arange(count)
    j, m = n % batch.shape[1], n // batch.shape[1]
    terms = batch[:, j, 0] + m * batch[:, j, 1]
    kept: NDArray[np.float64] = terms[(terms[:, 1:] >= 1).all(axis=1)].astype(np.float64)
    return kept


def _evaluate(terms: NDArray[np.float64], signs: tuple[int, ...]) -> NDArray[np.float64]:
    """Evaluate from the last term backwards; what is no expansion under these signs is NaN."""
    count = terms.shape[1]
    value = terms[:, -1].copy()
    legal = np.ones(value.size, np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        for n in range(count - 2, -1, -1):
            sign = signs[n % len(signs)]
            value = terms[:, n] + sign / value
            if sign < 0 and n:
                legal &= terms[:, n] >= 2
    value[~legal] = np.nan
    return value


def _matches(values: NDArray[np.float64], table: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield (candidate, place in the sorted table) of values that are equal up to rounding."""
    places = np.searchsorted(table, values)
    for shift in (-1, 0):
        near = np.clip(places + shift, 0, table.size - 1)
        close = np.abs(values - table[near]) <= CLOSE * table[near]
        for candidate in np.flatnonzero(close):
            yield int(candidate), int(near[candidate])
