"""A found identity: its two sides, what was checked, and how to print it."""

import importlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tractable._core import DTypeError
from tractable._core.checks import check_integer
from tractable.search.conjectures._continued import Constant, Cylinder, enclose
from tractable.search.conjectures._left import LeftHandSide
from tractable.search.conjectures._recurrence import Recurrence

__all__ = ["Conjecture", "pslq_agrees"]


class Conjecture(NamedTuple):
    """|P(c) / Q(c)| = a_0 + s_0 / (a_1 + s_1 / (a_2 + ...)).

    Args:
        lhs: the left-hand side.
        symbol: how the constant is printed.
        signs: one period of s_n.
        recurrence: what a_n follows, exactly, preperiod included.
        polynomials: a_{preperiod + P m + j} = p_j(m), coefficients of p_j constant first, P of
            them; None if the recurrence has no such form.
        terms_checked: terms of the constant's own expansion that were certain and equal.
        digits_checked: decimal digits that those terms fix.
        digits_per_term: over the depth of the search.
    """

    lhs: LeftHandSide
    symbol: str
    signs: tuple[int, ...]
    recurrence: Recurrence
    polynomials: tuple[tuple[Fraction, ...], ...] | None
    terms_checked: int
    digits_checked: int
    digits_per_term: float

    def terms(self, n: int) -> tuple[list[int], list[int]]:
        """Return the first n terms a_n and signs s_n."""
        n = check_integer("n", n, low=0)
        return self.recurrence.terms(n), [self.signs[i % len(self.signs)] for i in range(n)]

    def evaluate(self, n: int) -> Fraction:
        """Return the right-hand side cut off after n terms, at least 1.

        Raises:
            DTypeError, RangeError: for another n.
        """
        n = check_integer("n", n, low=1)
        cylinder = Cylinder(self.signs)
        for term in self.recurrence.terms(n):
            cylinder.push(term)
        return cylinder.convergent

    def latex(self, terms: int = 5) -> str:
        r"""Write the identity in LaTeX: an equation, and the law of the terms after it.

        Args:
            terms: how many terms the fraction shows, at least 2.

        Raises:
            DTypeError, RangeError: for another number of terms.
        """
        count = check_integer("terms", terms, low=2)
        right = r"\ddots"
        numbers, signs = self.terms(count)
        for i in range(count - 1, -1, -1):
            sign = "+" if signs[i] > 0 else "-"
            tail = right if right == r"\ddots" else rf"\cfrac{{1}}{{{right}}}"
            right = f"{numbers[i]} {sign} {tail}"
        return f"{self.lhs.latex(self.symbol)} = {right}, \\quad {self._law()}"

    def _law(self) -> str:
        """Write the terms' law: closed forms where there are any, the recurrence otherwise."""
        skipped = self.recurrence.preperiod
        if self.polynomials is None:
            parts = [
                f"{'-' if c < 0 else '+'} {abs(c) if abs(c) != 1 else ''}a_{{n-{i}}}"
                for i, c in enumerate(self.recurrence.coefficients, 1)
                if c
            ]
            law = " ".join(parts).removeprefix("+ ")
            return rf"a_n = {law} \; (n \ge {len(self.recurrence.start)})"
        period = len(self.polynomials)
        laws = []
        for j, polynomial in enumerate(self.polynomials):
            index = f"{period}m" if period > 1 else "m"
            index += f"+{skipped + j}" if skipped + j else ""
            laws.append(f"a_{{{index}}} = {_in_m(polynomial)}")
        return ",\\; ".join(laws) + " \\; (m \\ge 0)"

    def __str__(self) -> str:
        """Show the identity in one line: left-hand side, signs, terms with the period marked."""
        skipped = self.recurrence.preperiod
        before = [str(a) for a in self.recurrence.start[:skipped]]
        if self.polynomials is None:
            after = "..."
            before = [str(a) for a in self.recurrence.terms(skipped + self.recurrence.order + 4)]
        else:
            after = "(" + ", ".join(_in_m(p) for p in self.polynomials) + ")"
        signs = "".join("+" if s > 0 else "-" for s in self.signs)
        return f"{self.lhs.text(self.symbol)} = [{', '.join([*before, after])}] signs {signs}"


def _in_m(polynomial: Sequence[Fraction]) -> str:
    """Write a polynomial in m over one denominator."""
    scale = math.lcm(*(a.denominator for a in polynomial))
    whole = tuple(int(a * scale) for a in polynomial)
    form = LeftHandSide(whole, (1,)).latex("m") or "0"
    return form if scale == 1 else f"({form})/{scale}"


def pslq_agrees(conjecture: Conjecture, constant: Constant, *, digits: int = 60) -> bool:
    """Whether integer relations find the same left-hand side from the right-hand side alone.

    The value v of the continued fraction is computed from its law, without the constant; PSLQ
    then looks for whole numbers with Σ p_i c^i = Σ q_i v c^i.

    Args:
        conjecture: the identity.
        constant: the same constant; a transcendental one, else there are many relations.
        digits: of the values that PSLQ sees.

    Returns:
        Whether the relation found is this left-hand side, up to sign.

    Raises:
        DTypeError, RangeError: for digits that are no whole number from 20 on.
    """
    mpmath = importlib.import_module("mpmath")
    digits = check_integer("digits", digits, low=20)
    if not isinstance(conjecture, Conjecture):
        raise DTypeError(f"conjecture is {conjecture!r}; wanted one that `esma` returned")
    bits = int((digits + 10) * math.log2(10)) + 1
    lower, _ = enclose(constant, bits)
    cylinder = Cylinder(conjecture.signs)
    for term in conjecture.recurrence.terms(conjecture.terms_checked):
        cylinder.push(term)
    value = cylinder.convergent
    top, bottom = conjecture.lhs
    with mpmath.workdps(digits):
        c = mpmath.ldexp(mpmath.mpf(lower), -bits)
        v = mpmath.mpf(value.numerator) / value.denominator
        basis = [c**i for i in range(len(top))] + [v * c**i for i in range(len(bottom))]
        found = mpmath.pslq(basis, maxcoeff=10**6, maxsteps=10**5)
    if found is None:
        return False
    wanted = [*top, *(-b for b in bottom)]
    return found in (wanted, [-a for a in wanted])
