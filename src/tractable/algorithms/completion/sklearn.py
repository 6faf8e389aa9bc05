"""Low-rank completion as a scikit-learn estimator; needs the extra `sklearn`."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer, check_number
from tractable.algorithms.completion._complete import Completion, complete, fold_in
from tractable.algorithms.completion._lines import Solver
from tractable.algorithms.completion._observed import Floats, Matrix, Observed, read_observed

__all__ = ["LowRankCompletion"]


class LowRankCompletion(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Complete a table from few entries: missing ratings, sensors, pixels.

    Rows become points of `rank` coordinates; new rows are placed among them from the entries that
    they have, without fitting again.

    Args:
        rank: coordinates, from 1 to the smaller side of the table.
        reg: times the nuclear norm is added to half the squared error, above 0, in the units of
            the entries; around the noise times the root of a line's entries is a good start.
        center: subtract each column's mean first, as PCA does; columns without entries take the
            mean of all.
        solver, max_iter, tol, inner_tol, inner_iter, resample, incoherence, sketch_rows: as in
            `complete`.
        warm_start: a further `fit` goes on from the last result where shape and rank are the same.
        n_jobs: threads; None takes one. The result does not depend on it.
        random_state: a seed, a `RandomState`, or None.

    Attributes:
        completion_: the singular value decomposition.
        row_factors_: (m, rank), column_factors_: (n, rank); their product completes the table, up
            to the means. Each has the roots of the singular values.
        singular_values_: (rank,) descending.
        mean_: (n,) what was subtracted; zeros without `center`.
        n_iter_: sweeps. converged_: whether they sufficed. history_: the change in each.
        train_rmse_: on the observed entries.
        n_features_in_: n.

    Example:
        >>> import numpy as np
        >>> table = np.outer(np.arange(1.0, 9), np.arange(1.0, 7))
        >>> table[2, 3] = table[5, 0] = np.nan
        >>> model = LowRankCompletion(1, random_state=0).fit(table)
        >>> model.predict_entries([2, 5], [3, 0]).round(2).tolist()
        [12.0, 6.0]
        >>> model.impute([[2.0, np.nan, np.nan, np.nan, np.nan, 12.0]]).round(2).tolist()
        [[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]]
    """

    completion_: Completion

    def __init__(
        self,
        rank: int = 2,
        *,
        reg: float = 1e-3,
        center: bool = False,
        solver: Solver = "auto",
        max_iter: int = 100,
        tol: float = 1e-6,
        inner_tol: float = 0.1,
        inner_iter: int | None = None,
        resample: bool = False,
        incoherence: float | None = None,
        sketch_rows: int | None = None,
        warm_start: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.rank = rank
        self.reg = reg
        self.center = center
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.inner_tol = inner_tol
        self.inner_iter = inner_iter
        self.resample = resample
        self.incoherence = incoherence
        self.sketch_rows = sketch_rows
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Matrix, y: Any = None) -> "LowRankCompletion":
        """Complete a table.

        Args:
            X: (m, n) dense with NaN where missing, or sparse, where every stored entry counts,
                zeros included.
            y: ignored.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        # A second name, so that a failing fit leaves the last result alone.
        previous = getattr(self, "completion_", None) if self.warm_start else None
        given = self._read(X, reset=True)
        check_number("reg", self.reg, low=0.0)
        m, n = given.shape
        if check_integer("rank", self.rank, low=1) > min(m, n):
            raise RangeError(
                f"rank is {self.rank}; wanted at most the smaller of n_samples = {m} and "
                f"n_features = {n}"
            )
        mean = self._means(given)
        left = given._replace(values=given.values - mean[given.column])
        table = sparse.coo_array((left.values, (left.row, left.column)), shape=left.shape)
        if previous is not None and not self._fits(previous, given.shape):
            previous = None
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        threads = 1 if self.n_jobs is None else check_integer("n_jobs", self.n_jobs, low=1)
        pool = ThreadPoolExecutor(threads) if threads > 1 else nullcontext()
        with pool as executor:
            fit = complete(
                table,
                self.rank,
                reg=self.reg,
                solver=self.solver,
                max_iter=self.max_iter,
                tol=self.tol,
                inner_tol=self.inner_tol,
                inner_iter=self.inner_iter,
                resample=self.resample,
                incoherence=self.incoherence,
                sketch_rows=self.sketch_rows,
                start=previous,
                executor=executor,
                rng=seed,
            )
        root = np.sqrt(fit.singular_values)
        self.completion_, self.mean_ = fit, mean
        self.row_factors_, self.column_factors_ = fit.left * root, fit.right * root
        self.singular_values_ = fit.singular_values
        self.n_iter_, self.converged_, self.history_ = fit.n_iter, fit.converged, fit.changes
        self.train_rmse_ = fit.rmse(table)
        return self

    def transform(self, X: Matrix) -> Float[np.ndarray, "rows rank"]:
        """Place rows among those that were fitted, from the entries that they have.

        Args:
            X: (rows, n) as for `fit`; rows without entries are placed at 0.

        Raises:
            ValueError: for another number of columns, or before `fit`.
        """
        root = np.sqrt(self.singular_values_) if hasattr(self, "singular_values_") else np.ones(1)
        on_right = self._coefficients(X)
        return np.divide(on_right, root, out=np.zeros_like(on_right), where=root > 0.0)

    def inverse_transform(self, X: ArrayLike) -> Float[np.ndarray, "rows n"]:
        """Return the tables' rows that belong to coordinates.

        Args:
            X: (rows, rank).

        Raises:
            ValueError: for another number of coordinates, or before `fit`.
        """
        check_is_fitted(self)
        points = np.asarray(X, np.float64)
        if points.ndim != 2 or points.shape[1] != self._n_features_out:
            raise ShapeError(f"X has shape {points.shape}; wanted (rows, {self._n_features_out})")
        return np.asarray(points @ self.column_factors_.T + self.mean_)

    def impute(self, X: Matrix) -> Float[np.ndarray, "rows n"]:
        """Return rows with their missing entries filled in, and the observed ones as they are.

        Args:
            X: as for `transform`.

        Raises:
            ValueError: as `transform`.
        """
        filled = self.inverse_transform(self.transform(X))
        given = self._read(X, reset=False)
        filled[given.row, given.column] = given.values
        return filled

    def predict_entries(self, rows: ArrayLike, columns: ArrayLike) -> Float[np.ndarray, "count"]:
        """Return chosen entries of the completed table.

        Args:
            rows, columns: as many indices each, from 0.

        Raises:
            DTypeError, RangeError, ShapeError: for indices that are none, or do not pair up.
        """
        check_is_fitted(self)
        found = self.completion_.entries(rows, columns)
        return np.asarray(found + self.mean_[np.asarray(columns, np.int64)])

    def reconstruct(self) -> Float[np.ndarray, "m n"]:
        """Return the completed table, smoothed where it was observed."""
        check_is_fitted(self)
        return np.asarray(self.completion_.dense() + self.mean_)

    @property
    def _n_features_out(self) -> int:
        return int(self.singular_values_.size)

    def __sklearn_tags__(self) -> Any:
        """Say that NaN and sparse tables are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    def _read(self, X: Matrix, *, reset: bool) -> Observed:
        table = validate_data(
            self,
            X,
            accept_sparse=("csr", "csc", "coo"),
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            reset=reset,
        )
        return read_observed("X", table, entries=reset)

    def _means(self, given: Observed) -> Floats:
        n = given.shape[1]
        if not self.center:
            return np.zeros(n)
        counts = np.bincount(given.column, minlength=n)
        sums = np.bincount(given.column, given.values, minlength=n)
        every = np.full(n, float(given.values.mean()))
        return np.asarray(np.divide(sums, counts, out=every, where=counts > 0))

    def _fits(self, fit: Completion, shape: tuple[int, int]) -> bool:
        return fit.shape == shape and fit.singular_values.size == self.rank

    def _coefficients(self, X: Matrix) -> Floats:
        check_is_fitted(self)
        if not np.isfinite(self.singular_values_).all():
            raise RangeError("the last fit overflowed; divide the table by its largest entry")
        given = self._read(X, reset=False)
        left = given._replace(values=given.values - self.mean_[given.column])
        return fold_in(self.completion_, left, self.reg)
