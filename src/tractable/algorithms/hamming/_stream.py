"""Occurrences with few mismatches in a text that is read piece by piece."""

import mmap
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tractable._core import DataError, RangeError, ShapeError
from tractable.algorithms.hamming._letters import Codes, Pattern, Text, make_pattern, read_letters
from tractable.algorithms.hamming._plan import EngineConstants, HammingPlan

Alphabet = Literal["dna"] | None
Strand = Literal["+", "-"]

_COMPLEMENT = np.zeros(256, np.uint8)
_UPPER = np.zeros(256, np.uint8)  # 0 stands for every byte that is no base
for _base, _other in zip(b"ACGT", b"TGCA", strict=True):
    for _case in (0, 32):
        _COMPLEMENT[_base + _case] = _other
        _UPPER[_base + _case] = _base


def search_pieces(
    text: Text | Iterator[Text],
    pattern: Text,
    *,
    bound: int,
    alphabet: Alphabet,
    both_strands: bool,
    chunk: int,
    constants: EngineConstants | None,
) -> Iterator[tuple[int, int, Strand]]:
    """Yield position, distance and strand of every occurrence, in the order of positions."""
    values = read_letters("pattern", pattern)
    plans: list[tuple[Strand, HammingPlan]] = []
    for strand in ("+", "-") if both_strands else ("+",):
        turned = _COMPLEMENT[values[::-1]] if strand == "-" else values
        plans.append((strand, HammingPlan._of(_letters_of(turned, alphabet), constants)))
    size = values.size
    for start, piece in _overlap(_cut(text, chunk), size, chunk):
        letters = _read_bases(piece) if alphabet == "dna" else piece
        found = [
            (int(at), int(distance), order, strand)
            for order, (strand, plan) in enumerate(plans)
            for at, distance in _close_shifts(plan, letters, bound)
        ]
        for at, distance, _, strand in sorted(found) if len(plans) > 1 else found:
            yield start + at, distance, strand


def check_dna(pattern: Text, alphabet: Alphabet, both_strands: bool) -> None:
    """Refuse an unknown alphabet, and a DNA pattern with anything but A, C, G, T and N."""
    if alphabet not in ("dna", None):
        raise RangeError(f"alphabet is {alphabet!r}; wanted 'dna' or None")
    if alphabet is None:
        if both_strands:
            raise RangeError("both_strands needs complements; wanted alphabet='dna' with it")
        return
    values = read_letters("pattern", pattern)
    if values.max() > 255 or values.min() < 0:
        raise DataError("pattern has letters beyond one byte; wanted A, C, G, T and N")
    foreign = np.setdiff1d(values, np.frombuffer(b"ACGTNacgtn", np.uint8))
    if foreign.size:
        raise DataError(
            f"pattern has {chr(int(foreign[0]))!r}, which is no base; wanted A, C, G, T and N "
            "(which never matches); write ambiguous bases as N"
        )


def _letters_of(values: Codes, alphabet: Alphabet) -> Pattern:
    if alphabet is None:
        return make_pattern(values)
    upper = _read_bases(values)
    return make_pattern(upper, upper == 0)


def _read_bases(values: Codes) -> Codes:
    """Return upper-case bases, and 0 for everything else."""
    if values.dtype != np.uint8:
        values = np.where((values >= 0) & (values < 256), values, 0).astype(np.uint8)
    return np.asarray(_UPPER[values])


def _close_shifts(plan: HammingPlan, piece: Codes, bound: int) -> Iterator[tuple[int, int]]:
    distances = plan.k_mismatch(piece, bound)
    close = np.flatnonzero(distances <= bound)
    return zip(close.tolist(), distances[close].tolist(), strict=True)


def _cut(text: Text | Iterator[Text], chunk: int) -> Iterator[Codes]:
    """Return pieces of at most `chunk` letters, copied only where the source has no buffer."""
    if isinstance(text, Iterator):
        for part in text:
            yield from _cut_whole(part, chunk)
    else:
        yield from _cut_whole(text, chunk)


def _cut_whole(text: Text, chunk: int) -> Iterator[Codes]:
    if isinstance(text, mmap.mmap | str):  # slices, so that no view keeps a closed map alive
        for start in range(0, len(text), chunk):
            yield read_letters("text", text[start : start + chunk])
        return
    whole = read_letters("text", text, empty=True)
    for start in range(0, whole.size, chunk):
        yield whole[start : start + chunk]


def _overlap(pieces: Iterator[Codes], size: int, chunk: int) -> Iterator[tuple[int, Codes]]:
    """Join pieces so that each shift is seen once: carry the last size - 1 letters over."""
    held: list[NDArray[np.generic]] = []
    length, start, total = 0, 0, 0
    for piece in pieces:
        held.append(piece)
        length += piece.size
        total += piece.size
        if length >= chunk:
            joined = np.concatenate(held) if len(held) > 1 else held[0]
            yield start, joined
            held = [joined[length - size + 1 :].copy()]
            start += length - size + 1
            length = size - 1
    if total < size:
        raise ShapeError(
            f"text has {total} letters and pattern {size}; wanted a text that is at least as long"
        )
    if length >= size:
        yield start, np.concatenate(held)
