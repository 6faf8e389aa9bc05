"""Left-hand sides |P(c) / Q(c)|: all of them once, in lowest terms."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tractable._core.checks import check_integer
from tractable.search.conjectures._continued import Enclosure

__all__ = ["LeftHandSide", "left_hand_sides"]


class LeftHandSide(NamedTuple):
    """|P(c) / Q(c)| for a constant c, P and Q without a common factor.

    Args:
        numerator: whole coefficients of P, constant first, the last not zero.
        denominator: those of Q, the last positive.
    """

    numerator: tuple[int, ...]
    denominator: tuple[int, ...]

    def enclose(self, low: int, high: int, bits: int) -> Enclosure | None:
        """Return bounds for c between low and high over 2^bits; None where P or Q may be zero."""
        top = _evaluate(self.numerator, low, high, bits)
        bottom = _evaluate(self.denominator, low, high, bits)
        if top is None or bottom is None:
            return None
        shift = (len(self.denominator) - len(self.numerator)) * bits
        up, down = max(0, shift), max(0, -shift)
        return Enclosure(top[0] << up, bottom[1] << down, top[1] << up, bottom[0] << down)

    def text(self, symbol: str) -> str:
        """Write it for a terminal, such as `(e + 1)/(e - 1)`; the absolute value goes unsaid."""
        top, bottom = (_polynomial(p, symbol, "{}^{}") for p in self)
        if self.denominator == (1,):
            return top
        top, bottom = (f"({p})" if " " in p else p for p in (top, bottom))
        return f"{top}/({bottom})" if "*" in bottom and "(" not in bottom else f"{top}/{bottom}"

    def latex(self, symbol: str) -> str:
        """Write it in LaTeX; the absolute value goes unsaid."""
        top, bottom = (_polynomial(p, symbol, "{}^{{{}}}", "") for p in self)
        return top if self.denominator == (1,) else rf"\frac{{{top}}}{{{bottom}}}"

    def signed(self, negative: bool) -> "LeftHandSide":
        """Return it with the numerator's sign turned if the value was negative."""
        return self._replace(numerator=tuple(-a for a in self.numerator)) if negative else self


def left_hand_sides(degree: int, coefficient_bound: int) -> list[LeftHandSide]:
    """List |P(c) / Q(c)| for whole coefficients, each function once, short ones first.

    Args:
        degree: largest degree of P and Q, at least 1.
        coefficient_bound: largest absolute value of a coefficient before common factors are
            taken out, at least 1.

    Returns:
        Every one that depends on c.

    Raises:
        DTypeError, RangeError: for numbers outside their range.

    Example:
        >>> [lhs.text("c") for lhs in left_hand_sides(1, 1)][:3]
        ['c', '1/c', 'c - 1']
    """
    degree = check_integer("degree", degree, low=1)
    bound = check_integer("coefficient_bound", coefficient_bound, low=1)
    values = range(-bound, bound + 1)
    polynomials = sorted(
        {_primitive(p) for p in itertools.product(values, repeat=degree + 1) if any(p)}
    )
    found = set()
    for top, bottom in itertools.product(polynomials, repeat=2):
        for a, b in _lowest(top, bottom, bound):
            found.add(LeftHandSide(a, b))
    return sorted(found, key=_length)


def _lowest(
    top: tuple[int, ...], bottom: tuple[int, ...], bound: int
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Cancel the common factor, and multiply by the numbers that the bound leaves room for."""
    common = _gcd(top, bottom)
    rooms = [bound // max(map(abs, p)) for p in (top, bottom)]
    if len(common) > 1:
        top, bottom = (_primitive(_divide(p, common)) for p in (top, bottom))
    if len(top) == len(bottom) == 1:
        return []
    scales = {
        (i // math.gcd(i, j), j // math.gcd(i, j))
        for i in range(1, rooms[0] + 1)
        for j in range(1, rooms[1] + 1)
    }
    return [(tuple(i * a for a in top), tuple(j * b for b in bottom)) for i, j in scales]


def _length(lhs: LeftHandSide) -> tuple[object, ...]:
    """Order by degree, by the size of the coefficients, and then as printed."""
    top, bottom = lhs
    terms = sum(1 for a in (*top, *bottom) if a)
    return len(top) + len(bottom), terms, sum(map(abs, (*top, *bottom))), -len(top), top, bottom


def _primitive(polynomial: Sequence[int | Fraction]) -> tuple[int, ...]:
    """Return the multiple with coprime whole coefficients and a positive leading one."""
    coefficients = list(polynomial)
    while coefficients[-1] == 0:
        coefficients.pop()
    scale = math.lcm(*(Fraction(a).denominator for a in coefficients))
    whole = [int(a * scale) for a in coefficients]
    divisor = math.gcd(*whole) * (1 if whole[-1] > 0 else -1)
    return tuple(a // divisor for a in whole)


def _remainder(top: Sequence[int], bottom: Sequence[int]) -> tuple[list[Fraction], list[Fraction]]:
    rest = [Fraction(a) for a in top]
    quotient: list[Fraction] = []
    while len(rest) >= len(bottom):
        factor = rest[-1] / bottom[-1]
        quotient.append(factor)
        for i, b in enumerate(reversed(bottom), 1):
            rest[-i] -= factor * b
        rest.pop()
    return quotient[::-1], rest


def _divide(top: Sequence[int], bottom: Sequence[int]) -> list[Fraction]:
    return _remainder(top, bottom)[0]


def _gcd(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    while len(b) > 1:
        rest = _remainder(a, b)[1]
        if not any(rest):
            return b
        a, b = b, _primitive(rest)
    return (1,)


def _evaluate(
    coefficients: Sequence[int], low: int, high: int, bits: int
) -> tuple[int, int] | None:
    """Return bounds of the absolute value times 2^(bits * degree), or None around zero."""
    least, most = coefficients[-1], coefficients[-1]
    for i, a in enumerate(reversed(coefficients[:-1]), 1):
        ends = [x * y for x in (least, most) for y in (low, high)]
        shifted = a << (bits * i)
        least, most = min(ends) + shifted, max(ends) + shifted
    if least <= 0 <= most:
        return None
    return (least, most) if least > 0 else (-most, -least)


def _polynomial(coefficients: Sequence[int], symbol: str, power: str, times: str = "*") -> str:
    """Write a polynomial, highest power first."""
    text = ""
    for i in range(len(coefficients) - 1, -1, -1):
        a = coefficients[i]
        if a == 0:
            continue
        body = "" if i == 0 else symbol if i == 1 else power.format(symbol, i)
        size = str(abs(a)) if i == 0 or abs(a) != 1 else ""
        term = f"{size}{times}{body}" if size and body else size + body
        sign = ("-" if a < 0 else "") if not text else (" - " if a < 0 else " + ")
        text += sign + term
    return text
