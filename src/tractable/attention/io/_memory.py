"""The machine of the paper: a cache of so many words, a memory without end, and counted moves."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tractable._core import DTypeError, ShapeError, TractableError
from tractable._core.checks import check_integer

__all__ = ["CacheOverflowError", "IOCount", "StaleTileError", "Tile", "TwoLevelMemory"]

Index = slice | tuple[slice, ...]


class CacheOverflowError(TractableError, MemoryError):
    """A schedule asked for more words than the cache has."""


class StaleTileError(TractableError, RuntimeError):
    """A schedule used a tile that it had freed, or one of another memory."""


class IOCount(NamedTuple):
    """Words that a schedule moves.

    Args:
        reads: words read from the slow memory.
        writes: words written to the slow memory.
        peak: the most words that were in the cache at once.
    """

    reads: int
    writes: int
    peak: int

    @property
    def total(self) -> int:
        """Words moved either way."""
        return self.reads + self.writes


class Tile:
    """Words in the cache; `data` is the array to compute on."""

    def __init__(self, memory: "TwoLevelMemory", data: NDArray[Any], words: NDArray[Any]) -> None:
        """Belong to a memory; made by its `load` and `alloc` alone."""
        self._memory = memory
        self._data: NDArray[Any] | None = data
        self._words = words

    @property
    def data(self) -> NDArray[Any]:
        """The words; `StaleTileError` once the tile is freed."""
        if self._data is None:
            raise StaleTileError("this tile was freed; load it again before computing on it")
        self._memory._touch(self._words)
        return self._data


class TwoLevelMemory:
    """A cache of `capacity` words in front of a slow memory that holds NumPy arrays.

    A schedule loads slices of arrays into tiles, computes on tiles alone, stores them back and
    frees them; every word that crosses is counted. A few scalars in registers, such as the loop's
    own and one row's new maximum, are not.

    Args:
        capacity: words that the cache has, at least 1.
        record: keep the order in which words were touched, for `count_misses`.

    Raises:
        DTypeError, RangeError: for a capacity that is no whole number of at least 1.

    Example:
        >>> memory = TwoLevelMemory(6)
        >>> numbers = np.arange(12.0)
        >>> tile = memory.load(numbers, slice(0, 4))
        >>> tile.data[:] *= 2
        >>> memory.store(tile, numbers, slice(0, 4))
        >>> memory.free(tile)
        >>> memory.counted
        IOCount(reads=4, writes=4, peak=4)
    """

    def __init__(self, capacity: int, *, record: bool = False) -> None:
        """Start empty."""
        self.capacity = check_integer("capacity", capacity, low=1)
        self.reads = 0
        self.writes = 0
        self.resident = 0
        self.peak = 0
        self.allocated = 0
        self._trace: list[NDArray[Any]] | None = [] if record else None
        self._homes: dict[int, tuple[NDArray[Any], int]] = {}
        self._next_word = 0

    @property
    def counted(self) -> IOCount:
        """What was moved so far."""
        return IOCount(self.reads, self.writes, self.peak)

    @property
    def trace(self) -> NDArray[np.int64]:
        """The words touched, in order, if this memory records; else none."""
        if not self._trace:
            return np.empty(0, np.int64)
        return np.concatenate(self._trace)

    def load(self, array: NDArray[Any], index: Index) -> Tile:
        """Copy a slice of a slow array into the cache.

        Raises:
            CacheOverflowError: if it does not fit beside what is there.
            ShapeError: if the slice is empty.
        """
        data = _part_of(array, index).copy()
        self._take(data.size)
        self.reads += data.size
        return Tile(self, data, self._home_of(array, index))

    def alloc(self, shape: tuple[int, ...], fill: float = 0.0) -> Tile:
        """Make room in the cache for words that are computed there; nothing moves.

        Raises:
            CacheOverflowError: if they do not fit beside what is there.
            ShapeError: if the shape holds no word.
        """
        data = np.full(shape, fill)
        if not data.size:
            raise ShapeError(f"a tile of shape {shape} holds no word; wanted at least one")
        self._take(data.size)
        self.allocated += data.size
        return Tile(self, data, self._new_words(data.size) if self._trace is not None else _NONE)

    def store(self, tile: Tile, array: NDArray[Any], index: Index) -> None:
        """Copy a tile into a slice of a slow array; it stays in the cache.

        Raises:
            StaleTileError: if the tile was freed.
            ShapeError: if the slice has another shape.
        """
        self._check_own(tile)
        place = _part_of(array, index)
        if place.shape != tile.data.shape:
            raise ShapeError(f"a tile of shape {tile.data.shape} cannot go into {place.shape}")
        place[...] = tile.data
        self.writes += place.size

    def free(self, *tiles: Tile) -> None:
        """Drop tiles from the cache without writing them.

        Raises:
            StaleTileError: if one was freed before.
        """
        for tile in tiles:
            self._check_own(tile)
            self.resident -= tile.data.size
            tile._data = None

    def _check_own(self, tile: Tile) -> None:
        if tile._memory is not self:
            raise StaleTileError("this tile belongs to another memory")

    def _take(self, words: int) -> None:
        if self.resident + words > self.capacity:
            raise CacheOverflowError(
                f"{words} words do not fit beside {self.resident} in a cache of {self.capacity}; "
                "free tiles first, or take smaller ones"
            )
        self.resident += words
        self.peak = max(self.peak, self.resident)

    def _touch(self, words: NDArray[Any]) -> None:
        if self._trace is not None:
            self._trace.append(words)

    def _home_of(self, array: NDArray[Any], index: Index) -> NDArray[Any]:
        """Addresses of a slice, which stay the same for the same array."""
        if self._trace is None:
            return _NONE
        if id(array) not in self._homes:
            self._homes[id(array)] = (array, int(self._new_words(array.size)[0]))
        base = self._homes[id(array)][1]
        return (base + np.arange(array.size).reshape(array.shape)[index]).ravel()

    def _new_words(self, count: int) -> NDArray[Any]:
        self._next_word += count
        return np.arange(self._next_word - count, self._next_word)


_NONE = np.empty(0, np.int64)


def _part_of(array: NDArray[Any], index: Index) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"the slow memory holds NumPy arrays; got {type(array).__name__}")
    part: NDArray[Any] = array[index]
    if not part.size:
        raise ShapeError(f"{index} of an array of shape {array.shape} holds no word")
    return part
