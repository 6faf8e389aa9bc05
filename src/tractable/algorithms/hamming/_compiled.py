"""The loops that NumPy cannot vectorise, compiled with Numba; they take no keywords."""

from typing import no_type_check

import numpy as np
from numba import njit

WORDS = 128
"""Words of 64 shifts that one block of counters holds; eight rows of it fit the first cache."""


@njit(cache=True, nogil=True)
@no_type_check
def add_pairs(  # noqa: PLR0917
    codes, starts, positions, chosen, matches, size
):
    """Add one at every shift at which a text letter of a chosen row meets a pattern position."""
    for place in range(codes.size):
        letter = codes[place]
        if chosen[letter]:
            base = place + size
            for at in range(starts[letter], starts[letter + 1]):
                matches[base - positions[at]] += 1


@njit(cache=True, nogil=True)
@no_type_check
def fill_bits(codes, rows, bits, width):
    """Set one bit a text position in the bit row of its letter, where it has one."""
    one = np.uint64(1)
    for place in range(codes.size):
        row = rows[codes[place]]
        if row >= 0:
            bits[row * width + (place >> 6)] |= one << np.uint64(place & 63)


@njit(cache=True, nogil=True)
@no_type_check
def _shift(source, work, row, bit):
    right = np.uint64(bit)
    left = np.uint64(63) - right  # two steps, because a shift by 64 is undefined
    one = np.uint64(1)
    target = work[row * WORDS : (row + 1) * WORDS]
    for w in range(WORDS):
        target[w] = (source[w] >> right) | ((source[w + 1] << one) << left)


@njit(cache=True, nogil=True)
@no_type_check
def _reduce_eight(k):
    """Add rows 0..7 into the planes of ones, twos and fours (8..10); carry eights to row 11."""
    for w in range(WORDS):
        ones = k[8 * WORDS + w]
        twos = k[9 * WORDS + w]
        fours = k[10 * WORDS + w]
        x, y = k[w], k[WORDS + w]
        half = ones ^ x
        two_a = (ones & x) | (half & y)
        ones = half ^ y
        x, y = k[2 * WORDS + w], k[3 * WORDS + w]
        half = ones ^ x
        two_b = (ones & x) | (half & y)
        ones = half ^ y
        half = twos ^ two_a
        four_a = (twos & two_a) | (half & two_b)
        twos = half ^ two_b
        x, y = k[4 * WORDS + w], k[5 * WORDS + w]
        half = ones ^ x
        two_a = (ones & x) | (half & y)
        ones = half ^ y
        x, y = k[6 * WORDS + w], k[7 * WORDS + w]
        half = ones ^ x
        two_b = (ones & x) | (half & y)
        ones = half ^ y
        half = twos ^ two_a
        four_b = (twos & two_a) | (half & two_b)
        twos = half ^ two_b
        half = fours ^ four_a
        k[11 * WORDS + w] = (fours & four_a) | (half & four_b)
        k[8 * WORDS + w] = ones
        k[9 * WORDS + w] = twos
        k[10 * WORDS + w] = half ^ four_b


@njit(cache=True, nogil=True)
@no_type_check
def _carry(plane, waiting, carry):
    for w in range(WORDS):
        a, x, y = plane[w], waiting[w], carry[w]
        half = a ^ x
        carry[w] = (a & x) | (half & y)
        plane[w] = half ^ y


