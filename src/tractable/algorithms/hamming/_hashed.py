"""The paper's own step: hash positions, transform packed counts, resolve what stays ambiguous."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tractable._core import note
from tractable.algorithms.hamming._engines import MANTISSA, letter_positions, transform_cost
from tractable.algorithms.hamming._letters import Codes, Pattern

Positions = NDArray[np.int64]

CLASSES = 8
"""The checksum's modulus is this many times smaller than the hash's."""

ROUNDS = 3
"""Hashing is repeated with a new modulus at most so often before the last sums are done plainly."""


class Packing:
    """How many positions share one coefficient, and how many bits each count gets.

    Args:
        first, second: how many positions each set has.
        reach: positions of the first set are below it, those of the second below `other_reach`.
        most: cap on the fields; one field is a plain transform, the step without its idea.
        bits: of each count; None takes what evenly spread positions need.
    """

    def __init__(
        self,
        first: int,
        second: int,
        reach: int,
        other_reach: int,
        most: int = 16,
        *,
        bits: int | None = None,
    ) -> None:
        """Take the most fields that a 53-bit mantissa holds with rounding far below one half."""
        typical = first * second / max(reach, other_reach)  # where the two sets overlap fully
        self.bits = bits or math.ceil(typical + 4 * math.sqrt(typical) + 2).bit_length()
        self.fields = 1
        self.modulus = max(reach, other_reach)
        noise = math.log2(math.sqrt(first * second)) + 4
        for fields in range(2, most + 1):
            modulus = -(-max(reach, other_reach) // fields)
            highest = (reach - 1) // modulus + (other_reach - 1) // modulus
            if self.bits * (highest + 1) > MANTISSA or self.bits * highest + noise > 52:
                break
            self.fields, self.modulus = fields, modulus
        self.highest = (reach - 1) // self.modulus + (other_reach - 1) // self.modulus

    @property
    def length(self) -> int:
        """The transform's length."""
        return int(fft.next_fast_len(2 * (self.modulus + CLASSES), real=True))

    def cost(self) -> float:
        """Return the operations of one round."""
        check = int(fft.next_fast_len(self.modulus // CLASSES + 1, real=True))
        unpacking = 2.0 * self.length * (self.highest + 1)
        return 3 * transform_cost(self.length) + 3 * transform_cost(check) + unpacking


def hashed_cost(text_count: int, pattern_count: int, size: int, pattern_size: int) -> float:
    """Return the expected operations of one letter, over all blocks of the text."""
    if not text_count or not pattern_count:
        return 0.0
    blocks = max(1, -(-(size - pattern_size + 1) // (pattern_size + 1)))
    block = min(size, 2 * pattern_size)
    packing = Packing(max(1, text_count // blocks), pattern_count, block, pattern_size)
    return blocks * packing.cost()


def count_by_hashing(
    text: Codes,
    pattern: Pattern,
    chosen: NDArray[np.bool_],
    matches: NDArray[np.int32],
    *,
    most_fields: int = 16,
) -> None:
    """Count each chosen letter as a sumset of text positions and reversed pattern positions."""
    size = pattern.size
    rng = np.random.default_rng(0)  # the moduli change the cost, never the counts
    for letter in np.flatnonzero(chosen):
        ours = size - 1 - letter_positions(pattern, int(letter))
        places = np.flatnonzero(text == letter)
        for first in range(0, matches.size, size + 1):
            part = matches[first : first + size + 1]
            reach = part.size + size - 1
            low, high = np.searchsorted(places, (first, first + reach))
            theirs = places[low:high] - first
            wanted = (size - 1, size - 1 + part.size)
            part += count_sums(
                theirs,
                ours,
                reach=reach,
                other_reach=size,
                wanted=wanted,
                rng=rng,
                most_fields=most_fields,
            )


def count_sums(
    first: Positions,
    second: Positions,
    *,
    reach: int,
    other_reach: int,
    wanted: tuple[int, int],
    rng: np.random.Generator,
    most_fields: int = 16,
) -> NDArray[np.int32]:
    """Return how many pairs have each sum in `wanted` (low, high); exact whatever the draws.

    Positions are hashed modulo p; the quotient chooses the bits of the coefficient. A count
    that outgrows its bits carries into the next ones, which lowers the sum of the fields below
    the number of pairs hashed there: those classes are ambiguous, and are hashed again.
    """
    low, high = wanted
    counts = np.zeros(high - low, np.int32)
    if not first.size or not second.size:
        return counts
    open_sums = np.arange(low, high)
    packing = Packing(first.size, second.size, reach, other_reach, most_fields)
    for _ in range(ROUNDS):
        plain = min(first.size, second.size) * open_sums.size
        if plain <= packing.cost():
            break
        found, sure = _count_hashed(first, second, packing, open_sums, rng)
        counts[open_sums[sure] - low] = found[sure]
        open_sums = open_sums[~sure]
        packing = Packing(
            first.size, second.size, reach, other_reach, packing.fields, bits=2 * packing.bits
        )
    if open_sums.size:
        counts[open_sums - low] = _count_plainly(first, second, reach, open_sums)
    return counts


def _count_hashed(
    first: Positions,
    second: Positions,
    packing: Packing,
    sums: Positions,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a count for each sum and whether it is certain."""
    modulus = packing.modulus + int(rng.integers(0, CLASSES))
    length, bits = packing.length, packing.bits
    low_first, low_second = first % modulus, second % modulus
    values = _convolve(
        np.bincount(low_first, np.exp2(bits * (first // modulus)), length),
        np.bincount(low_second, np.exp2(bits * (second // modulus)), length),
    )
    note("operations", 3 * transform_cost(length) + 2 * length * (packing.highest + 1))
    whole = np.rint(values)
    exact = bool(np.abs(values - whole).max() < 0.25)
    packed = whole.astype(np.int64)
    mask = (1 << bits) - 1
    shifts = bits * np.arange(packing.highest + 1)
    digits = (packed[:, None] >> shifts) & mask
    # The same pairs, counted by class without packing: a carry takes 2**bits - 1 from the digits.
    classes = max(1, modulus // CLASSES)
    check = _convolve(
        np.bincount(low_first % classes, minlength=classes).astype(float),
        np.bincount(low_second % classes, minlength=classes).astype(float),
    )
    note("operations", 3 * transform_cost(classes))
    place = np.arange(length) % classes
    seen = np.bincount(place, digits.sum(axis=1), classes)
    certain = np.abs(seen - np.rint(check)) < 0.5
    # A sum is reached with the remainders' sum below the modulus, or one quotient lower above it.
    remainder, quotient = sums % modulus, sums // modulus
    over = remainder + modulus
    counts = np.where(quotient <= packing.highest, _pick(digits, remainder, quotient), 0)
    counts += np.where(over < length, _pick(digits, over, quotient - 1), 0)
    sure = certain[remainder % classes] & certain[over % classes]
    return counts, sure & exact


def _pick(digits: NDArray[np.int64], rows: Positions, columns: Positions) -> NDArray[np.int64]:
    inside = (columns >= 0) & (columns < digits.shape[1]) & (rows < digits.shape[0])
    return np.where(inside, digits[np.where(inside, rows, 0), np.where(inside, columns, 0)], 0)


def _convolve(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cyclic convolution."""
    product = fft.rfft(first) * fft.rfft(second)
    return np.asarray(fft.irfft(product, first.size))


def _count_plainly(
    first: Positions, second: Positions, reach: int, sums: Positions
) -> NDArray[np.int64]:
    """Count the pairs of the sums that are left, by look-up or by one plain transform."""
    few, many = sorted((first, second), key=len)
    span = int(max(first.max(), second.max())) + 1
    length = int(fft.next_fast_len(2 * span, real=True))
    if few.size * sums.size <= 3 * transform_cost(length):
        note("operations", few.size * sums.size)
        present = np.bincount(many, minlength=2 * span + 1)
        counts = np.zeros(sums.size, np.int64)
        for place in few:
            other = sums - place
            inside = (other >= 0) & (other < present.size)
            counts += np.where(inside, present[np.where(inside, other, 0)], 0)
        return counts
    note("operations", 3 * transform_cost(length))
    values = _convolve(
        np.bincount(first, minlength=length).astype(float),
        np.bincount(second, minlength=length).astype(float),
    )
    inside = sums < length
    return np.where(inside, np.rint(values)[np.where(inside, sums, 0)], 0).astype(np.int64)
