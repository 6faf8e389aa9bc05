"""Fits on a sample of rows as a scikit-learn estimator; needs the extra `sklearn`."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from tractable._core.checks import check_integer
from tractable.algorithms.lp_sampling._matrix import check_p
from tractable.algorithms.lp_sampling._regression import lp_regression
from tractable.algorithms.lp_sampling._sample import RowSample, sample_rows

__all__ = ["LpCoresetRegressor"]


class LpCoresetRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Regression in the p-norm, or any regressor, fitted to few weighted rows.

    Args:
        n_samples: about how many rows are kept, at least 1; all where there are no more.
        p: of the loss that the sample keeps, at least 1.
        scores: as in `sample_rows`.
        estimator: what is fitted to the sample, through `sample_weight`; None takes
            `lp_regression` with an intercept.
        random_state: a seed, a `RandomState`, or None.

    Attributes:
        sample_: the `RowSample`; indices count the rows whose given weight is not zero.
        estimator_: the fitted estimator, None if none was given.
        coef_, intercept_: of `lp_regression`, if no estimator was given.
        n_features_in_: width of the rows.

    Example:
        >>> rows = np.random.default_rng(0).standard_normal((5000, 3))
        >>> model = LpCoresetRegressor(200, p=1, random_state=0).fit(rows, rows @ [1, 2, 3] + 4)
        >>> model.coef_.round(6).tolist(), round(model.intercept_, 6)
        ([1.0, 2.0, 3.0], 4.0)
    """

    def __init__(
        self,
        n_samples: int = 1000,
        *,
        p: float = 1.5,
        scores: Any = "auto",
        estimator: Any = None,
        random_state: Any = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.n_samples = n_samples
        self.p = p
        self.scores = scores
        self.estimator = estimator
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "LpCoresetRegressor":
        """Sample rows of [X 1 y] and fit to them.

        Args:
            X: (rows, features) finite numbers.
            y: (rows,) finite numbers.
            sample_weight: (rows,) at least 0; None weighs rows equally.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        size = check_integer("n_samples", self.n_samples, low=1)
        p = check_p(self.p)
        rows, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        target = np.asarray(target, dtype=np.float64)
        weights = np.ones(len(rows))
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
        kept = weights > 0.0
        rows, target, weights = rows[kept], target[kept], weights[kept]
        if not len(rows):
            raise ValueError("sample_weight is zero everywhere; wanted a row that counts")
        roots = weights ** (1.0 / p)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with_one = np.column_stack((rows, np.ones(len(rows))))
        self.sample_ = self._sample(with_one * roots[:, None], target * roots, p, size, seed)
        chosen, given = self.sample_.indices, self.sample_.sample_weight
        given = weights[chosen] * given
        if self.estimator is None:
            fit = lp_regression(with_one[chosen], target[chosen], p, sample_weight=given)
            self.coef_ = fit.coefficients[:-1]
            self.intercept_ = float(fit.coefficients[-1])
            self.estimator_ = None
        else:
            self.estimator_ = clone(self.estimator)
            self.estimator_.fit(rows[chosen], target[chosen], sample_weight=given)
        return self

    def predict(self, X: ArrayLike) -> Float[np.ndarray, "rows"]:
        """Return the fit's values.

        Args:
            X: (rows, features).

        Raises:
            ValueError: for another number of features, or before `fit`.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        if self.estimator_ is not None:
            return np.asarray(self.estimator_.predict(rows))
        return np.asarray(rows @ self.coef_ + self.intercept_)

    def _sample(self, rows: Any, target: Any, p: float, size: int, seed: int) -> RowSample:
        if size >= len(rows):
            every = np.ones(len(rows))
            return RowSample(np.arange(len(rows)), every, every)
        sample = sample_rows(rows, p, size, scores=self.scores, b=target, rng=seed)
        if sample.indices.size:
            return sample
        return sample_rows(rows, p, size, scores=self.scores, b=target, replace=True, rng=seed)
