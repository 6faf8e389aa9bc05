"""The shortest linear recurrence of a sequence, its lift to whole numbers, and closed forms."""

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from operator import mul
from typing import Any, NamedTuple

from tractable._core import DTypeError, RangeError, note
from tractable._core.checks import check_integer

__all__ = ["MODULUS", "Massey", "Recurrence", "berlekamp_massey", "closed_form", "fit_recurrence"]

MODULUS = 2**61 - 1
"""A prime beyond any coefficient of an interlaced polynomial's recurrence."""

SPARE = 4
"""Terms beyond twice the length that must follow the recurrence too."""


class Recurrence(NamedTuple):
    """a_n = Σ_i coefficients[i] a_{n-1-i} from some term on, with what comes before.

    Args:
        coefficients: whole numbers, the last of them not zero.
        start: the first terms: the preperiod, then as many as there are coefficients.
    """

    coefficients: tuple[int, ...]
    start: tuple[int, ...]

    @property
    def order(self) -> int:
        """How many terms the next one depends on."""
        return len(self.coefficients)

    @property
    def preperiod(self) -> int:
        """How many of the first terms the recurrence never looks at."""
        return len(self.start) - self.order

    def terms(self, n: int) -> list[int]:
        """Return the first n terms."""
        found = list(self.start[:n])
        while len(found) < n:
            found.append(self.next(found))
        return found

    def next(self, terms: Sequence[int]) -> int:
        """Return the term after `terms`."""
        return sum(c * terms[-1 - i] for i, c in enumerate(self.coefficients) if c)


class Massey:
    """Berlekamp's and Massey's algorithm, one term at a time.

    Args:
        modulus: a prime.
    """

    def __init__(self, modulus: int) -> None:
        """Start with no term and the empty recurrence."""
        self._p = modulus
        self._seen: list[int] = []
        self._now, self._old = [1], [1]
        self._gap, self._last = 1, 1
        self.length = 0

    def push(self, term: int) -> int:
        """Read a term; return the length of the shortest recurrence of all terms read."""
        p, seen = self._p, self._seen
        seen.append(term % p)
        window = seen[-1 : -len(self._now) - 1 : -1]
        miss = sum(map(mul, self._now, window)) % p
        if miss == 0:
            self._gap += 1
            return self.length
        factor = miss * pow(self._last, -1, p) % p
        now = self._now + [0] * (self._gap + len(self._old) - len(self._now))
        for i, value in enumerate(self._old, self._gap):
            now[i] = (now[i] - factor * value) % p
        if 2 * self.length < len(seen):
            self.length = len(seen) - self.length
            self._old, self._last, self._gap = self._now, miss, 1
        else:
            self._gap += 1
        self._now = now
        return self.length

    @property
    def work(self) -> int:
        """Products made by the last term's test, for counting."""
        return len(self._now)

    def coefficients(self) -> list[int]:
        """Return c with a_n = Σ c_i a_{n-1-i} modulo the prime, `length` of them, 0 to p - 1."""
        padded = self._now[1:] + [0] * self.length
        return [-c % self._p for c in padded[: self.length]]


def berlekamp_massey(
    sequence: Iterable[Any], modulus: int | None = None
) -> tuple[list[int] | list[Fraction], int]:
    """Return the shortest linear recurrence of a sequence and its length.

    Args:
        sequence: whole numbers; fractions too where no modulus is given.
        modulus: a prime; None works with rational numbers.

    Returns:
        Coefficients c with a_n = Σ c_i a_{n-1-i} for n from the length on, and the length. Zeros
        at the end say that the first terms break the pattern. They are unique if the sequence
        has at least twice as many terms.

    Raises:
        DTypeError: for terms that are no whole numbers or fractions.
        RangeError: for a modulus that is no prime.

    Example:
        >>> berlekamp_massey([7, 1, 1, 2, 3, 5, 8, 13], 101)
        ([1, 1, 0], 3)
        >>> berlekamp_massey([1, 2, 4, 8, 16])
        ([Fraction(2, 1)], 1)
    """
    if modulus is not None:
        massey = Massey(check_prime(modulus))
        for term in check_terms(sequence):
            massey.push(term)
        return massey.coefficients(), massey.length
    sequence = list(sequence)
    if any(isinstance(a, bool) or not isinstance(a, int | Fraction) for a in sequence):
        raise DTypeError("the sequence has terms that are no fractions; wanted whole numbers")
    now, old, gap, last, length = [Fraction(1)], [Fraction(1)], 1, Fraction(1), 0
    for n in range(len(sequence)):
        miss = sum((c * sequence[n - i] for i, c in enumerate(now) if i <= n), Fraction(0))
        if miss == 0:
            gap += 1
            continue
        update = now + [Fraction(0)] * (gap + len(old) - len(now))
        for i, value in enumerate(old, gap):
            update[i] -= miss / last * value
        if 2 * length <= n:
            length, old, last, gap = n + 1 - length, now, miss, 1
        else:
            gap += 1
        now = update
    padded = now[1:] + [Fraction(0)] * length
    return [-c for c in padded[:length]], length


