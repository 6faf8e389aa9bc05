"""One function for each way to count matches; all add into the same profile."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tractable._common.compiled import load_compiled
from tractable._core import note
from tractable._core.counting import listening
from tractable.algorithms.hamming._letters import Codes, Pattern

Spectra = dict[tuple[int, int], NDArray[Any]]
"""Pattern spectra by letter and length, kept over calls."""

MANTISSA = 49
"""Bits of a double that hold counts; the four below show how far rounding went."""

SAMPLE = 1 << 15
"""Letters of a text that are looked at to choose engines, unless costs are being counted."""

SLICE = 1 << 15
"""Shifts that the byte engine counts at a time: text slice and counters stay in the cache."""


def count_by_bytes(text: Codes, pattern: Pattern, matches: NDArray[np.int32]) -> None:
    """Compare a slice of the text with one pattern letter at a time."""
    kept = np.flatnonzero(pattern.codes != pattern.letters)
    counters = np.zeros(min(SLICE, matches.size), np.uint8)
    equal = np.empty(counters.size, np.bool_)
    for first in range(0, matches.size, SLICE):
        width = min(SLICE, matches.size - first)
        count, same = counters[:width], equal[:width]
        for start in range(0, kept.size, 255):  # a counter of one byte holds 255
            count[:] = 0
            for place in kept[start : start + 255]:
                at = first + int(place)
                np.equal(text[at : at + width], pattern.codes[place], out=same)
                np.add(count, same.view(np.uint8), out=count)
            matches[first : first + width] += count
    note("operations", matches.size * pattern.size)


def count_by_pairs(
    text: Codes, pattern: Pattern, chosen: NDArray[np.bool_], matches: NDArray[np.int32]
) -> None:
    """Add one for every pair of a text position and a pattern position of the same letter."""
    if listening():
        spent = count_letters(text, pattern)[chosen] @ pattern.counts[chosen]
        note("operations", int(spent))
    size = pattern.size
    padded = np.zeros(text.size + size, np.int32)  # so that no shift needs a bounds check
    compiled = load_compiled(__package__)
    if compiled is not None:
        mask = np.append(chosen, False)
        starts = np.append(pattern.starts, pattern.starts[-1])
        compiled.add_pairs(
            text.astype(np.int32, copy=False), starts, pattern.positions, mask, padded, size
        )
    else:
        for letter in np.flatnonzero(chosen):
            places = np.flatnonzero(text == letter) + size
            ours = letter_positions(pattern, int(letter))
            rows = max(1, (1 << 22) // max(1, ours.size))
            for start in range(0, places.size, rows):
                sums = places[start : start + rows, None] - ours[None, :]
                low = int(sums.min())
                found = np.bincount((sums - low).ravel())
                padded[low : low + found.size] += found.astype(np.int32)
    matches += padded[size : size + matches.size]


def count_by_words(
    text: Codes,
    pattern: Pattern,
    chosen: NDArray[np.bool_],
    matches: NDArray[np.int32],
    max_memory: int,
) -> None:
    """Add bitsets of the text, shifted by each pattern position, into bit-sliced counters."""
    chosen_letters = np.flatnonzero(chosen)
    offsets = np.concatenate([letter_positions(pattern, int(c)) for c in chosen_letters])
    owners = np.repeat(np.arange(chosen_letters.size), pattern.counts[chosen_letters])
    rows = np.full(pattern.letters + 1, -1, np.int64)
    rows[chosen_letters] = np.arange(chosen_letters.size)
    compiled = load_compiled(__package__)
    block = 128 if compiled is None else compiled.WORDS
    # Bit rows of all chosen letters for one chunk of shifts take at most a quarter of the memory.
    room = max_memory // (32 * max(1, chosen_letters.size)) - pattern.size // 64 - 3
    words = max(1, min(-(-matches.size // 64), max(block, room)))
    levels = max(1, int(offsets.size).bit_length() - 2)
    for first in range(0, matches.size, words * 64):
        part = matches[first : first + words * 64]
        piece = text[first : first + part.size + pattern.size - 1].astype(np.int32, copy=False)
        used = -(-part.size // 64)
        width = -(-used // block) * block + pattern.size // 64 + 3
        bits = np.zeros(width * chosen_letters.size, np.uint64)
        if compiled is not None:
            compiled.fill_bits(piece, rows, bits, width)
            compiled.add_words(bits, width, offsets, owners, used, levels, part)
        else:
            _fill_bits(piece, chosen_letters, bits, width)
            _add_words(bits, offsets, part, width=width, rows=owners, words=used)
        note("operations", 2 * used * offsets.size)


def count_by_transforms(
    text: Codes,
    pattern: Pattern,
    chosen: NDArray[np.bool_],
    matches: NDArray[np.int32],
    *,
    length: int,
    fields: int,
    max_memory: int,
    spectra: Spectra | None = None,
) -> None:
    """Multiply spectra letter by letter, add the products up and invert once.

    Overlapping blocks of the text are transformed together: `fields` of them share one real
    signal, each in its own bits of the 53-bit mantissa. If rounding comes near one half, the
    work is done again with fewer fields, and at last with fewer letters at a time.
    """
    chosen_letters = np.flatnonzero(chosen)
    bits = max(1, int(pattern.counts[chosen_letters].sum()).bit_length())
    fields = min(fields, max(1, MANTISSA // bits))
    step = length - pattern.size + 1
    blocks = -(-matches.size // step)
    at_once = fields * max(1, max_memory // (48 * length))
    for first in range(0, blocks, at_once):
        part = matches[first * step : (first + at_once) * step]
        piece = text[first * step : first * step + part.size + pattern.size - 1]
        product = _correlate(
            piece,
            pattern,
            chosen_letters,
            shifts=part.size,
            length=length,
            fields=fields,
            spectra=spectra,
        )
        whole = np.rint(product)
        if np.abs(product - whole).max(initial=0.0) < 0.25:
            _unpack(whole, part, step, fields, bits)
            continue
        halves = np.array_split(chosen_letters, 1 if fields > 1 else 2)
        for half in halves:
            mask = np.zeros_like(chosen)
            mask[half] = True
            count_by_transforms(
                piece,
                pattern,
                mask,
                part,
                length=length,
                fields=max(1, fields - 1),
                max_memory=max_memory,
                spectra=spectra,
            )


def choose_fields(bound: int, energy: float, length: int) -> int:
    """Return how many blocks fit one mantissa: counts to `bound`, rounding far below one half.

    `energy` is the sum over letters of sqrt(text count * pattern count) in one block.
    """
    bits = max(1, bound.bit_length())
    noise = np.log2(max(1.0, energy)) + np.log2(max(2.0, np.log2(length))) / 2 + 2
    by_rounding = int((51 - noise) // bits) + 1
    return max(1, min(by_rounding, MANTISSA // bits))


def transform_cost(length: int) -> float:
    """Return the operations of one real transform: half of 5 N log2 N."""
    return float(2.5 * length * np.log2(max(2, length)))


def letter_positions(pattern: Pattern, letter: int) -> NDArray[np.int64]:
    """Return where a letter stands in the pattern."""
    return pattern.positions[pattern.starts[letter] : pattern.starts[letter + 1]]


def count_letters(text: Codes, pattern: Pattern) -> NDArray[np.int64]:
    """Return how often each of the pattern's letters stands in a text."""
    counts = np.bincount(text, minlength=pattern.letters + 1)
    return counts[: pattern.letters].astype(np.int64)


