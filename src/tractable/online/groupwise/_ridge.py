"""Ridge regression one row at a time, and the Vovk-Azoury-Warmuth forecaster."""

from collections.abc import Hashable, Mapping
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_number

Floats = NDArray[np.float64]
Row = ArrayLike | Mapping[Hashable, float]
LARGEST = 1e100
"""Features beyond it are refused, so that no square overflows."""


@runtime_checkable
class Oracle(Protocol):
    """An online learner in river's form: predicts a row's label, then learns it."""

    def predict_one(self, x: Row) -> float:
        """Return a prediction."""

    def learn_one(self, x: Row, y: float) -> object:
        """Take the label."""


def operations(width: int) -> int:
    """Return the multiplications of one prediction and one update of a ridge."""
    return 3 * width * width + 4 * width


class OnlineRidge:
    """Ridge regression that learns one row at a time, in O(d²) a row.

    It keeps a square root S of the inverse of A = αI + Σ x xᵀ, so that A never loses its
    definiteness to rounding, and the coefficients A⁻¹ Σ y x.

    Args:
        alpha: weight of the penalty, above 0.
        variant: "ridge" predicts by the coefficients; "vaw" adds the present row to A first
            (Vovk, Azoury and Warmuth), which shrinks predictions of unusual rows and has the
            least worst-case regret, d ln T.

    Attributes:
        coefficients: (d,), empty before the first row.

    Rows are arrays of one width, or dictionaries as in river, whose features may appear later.

    Raises:
        ShapeError, DTypeError, RangeError, DataError: for arguments or rows unlike these.

    Example:
        >>> ridge = OnlineRidge(alpha=1e-9)
        >>> for x, y in [([1.0, 0.0], 0.5), ([1.0, 1.0], 0.75)]:
        ...     _ = ridge.learn_one(x, y)
        >>> round(ridge.predict_one([1.0, 2.0]), 6)
        1.0
    """

    def __init__(self, alpha: float = 1.0, variant: Literal["ridge", "vaw"] = "ridge") -> None:
        """Check the arguments; nothing is learnt yet."""
        self.alpha = check_number("alpha", alpha, low=0.0)
        if self.alpha == 0.0:
            raise RangeError("alpha is 0; wanted above 0, however small")
        if variant not in ("ridge", "vaw"):
            raise RangeError(f"variant is {variant!r}; wanted 'ridge' or 'vaw'")
        self.variant = variant
        self.root: Floats = np.zeros((0, 0))
        self.coefficients: Floats = np.zeros(0)
        self._places: dict[Hashable, int] | None = None

    def predict_one(self, x: Row) -> float:
        """Return the prediction for a row."""
        row = self._row(x)
        if not self.coefficients.size:
            return 0.0
        guess = float(row @ self.coefficients)
        if self.variant == "vaw":
            turned = row @ self.root
            guess /= 1.0 + float(turned @ turned)
        return guess

    def learn_one(self, x: Row, y: float) -> "OnlineRidge":
        """Take a row's label, and return the learner."""
        row, label = self._row(x), check_number("y", y)
        self.widen(row.size)
        turned = row @ self.root
        scale = 1.0 + float(turned @ turned)
        gain = self.root @ turned
        self.coefficients += gain * ((label - float(row @ self.coefficients)) / scale)
        # Potter's update of a square root: S Sᵀ loses gain gainᵀ / scale
        self.root -= np.outer(gain / (scale + np.sqrt(scale)), turned)
        note("operations", operations(row.size))
        return self

    def widen(self, width: int) -> None:
        """Make room for features; those that are new have coefficient 0 and curvature α."""
        old = self.coefficients.size
        if width <= old:
            return
        root = np.eye(width) / np.sqrt(self.alpha)
        root[:old, :old] = self.root
        self.root = root
        self.coefficients = np.concatenate((self.coefficients, np.zeros(width - old)))

    def takes(self, width: int) -> bool:
        """Whether arrays of this width are what it learns from, or may begin to."""
        return self._places is None and width > 0 and self.coefficients.size in (0, width)

    def _row(self, x: Row) -> Floats:
        if isinstance(x, Mapping):
            row = self._named(x)
        else:
            row = as_array("x", x, ndim=1, kinds="fiub").astype(np.float64)
            if self._places is not None:
                raise ShapeError("x is an array; wanted a dictionary, as before")
            if self.coefficients.size and row.size != self.coefficients.size:
                raise ShapeError(
                    f"x has {row.size} features; wanted {self.coefficients.size}, as before"
                )
        if row.size and not np.abs(row).max() <= LARGEST:
            raise DataError(f"x has entries that are NaN or beyond {LARGEST:g}; rescale them")
        return row

    def _named(self, x: Mapping[Hashable, float]) -> Floats:
        if self._places is None:
            if self.coefficients.size:
                raise ShapeError("x is a dictionary; wanted an array of one width, as before")
            self._places = {}
        for name in x:
            self._places.setdefault(name, len(self._places))
        row = np.zeros(len(self._places))
        for name, value in x.items():
            row[self._places[name]] = check_number(f"x[{name!r}]", value)
        self.widen(row.size)
        return row