def fit_recurrence(
    sequence: Iterable[Any],
    *,
    max_length: int | None = None,
    modulus: int = MODULUS,
    allow_preperiod: bool = True,
) -> Recurrence | None:
    """Find a linear recurrence over the whole numbers that the sequence follows exactly.

    Args:
        sequence: whole numbers.
        max_length: largest preperiod plus order; None takes all. Whatever is given, four terms
            beyond twice the length must be there to test it.
        modulus: a prime; coefficients lie within half of it.
        allow_preperiod: whether the first terms may break the pattern.

    Returns:
        The recurrence, which every term satisfies as a whole number, or None.

    Raises:
        DTypeError, RangeError: for terms that are no whole numbers, or no prime.

    Example:
        >>> fit_recurrence([9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
        Recurrence(coefficients=(2, -1), start=(9, 1, 2))
    """
    terms = check_terms(sequence)
    most = len(terms) if max_length is None else check_integer("max_length", max_length, low=0)
    most = min(most, (len(terms) - SPARE) // 2)
    massey = Massey(check_prime(modulus))
    work = 0
    for term in terms:
        work += massey.work
        if massey.push(term) > most:
            note("operations", work)
            return None
    note("operations", work)
    return lift(massey, terms, allow_preperiod=allow_preperiod)


def lift(massey: Massey, terms: Sequence[int], *, allow_preperiod: bool) -> Recurrence | None:
    """Return the recurrence with coefficients nearest to zero if all terms follow it exactly.

    A sequence of whole numbers with a rational recurrence has one with whole coefficients
    (Fatou's lemma), so no denominators are looked for.
    """
    p, length = massey._p, massey.length
    balanced = [c - p if 2 * c > p else c for c in massey.coefficients()]
    while balanced and balanced[-1] == 0:
        balanced.pop()
    found = Recurrence(tuple(balanced), tuple(terms[:length]))
    if found.preperiod and not allow_preperiod:
        return None
    follows = all(found.next(terms[:n]) == terms[n] for n in range(length, len(terms)))
    note("operations", (len(terms) - length) * found.order)
    return found if follows else None


def closed_form(recurrence: Recurrence) -> tuple[tuple[Fraction, ...], ...] | None:
    """Write the sequence after its preperiod as interlaced polynomials.

    Returns:
        For the least possible period P, one tuple of coefficients (constant first) for each
        j < P with a_{preperiod + P m + j} = p_j(m); None if no period up to
        four times the order will do.
        This is proved, not fitted: both sides follow recurrences whose lengths add up to fewer
        terms than were compared.

    Example:
        >>> closed_form(Recurrence((2, -1), (9, 1, 2)))
        ((Fraction(1, 1), Fraction(1, 1)),)
    """
    order, skipped = recurrence.order, recurrence.preperiod
    # Roots of unity of order P need not all occur: a period can exceed the order.
    terms = list(recurrence.start)
    for period in range(1, max(1, 4 * order) + 1):
        count = order + period * (2 * order + 2)
        while len(terms) < skipped + count:
            terms.append(recurrence.next(terms))
        tail = terms[skipped : skipped + count]
        polynomials = []
        for j in range(period):
            leading = _differences(tail[j::period], order)
            if leading is None:
                break
            polynomials.append(_monomials(leading))
        else:
            return tuple(polynomials)
    return None


def _differences(values: list[int], most: int) -> list[int] | None:
    """Return the leading differences of a polynomial's values, or None if there are too many."""
    leading: list[int] = []
    while any(values):
        if len(leading) == most:
            return None
        leading.append(values[0])
        values = [b - a for a, b in itertools.pairwise(values)]
    return leading


def _monomials(leading: list[int]) -> tuple[Fraction, ...]:
    """Turn Σ_k leading[k] binomial(m, k) into coefficients of powers of m."""
    total = [Fraction(0)] * max(1, len(leading))
    basis = [Fraction(1)]
    for k, value in enumerate(leading):
        for i, coefficient in enumerate(basis):
            total[i] += value * coefficient
        shifted = [Fraction(0), *basis]  # times (m - k) / (k + 1)
        basis = [
            (shifted[i] - k * (basis[i] if i < len(basis) else 0)) / (k + 1)
            for i in range(len(shifted))
        ]
    return tuple(total)


def check_terms(sequence: Iterable[Any]) -> list[int]:
    """Return the sequence as Python integers, which do not overflow."""
    return [check_integer("a term", term) for term in sequence]


def check_prime(modulus: int) -> int:
    """Return the modulus if it is a prime below 2^64.

    Raises:
        RangeError: if it is none.
    """
    p = check_integer("modulus", modulus, low=2, high=2**64)
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)  # these decide every p below 2^64
    if p in bases:
        return p
    odd, twos = p - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        power = pow(base, odd, p)
        chain = [power := (power if i == 0 else power * power % p) for i in range(twos)]
        if p % 2 == 0 or (chain[0] != 1 and p - 1 not in chain):
            raise RangeError(f"modulus is {p}; wanted a prime such as 199 or 2**61 - 1")
    return p