@njit(cache=True, nogil=True)
@no_type_check
def _unslice(work, w, planes, matches):
    """Add the 64 bit-sliced counters of one word, eight planes and eight counters at a time."""
    every = np.uint64(0x0101010101010101)
    for low in range(0, planes, 8):
        for part in range((matches.size + 7) // 8):
            counts = np.uint64(0)
            for plane in range(low, min(low + 8, planes)):
                row = 8 + plane if plane < 3 else 12 + 2 * (plane - 3)
                bits = (work[row * WORDS + w] >> np.uint64(8 * part)) & np.uint64(255)
                # Bit i goes to byte i; adding 128 - 2**i moves it to the top of its byte.
                spread = (bits * every) & np.uint64(0x8040201008040201)
                spread = ((spread + np.uint64(0x00406070787C7E7F)) >> np.uint64(7)) & every
                counts += spread << np.uint64(plane - low)
            if counts != 0:
                for at in range(min(8, matches.size - 8 * part)):
                    count = np.int32((counts >> np.uint64(8 * at)) & np.uint64(255))
                    matches[8 * part + at] += count << low


@njit(cache=True, nogil=True)
@no_type_check
def add_words(  # noqa: PLR0917
    bits, width, offsets, rows, words, levels, matches
):
    """Add one bit row a pattern position into bit-sliced counters, then into `matches`."""
    work = np.zeros((12 + 2 * levels) * WORDS, np.uint64)
    waits = np.zeros(levels, np.bool_)
    for first in range(0, words, WORDS):
        work[8 * WORDS :] = 0
        waits[:] = False
        for group in range(0, offsets.size, 8):
            for i in range(8):
                if group + i < offsets.size:
                    offset = offsets[group + i]
                    base = rows[group + i] * width + first + (offset >> 6)
                    _shift(bits[base : base + WORDS + 1], work, i, offset & 63)
                else:
                    work[i * WORDS : (i + 1) * WORDS] = 0
            _reduce_eight(work)
            carry = work[11 * WORDS : 12 * WORDS]
            level = 0
            while waits[level]:  # a level hands on a carry every second time
                waits[level] = False
                at = (12 + 2 * level) * WORDS
                _carry(work[at : at + WORDS], work[at + WORDS : at + 2 * WORDS], carry)
                level += 1
            waits[level] = True
            at = (13 + 2 * level) * WORDS
            work[at : at + WORDS] = carry
        for level in range(levels):
            if waits[level]:
                for w in range(WORDS):
                    carry_word = work[(13 + 2 * level) * WORDS + w]
                    up = level
                    while carry_word != 0:
                        at = (12 + 2 * up) * WORDS + w
                        old = work[at]
                        work[at] = old ^ carry_word
                        carry_word &= old
                        up += 1
        for w in range(min(WORDS, words - first)):
            _unslice(work, w, 3 + levels, matches[(first + w) * 64 : (first + w + 1) * 64])


@njit(cache=True, nogil=True)
@no_type_check
def _add_marks(row, letter, weight, signal):
    for at in range(signal.size):
        signal[at] += weight if row[at] == letter else 0.0


@njit(cache=True, nogil=True)
@no_type_check
def mark_letter(text, letter, step, fields, bits, signals):  # noqa: PLR0917
    """Fill each signal with `fields` overlapping blocks of the text, one power of two a block."""
    length = signals.shape[1]
    for row in range(signals.shape[0]):
        signals[row] = 0.0
        for one in range(fields):
            first = (row * fields + one) * step
            weight = np.float64(np.int64(1) << (bits * one))
            _add_marks(text[first : first + length], letter, weight, signals[row])


@njit(cache=True, nogil=True)
@no_type_check
def _differing(first, second):
    """Count the bytes in which two words differ."""
    low = np.uint64(0x7F7F7F7F7F7F7F7F)
    x = first ^ second
    marks = (((x & low) + low) | x) & ~low
    return np.int64(((marks >> np.uint64(7)) * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
@no_type_check
def _word_at(words, place):
    at = place >> 3
    right = np.uint64((place & 7) << 3)
    left = np.uint64(63) - right
    return (words[at] >> right) | ((words[at + 1] << np.uint64(1)) << left)


@njit(cache=True, nogil=True)
@no_type_check
def probe_shifts(  # noqa: PLR0917
    text, pattern, order, shifts, bound, limit, distances
):
    """Compare words of eight letters in one random order until a shift has `bound` + 1 mismatches.

    `pattern` and `text` are packed eight letters a word; `order` lists the pattern's words. A
    shift that used `limit` words without an answer keeps -1. Returns the words compared.
    """
    spent = 0
    for at in range(shifts.size):
        shift = shifts[at]
        found = 0
        used = 0
        for word in order:
            if used == limit:
                break
            used += 1
            found += _differing(_word_at(text, shift + 8 * word), pattern[word])
            if found > bound:
                break
        spent += used
        if found > bound:
            distances[at] = bound + 1
        elif used == order.size:
            distances[at] = found
        else:
            distances[at] = -1
    return spent
