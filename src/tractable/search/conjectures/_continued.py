"""Signed continued fractions: certified terms from an enclosure, and convergents back."""

import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

from tractable._core import DataError, DTypeError, MissingPackageError, RangeError, note
from tractable._core.checks import check_integer

__all__ = ["Constant", "Enclosure", "enclose", "quotients", "signed_continued_fraction"]

Constant = Callable[[], Any]
"""A function without arguments whose value mpmath computes to its working precision."""

GUARD = 64
"""Bits beyond those asked for, so that mpmath's rounding cannot touch what is used."""

MOST_BITS = 1 << 16
"""Bits at which a number whose terms cannot be told apart counts as rational."""


class Enclosure(NamedTuple):
    """A positive number that lies within [low / low_over, high / high_over]."""

    low: int
    low_over: int
    high: int
    high_over: int


def enclose(constant: Constant, bits: int) -> tuple[int, int]:
    """Return whole numbers around 2^bits times the constant.

    Raises:
        DTypeError: if the constant is not callable, or has no real value.
        DataError: if its value is not finite.
        MissingPackageError: without mpmath.
    """
    try:
        mpmath = importlib.import_module("mpmath")
    except ImportError as error:
        raise MissingPackageError("constants need mpmath; pip install mpmath") from error
    if not callable(constant):
        raise DTypeError(
            f"constant is {constant!r}; wanted a function without arguments, such as mpmath.e or "
            "lambda: mpmath.tan(1)"
        )
    with mpmath.workprec(bits + GUARD):
        value = constant()
        if not isinstance(value, int | mpmath.mpf):
            raise DTypeError(
                f"the constant's value is a {type(value).__name__}; wanted a real mpmath number, "
                "computed to mpmath's working precision whenever it is called"
            )
        value = mpmath.mpf(value)
        if not mpmath.isfinite(value):
            raise DataError(f"the constant's value is {value}; wanted a finite number")
        size = max(0, int(mpmath.mag(value))) if value else 0
    with mpmath.workprec(bits + GUARD + size):
        scaled = int(mpmath.floor(mpmath.ldexp(mpmath.mpf(constant()), bits)))
    return scaled - 1, scaled + 2


def quotients(x: Enclosure, signs: Sequence[int]) -> Iterator[int]:
    """Yield the terms that every number of the enclosure shares, until they differ.

    A term is the floor where its sign is 1 and the ceiling where it is -1, so that what is left
    has the sign's sign and the next number is larger than one. A rational number, given as an
    enclosure of no width, ends where nothing is left.
    """
    p, q, r, s = x
    exact = p * s == q * r
    for n in range(1 << 62):
        sign = signs[n % len(signs)]
        if sign > 0:
            term, other = p // q, r // s
        else:
            term, other = -(-p // q), -(-r // s)
        if term != other:
            return
        p, q = sign * q, p - term * q
        r, s = sign * s, r - term * s
        if not exact and (q == 0 or s == 0):
            return  # an end of the enclosure is this term itself, what is inside is not
        yield term
        if q == 0:
            return
        if q < 0:
            p, q = -p, -q
        if s < 0:
            r, s = -r, -s


def check_signs(signs: Sequence[int]) -> tuple[int, ...]:
    """Return the period of the signs as a tuple.

    Raises:
        RangeError: unless there is one at least and each is 1 or -1.
    """
    found = tuple(signs)
    if not found or any(isinstance(s, bool) or s not in (1, -1) for s in found):
        raise RangeError(f"signs is {signs!r}; wanted one period of signs, each 1 or -1")
    return tuple(int(s) for s in found)


def signed_continued_fraction(
    x: Constant | Fraction | int | tuple[Fraction, Fraction], signs: Sequence[int], depth: int
) -> list[int]:
    """Write a number as a_0 + s_0 / (a_1 + s_1 / (a_2 + ...)) with given signs.

    Args:
        x: a rational number, whose expansion may end early; two rational numbers around an
            unknown one, of which the terms that they share are returned; or a function without
            arguments that mpmath evaluates, whose precision is doubled until `depth` terms are
            certain.
        signs: one period of the signs s_n, each 1 or -1.
        depth: terms wanted, at least 1.

    Returns:
        The terms a_n. Each but the first is at least 1, and at least 2 where its sign is -1.

    Raises:
        DTypeError: for an x of another type.
        DataError: for a function whose value looks rational.
        RangeError: for other signs, or bounds in the wrong order.

    Example:
        >>> signed_continued_fraction(Fraction(415, 93), [1], 10)
        [4, 2, 6, 7]
        >>> import mpmath
        >>> signed_continued_fraction(mpmath.e, [1], 10)
        [2, 1, 2, 1, 1, 4, 1, 1, 6, 1]
    """
    period = check_signs(signs)
    depth = check_integer("depth", depth, low=1)
    if isinstance(x, int | Fraction):
        return list(islice(quotients(_between(Fraction(x), Fraction(x)), period), depth))
    if isinstance(x, tuple):
        low, high = x
        if not (isinstance(low, int | Fraction) and isinstance(high, int | Fraction)):
            raise DTypeError(f"x is {x!r}; wanted two fractions")
        if low > high:
            raise RangeError(f"x is {low} to {high}; wanted the smaller bound first")
        return list(islice(quotients(_between(Fraction(low), Fraction(high)), period), depth))
    bits = 8 * depth + GUARD
    while True:
        lower, upper = enclose(x, bits)
        scale = 1 << bits
        terms = list(islice(quotients(Enclosure(lower, scale, upper, scale), period), depth))
        if len(terms) == depth:
            return terms
        if bits > max(MOST_BITS, 64 * depth):
            raise DataError(
                f"only {len(terms)} terms are certain at {bits} bits; the number looks rational, "
                "give it as a fraction"
            )
        bits *= 2


def _between(low: Fraction, high: Fraction) -> Enclosure:
    return Enclosure(low.numerator, low.denominator, high.numerator, high.denominator)


class Cylinder:
    """The numbers whose expansion starts with the terms pushed so far, by exact convergents."""

    def __init__(self, signs: Sequence[int]) -> None:
        """Start with no term."""
        self._signs = signs
        self._last = (1, 0)
        self._before = (0, 0)
        self.n = 0

    def push(self, term: int) -> None:
        """Append a term."""
        sign = self._signs[(self.n - 1) % len(self._signs)]
        a, b = self._last
        c, d = self._before
        before = (term * a + sign * c, term * b + sign * d) if self.n else (term, 1)
        self._before, self._last = self._last, before
        self.n += 1

    @property
    def convergent(self) -> Fraction:
        """The value of the terms so far."""
        return Fraction(*self._last)

    @property
    def digits(self) -> float:
        """Decimal digits that the terms so far fix: minus the logarithm of the width."""
        sign = self._signs[(self.n - 1) % len(self._signs)]
        far = abs(self._last[1] + sign * self._before[1])
        if not self._last[1] or not far:
            return 0.0
        return math.log10(abs(self._last[1])) + math.log10(far)


def digits_after(terms: Sequence[int], signs: Sequence[int]) -> float:
    """Return the decimal digits that an expansion's first terms fix."""
    cylinder = Cylinder(signs)
    for term in terms:
        cylinder.push(term)
    note("operations", len(terms))
    return cylinder.digits
