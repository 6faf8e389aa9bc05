"""Learning a function of rows of 0 and 1 by asking it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Num
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, RangeError, ShapeError
from tractable._core.checks import as_array, check_integer
from tractable.algorithms.sparse_wht._codes import Method
from tractable.algorithms.sparse_wht._gf2 import Words
from tractable.algorithms.sparse_wht._spectrum import MOST_BITS, SparseSpectrum, sparse_wht


class SparseBooleanRegressor:
    """A sum of few parities, learned from a function that answers queries.

    Args:
        n_terms: about how many parities, the constant included.
        noise_std: of one answer; None estimates it.
        method: as in `sparse_wht`.
        rng: as in `sparse_wht`.

    Attributes:
        spectrum_: the parities' coefficients; bit i of an index is column i. Exists once fitted.

    Example:
        >>> model = SparseBooleanRegressor(4, rng=0).fit_query(lambda B: B[:, 0] * B[:, 3], 20)
        >>> model.predict([[1] * 20, [0] * 20]).round(9).tolist()
        [1.0, 0.0]
        >>> model.terms()
        [((), 0.25), ((0,), -0.25), ((3,), -0.25), ((0, 3), 0.25)]
    """

    spectrum_: SparseSpectrum

    def __init__(
        self,
        n_terms: int,
        *,
        noise_std: float | None = 0.0,
        method: Method = "auto",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Store; arguments are checked when fitting."""
        self.n_terms = n_terms
        self.noise_std = noise_std
        self.method = method
        self.rng = rng

    def fit_query(
        self, f: Callable[[NDArray[np.int8]], ArrayLike], n: int
    ) -> "SparseBooleanRegressor":
        """Ask `f` where it must be asked.

        Args:
            f: takes rows of 0 and 1, int8 of shape (q, n), and returns q numbers; for instance
                a model's `predict`.
            n: columns.

        Raises:
            DataError, DTypeError, RangeError, ShapeError: as `sparse_wht`.
        """
        columns = check_integer("n", n, low=1, high=MOST_BITS)
        self.spectrum_ = sparse_wht(
            lambda points: f(_rows_of(points, columns)),
            columns,
            self.n_terms,
            noise_std=self.noise_std,
            method=self.method,
            rng=self.rng,
        )
        return self

    def predict(self, B: ArrayLike) -> Num[np.ndarray, "rows"]:
        """Return the learned function's values.

        Args:
            B: rows of 0 and 1, shape (rows, n).

        Raises:
            DataError: for other entries than 0 and 1, NaN included.
            RangeError: before `fit_query`.
            ShapeError: for another number of columns.
        """
        n = self._fitted().n
        rows = as_array("B", B, ndim=2, kinds="fiub")
        if rows.shape[1] != n:
            raise ShapeError(f"B has {rows.shape[1]} columns; wanted the {n} of `fit_query`")
        if not ((rows == 0) | (rows == 1)).all():
            raise DataError("B has entries other than 0 and 1; encode the features in bits")
        points = rows.astype(np.uint64) << np.arange(n, dtype=np.uint64)
        return self._fitted().evaluate(np.bitwise_or.reduce(points, axis=1))

    def terms(self) -> list[tuple[tuple[int, ...], Any]]:
        """Return each parity's columns and its coefficient, in the order of indices.

        Raises:
            RangeError: before `fit_query`.
        """
        spectrum = self._fitted()
        columns = [tuple(i for i in range(spectrum.n) if int(k) >> i & 1) for k in spectrum.indices]
        return list(zip(columns, spectrum.values.tolist(), strict=True))

    def _fitted(self) -> SparseSpectrum:
        if not hasattr(self, "spectrum_"):
            raise RangeError("nothing was learned yet; call fit_query first")
        return self.spectrum_


def _rows_of(points: Words, n: int) -> NDArray[np.int8]:
    places = np.arange(n, dtype=np.uint64)
    return ((points[:, None] >> places) & np.uint64(1)).astype(np.int8)
