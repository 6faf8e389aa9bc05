"""The paper's screening in a few lines, with fractions and brute force."""

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["reference"]


def reference(
    x: Fraction, signs: Sequence[int], depth: int, modulus: int = 199
) -> tuple[list[int], int]:
    """Expand a fraction with given signs, and try lengths of recurrences until one fits.

    Args:
        x: the number.
        signs: one period of the signs.
        depth: terms wanted; fewer if the expansion ends.
        modulus: a prime.

    Returns:
        The terms and the length of their shortest recurrence modulo the prime.
    """
    terms: list[int] = []
    for n in range(depth):
        sign = signs[n % len(signs)]
        terms.append(x.__floor__() if sign > 0 else x.__ceil__())
        if x == terms[-1]:
            break
        x = sign / (x - terms[-1])
    length = 0
    while not _solvable(
        [[a % modulus for a in terms[n - length : n + 1]] for n in range(length, len(terms))],
        modulus,
    ):
        length += 1
    return terms, length


def _solvable(rows: list[list[int]], modulus: int) -> bool:
    """Whether the last column is a combination of the others, by elimination."""
    for column in range(len(rows[0]) - 1 if rows else 0):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is None:
            continue
        rows = [row for row in rows if row is not pivot]
        inverse = pow(pivot[column], -1, modulus)
        rows = [
            [(a - row[column] * inverse * b) % modulus for a, b in zip(row, pivot, strict=True)]
            for row in rows
        ]
    return not any(row[-1] for row in rows)
