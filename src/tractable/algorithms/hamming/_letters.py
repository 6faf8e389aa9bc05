"""Texts in, dense letter codes out."""

import mmap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tractable._core import DTypeError, RangeError, ShapeError

Text = str | bytes | bytearray | memoryview | mmap.mmap | ArrayLike
"""What the public functions take as a text: characters, raw bytes, or whole numbers."""

Codes = NDArray[Any]

TABLE = 1 << 20
"""Letters that span at most so many values are looked up in a table, others are searched."""


def read_letters(name: str, value: object, *, empty: bool = False) -> Codes:
    """Return a text as a one-dimensional array of whole numbers, without a copy where possible."""
    if isinstance(value, str):
        array: Codes = np.frombuffer(value.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    elif isinstance(value, bytes | bytearray | memoryview | mmap.mmap):
        array = np.frombuffer(value, dtype=np.uint8)
    else:
        array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{name} has dtype {array.dtype}; wanted str, bytes or whole numbers; "
            "round or encode the letters first"
        )
    if array.ndim != 1:
        raise ShapeError(f"{name} has shape {array.shape}; wanted one axis; ravel it")
    if array.size == 0 and not empty:
        raise ShapeError(f"{name} is empty; wanted at least one letter")
    return array


def check_lengths(text: Codes, pattern: Codes) -> None:
    """Refuse a pattern that does not fit into the text."""
    if pattern.size > text.size:
        raise RangeError(
            f"pattern has {pattern.size} letters and text {text.size}; wanted a pattern that is "
            "no longer than the text; swap the two?"
        )


@dataclass
class Pattern:
    """A pattern in dense codes 0..letters-1, with its positions grouped by letter.

    A code equal to `letters` never matches, in the pattern or in a text.
    """

    alphabet: Codes
    codes: Codes
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    positions: NDArray[np.int64]
    table: Codes | None = field(repr=False, default=None)
    lowest: int = 0

    @property
    def letters(self) -> int:
        """How many distinct letters can match."""
        return int(self.counts.size)

    @property
    def size(self) -> int:
        """How long the pattern is, letters that never match included."""
        return int(self.codes.size)

    def encode(self, text: Codes) -> Codes:
        """Return a text in this pattern's codes; letters the pattern lacks never match."""
        alphabet = self.alphabet
        if not self.letters:
            return np.zeros(text.size, dtype=self.codes.dtype)
        if _signs_differ(alphabet, text):
            text, fits = _to_signed(text)
            alphabet, _ = _to_signed(alphabet)
        else:
            fits = None
        if self.table is not None and alphabet is self.alphabet:
            codes = self._look_up(text)
        else:
            place = np.minimum(np.searchsorted(alphabet, text), self.letters - 1)
            codes = np.where(alphabet[place] == text, place, self.letters)
            codes = codes.astype(self.codes.dtype)
        if fits is not None:
            codes[~fits] = self.letters
        return codes

    def _look_up(self, text: Codes) -> Codes:
        table = self.table
        if table is None:
            raise RangeError("this pattern has no table")
        if text.dtype == np.uint8 and self.lowest == 0 and table.size >= 257:
            if table.dtype == np.uint8:  # far faster than an index of one byte
                changed = text.tobytes().translate(table[:256].tobytes())
                return np.frombuffer(changed, np.uint8)
            return np.asarray(table[text])
        place = text.astype(np.int64) - self.lowest  # what wraps around lands below the table
        return np.asarray(table[np.where((place >= 0) & (place < table.size), place, -1)])


def make_pattern(values: Codes, never: NDArray[np.bool_] | None = None) -> Pattern:
    """Number a pattern's letters; positions under `never` match nothing."""
    kept = values if never is None else values[~never]
    alphabet, dense = np.unique(kept, return_inverse=True)
    letters = alphabet.size
    dtype = np.uint8 if letters < 255 else np.uint16 if letters < 65535 else np.int32
    codes = np.full(values.size, letters, dtype=dtype)
    codes[slice(None) if never is None else ~never] = dense
    counts = np.bincount(dense, minlength=letters).astype(np.int64)
    order = np.argsort(codes, kind="stable")[: dense.size].astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    pattern = Pattern(alphabet, codes, counts, starts, order)
    _add_table(pattern)
    return pattern


def _add_table(pattern: Pattern) -> None:
    alphabet = pattern.alphabet
    if not alphabet.size:
        return
    low, high = int(alphabet[0]), int(alphabet[-1])
    if low >= 0 and high < 256:
        low, high = 0, 255
    if high - low < TABLE and low > -(2**62) and high < 2**62:
        table = np.full(high - low + 2, pattern.letters, dtype=pattern.codes.dtype)
        table[(alphabet.astype(object) - low).astype(np.int64)] = np.arange(pattern.letters)
        pattern.table, pattern.lowest = table, low


def _signs_differ(first: Codes, second: Codes) -> bool:
    """Whether NumPy would compare the two as floats, and so lose digits."""
    return bool(np.result_type(first.dtype, second.dtype).kind == "f")


def _to_signed(values: Codes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return values as int64 and which of them fit; the others are set to the largest."""
    fits = np.asarray(values <= np.iinfo(np.int64).max) if values.dtype.kind == "u" else None
    if fits is None:
        return values.astype(np.int64), np.ones(values.size, np.bool_)
    return np.where(fits, values, np.iinfo(np.int64).max).astype(np.int64), fits