def estimate_letters(text: Codes, pattern: Pattern) -> NDArray[np.int64]:
    """Return roughly how often, from evenly spread pieces of a long text; enough for a plan."""
    if text.size <= 4 * SAMPLE or listening():
        return count_letters(text, pattern)
    starts = np.linspace(0, text.size - SAMPLE // 64, 64).astype(np.int64)
    pieces = [text[start : start + SAMPLE // 64] for start in starts]
    seen = count_letters(np.concatenate(pieces), pattern)
    return seen * text.size // SAMPLE


def _correlate(
    text: Codes,
    pattern: Pattern,
    chosen: NDArray[np.int64],
    *,
    shifts: int,
    length: int,
    fields: int,
    spectra: Spectra | None,
) -> NDArray[np.float64]:
    """Return the summed correlations of all chosen letters, one row a signal."""
    step = length - pattern.size + 1
    blocks = -(-shifts // step)
    signals = -(-blocks // fields)
    bits = max(1, int(pattern.counts[chosen].sum()).bit_length())
    padded = np.full((signals * fields - 1) * step + length, pattern.letters, text.dtype)
    padded[: text.size] = text
    total = np.zeros((signals, length // 2 + 1), np.complex128)
    signal = np.empty((signals, length))
    for letter in chosen:
        _mark_letter(padded, int(letter), step, fields, bits, signal)
        spectrum = None if spectra is None else spectra.get((int(letter), length))
        if spectrum is None:
            ours = np.zeros(length)
            ours[letter_positions(pattern, int(letter))] = 1.0
            spectrum = np.conj(fft.rfft(ours))
            note("operations", transform_cost(length))
            if spectra is not None:
                spectra[int(letter), length] = spectrum
        total += fft.rfft(signal, axis=1, overwrite_x=True) * spectrum
    note("operations", (chosen.size + 1) * signals * transform_cost(length))
    return np.asarray(fft.irfft(total, length, axis=1, overwrite_x=True)[:, :step])


def _mark_letter(  # noqa: PLR0917 - the same places as the compiled twin
    text: Codes, letter: int, step: int, fields: int, bits: int, signals: NDArray[np.float64]
) -> None:
    compiled = load_compiled(__package__)
    if compiled is not None:
        compiled.mark_letter(text, letter, step, fields, bits, signals)
        return
    length = signals.shape[1]
    same = np.lib.stride_tricks.sliding_window_view(text, length)[::step] == letter
    signals[:] = same[::fields]
    for one in range(1, fields):
        signals += same[one::fields] * float(1 << (bits * one))


def _unpack(
    whole: NDArray[np.float64], matches: NDArray[np.int32], step: int, fields: int, bits: int
) -> None:
    values = whole.astype(np.int64)
    for one in range(fields):
        counts = (values >> (bits * one)) & ((1 << bits) - 1) if fields > 1 else values
        for signal in range(values.shape[0]):
            first = (signal * fields + one) * step
            part = matches[first : first + step]
            part += counts[signal, : part.size].astype(np.int32)


def _fill_bits(
    text: Codes, letters: NDArray[np.int64], bits: NDArray[np.uint64], width: int
) -> None:
    for row, letter in enumerate(letters):
        packed = np.packbits(text == letter, bitorder="little")
        bits[row * width : (row + 1) * width].view(np.uint8)[: packed.size] = packed


def _add_words(
    bits: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    matches: NDArray[np.int32],
    *,
    width: int,
    rows: NDArray[np.int64],
    words: int,
) -> None:
    """Add the shifted rows with whole-array adders: plane k takes a carry every 2**k rows."""
    planes: list[NDArray[np.uint64]] = []
    waiting: list[NDArray[np.uint64] | None] = []
    for offset, row in zip(offsets.tolist(), rows.tolist(), strict=True):
        base = row * width + (offset >> 6)
        right = np.uint64(offset & 63)
        source = bits[base : base + words + 1]
        carry = (source[:-1] >> right) | ((source[1:] << np.uint64(1)) << (np.uint64(63) - right))
        level = 0
        while level < len(waiting) and (held := waiting[level]) is not None:
            plane = planes[level]
            half = plane ^ held
            planes[level], carry = half ^ carry, (plane & held) | (half & carry)
            waiting[level] = None
            level += 1
        if level == len(waiting):
            planes.append(np.zeros(words, np.uint64))
            waiting.append(None)
        waiting[level] = carry
    for level, plane in enumerate(planes):
        held = waiting[level]
        for part in (plane,) if held is None else (plane, held):
            ones = np.unpackbits(part.view(np.uint8), bitorder="little")[: matches.size]
            matches += ones.astype(np.int32) << level
