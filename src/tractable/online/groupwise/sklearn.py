"""The groupwise ridge as a scikit-learn estimator; needs the extra `sklearn`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tractable.online.groupwise._regressor import GroupwiseRegressor
from tractable.online.groupwise._ridge import OnlineRidge

__all__ = ["GroupwiseRidge"]


class GroupwiseRidge(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Ridges for overlapping groups, mixed by sleeping experts, fitted in the rows' order.

    A constant is added to the features; its coefficient is penalised as the others are.

    Args:
        groups: a function from rows (rows, features) to membership (rows, groups) booleans;
            None knows everybody only.
        alpha: the ridges' penalty, above 0.
        variant: "ridge" or "vaw", as in `OnlineRidge`.
        meta: "adanormalhedge" or "hedge", as in `GroupwiseRegressor`.
        clip: lowest and highest target; None takes the range of the first targets seen.

    Attributes:
        model_: the `GroupwiseRegressor`.
        n_features_in_: width of the rows.

    Example:
        >>> X = np.random.default_rng(0).random((4000, 2))
        >>> y = abs(X[:, 0] - 0.5)
        >>> model = GroupwiseRidge(lambda rows: rows[:, :1] > 0.5, alpha=0.01)
        >>> scores = model.fit(X, y).predict(X) - y
        >>> bool(abs(scores[X[:, 0] > 0.5]).mean() < 0.05)
        True
    """

    def __init__(
        self,
        groups: Callable[[Float[np.ndarray, "rows features"]], ArrayLike] | None = None,
        *,
        alpha: float = 1.0,
        variant: Any = "ridge",
        meta: Any = "adanormalhedge",
        clip: tuple[float, float] | None = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.groups = groups
        self.alpha = alpha
        self.variant = variant
        self.meta = meta
        self.clip = clip

    def fit(self, X: ArrayLike, y: ArrayLike) -> "GroupwiseRidge":
        """Forget everything and learn the rows in their order.

        Args:
            X: (rows, features) finite numbers.
            y: (rows,) finite numbers within `clip`.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        return self._learn(X, y, True)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> "GroupwiseRidge":
        """Learn further rows; arguments as in `fit`."""
        return self._learn(X, y, not hasattr(self, "model_"))

    def predict(self, X: ArrayLike) -> Float[np.ndarray, "rows"]:
        """Return predictions with what is known now.

        Args:
            X: (rows, features).

        Raises:
            ValueError: for another number of features, or before `fit`.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        pairs = zip(_with_constant(rows), self._members(rows), strict=True)
        return np.array([self.model_.predict_one(row, member) for row, member in pairs])

    def _learn(self, X: ArrayLike, y: ArrayLike, fresh: bool) -> "GroupwiseRidge":
        rows, targets = validate_data(self, X, y, dtype=np.float64, y_numeric=True, reset=fresh)
        targets = np.asarray(targets, dtype=np.float64)
        members = self._members(rows)
        if fresh:
            clip = self.clip
            if clip is None:
                low, high = float(targets.min()), float(targets.max())
                clip = (low, high) if low < high else (low, low + max(1.0, abs(low)))
            self.model_ = GroupwiseRegressor(
                members.shape[1], OnlineRidge(self.alpha, self.variant), meta=self.meta, clip=clip
            )
        self.model_.partial_fit(_with_constant(rows), targets, members)
        return self

    def _members(self, rows: Any) -> Any:
        if self.groups is None:
            return np.zeros((len(rows), 0), np.bool_)
        members = np.asarray(self.groups(rows))
        if members.ndim != 2 or len(members) != len(rows) or members.dtype.kind != "b":
            raise ValueError(
                f"groups gave {members.dtype} of shape {members.shape}; wanted booleans, one row "
                f"for each of {len(rows)}"
            )
        return members


def _with_constant(rows: Any) -> Any:
    return np.column_stack((rows, np.ones(len(rows))))
