"""Reading the signal: an array or a callable, each point at most once."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, DTypeError, ShapeError, note
from tractable.algorithms.sparse_wht._gf2 import Words
from tractable.algorithms.sparse_wht._transform import as_numbers

Signal = ArrayLike | Callable[[Words], ArrayLike]


class Samples:
    """The signal's values so far.

    Args:
        f: 2^n numbers, or a function from indices to as many numbers.
        n: bits of an index.
    """

    def __init__(self, f: Signal, n: int) -> None:
        """Check an array; a callable is checked at every call."""
        self.n = n
        self.unit = 1.0
        """What values are measured in: a power of two, so that no square of one overflows."""
        self._ask = f if callable(f) else self._reader(f)
        self._points = np.zeros(0, np.uint64)
        self._values: NDArray[Any] = np.zeros(0)

    def __len__(self) -> int:
        """Return how many points were read."""
        return self._points.size

    def read(self, points: Words) -> NDArray[Any]:
        """Return float64 or complex128 values over `unit`, asking for the new points only."""
        wanted = np.unique(points)
        new = wanted
        if self._points.size:
            places = np.minimum(np.searchsorted(self._points, wanted), self._points.size - 1)
            new = wanted[self._points[places] != wanted]
        if new.size:
            values = self._checked(self._ask(new), new.size)
            note("oracle queries", new.size)
            if not self._points.size:
                _, exponent = np.frexp(max(np.abs(values.real).max(), np.abs(values.imag).max()))
                self.unit = float(np.ldexp(1.0, np.clip(exponent, -1000, 1000)))
            values = values / self.unit
            every = np.concatenate([self._points, new])
            order = np.argsort(every, kind="stable")
            self._points = every[order]
            self._values = np.concatenate([self._values, values])[order]
        return self._values[np.searchsorted(self._points, points)]

    def _reader(self, f: ArrayLike) -> Callable[[Words], NDArray[Any]]:
        array = np.asarray(f)
        if array.ndim != 1 or array.size != 1 << self.n:
            raise ShapeError(
                f"f has shape {array.shape}; wanted ({1 << self.n},) for n = {self.n}, or a "
                "callable that takes indices"
            )
        if array.dtype.kind not in "fiuc":
            raise DTypeError(f"f has dtype {array.dtype}; wanted real or complex; convert it")
        return lambda points: array[points.astype(np.intp)]

    def _checked(self, answer: ArrayLike, count: int) -> NDArray[Any]:
        try:
            values = as_numbers("f's values", answer)
        except DataError as error:
            raise DataError(f"{error}; points must be finite wherever f is asked") from None
        if values.shape != (count,):
            raise ShapeError(
                f"f returned shape {values.shape} for {count} indices; wanted ({count},): one "
                "number an index"
            )
        return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64, copy=False)
