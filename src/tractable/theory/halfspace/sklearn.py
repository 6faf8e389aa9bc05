"""The tester-learner as a scikit-learn estimator; needs the extra `sklearn`."""

import warnings
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from tractable._core import RangeError
from tractable.theory.halfspace._certificate import Noise
from tractable.theory.halfspace._fit import HalfspaceFit, fit_halfspace

__all__ = ["TestableHalfspaceClassifier"]


class TestableHalfspaceClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A linear classifier that says whether its guarantee holds on these data.

    Args:
        epsilon, noise, eta, delta, sigmas, n_restarts, max_iter, batch_size, whiten: as in
            `fit_halfspace`.
        on_reject: "return" for `accepted_` alone, "warn" for a warning with the reasons as well;
            a rejection never raises.
        random_state: a seed, a `RandomState`, or None.

    Attributes:
        coef_: (1, features); intercept_: (1,), 0 unless rows are whitened.
        classes_: both labels, in order.
        accepted_: whether the guarantee holds.
        report_: the tests by name, each with `statistic`, `low`, `high` and `passed`.
        error_bound_: the error is below it with probability 1 - delta, accepted or not.
        excess_bound_, angle_bound_, candidates_: as in `HalfspaceFit`.
        fit_: the `HalfspaceFit`. n_iter_: steps of descent.
        n_features_in_: width of the rows.

    Example:
        >>> rows = np.random.default_rng(0).standard_normal((20000, 4))
        >>> model = TestableHalfspaceClassifier(random_state=0).fit(rows, rows[:, 1] > 0)
        >>> model.accepted_, model.error_bound_ < 0.01
        (True, True)
        >>> model.predict([[0, 1, 0, 0], [0, -1, 0, 0]]).tolist()
        [True, False]
    """

    __test__ = False  # the name starts like a test's

    fit_: HalfspaceFit

    def __init__(
        self,
        epsilon: float = 0.05,
        noise: Noise = "massart",
        eta: float = 0.25,
        *,
        delta: float = 0.05,
        sigmas: Any = None,
        n_restarts: int = 4,
        max_iter: int = 300,
        batch_size: int = 2000,
        whiten: bool = False,
        on_reject: Literal["return", "warn"] = "return",
        random_state: Any = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.epsilon = epsilon
        self.noise = noise
        self.eta = eta
        self.delta = delta
        self.sigmas = sigmas
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.whiten = whiten
        self.on_reject = on_reject
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "TestableHalfspaceClassifier":
        """Learn from half of the rows, test on the others.

        Args:
            X: (rows, features) finite numbers, two rows at least.
            y: (rows,) two different labels.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        if self.on_reject not in ("return", "warn"):
            raise RangeError(f"on_reject is {self.on_reject!r}; wanted return or warn")
        rows, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(labels)}."
            )
        if len(self.classes_) < 2:
            raise ValueError("y has one class; wanted two classes")
        self.fit_ = fit_halfspace(
            rows,
            2 * codes - 1,
            epsilon=self.epsilon,
            noise=self.noise,
            eta=self.eta,
            delta=self.delta,
            sigmas=self.sigmas,
            n_restarts=self.n_restarts,
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            whiten=self.whiten,
            rng=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )
        self.n_iter_ = self.max_iter
        self.coef_ = self.fit_.coef[None, :]
        self.intercept_ = np.array([self.fit_.intercept])
        self.accepted_, self.report_ = self.fit_.accepted, self.fit_.report
        self.error_bound_, self.excess_bound_ = self.fit_.error_bound, self.fit_.excess_bound
        self.angle_bound_, self.candidates_ = self.fit_.angle_bound, self.fit_.candidates
        if not self.accepted_ and self.on_reject == "warn":
            warnings.warn(
                f"rejected; only error_bound_ holds:\n{self.fit_.reasons()}",
                UserWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: ArrayLike) -> Float[np.ndarray, "rows"]:
        """Return <coef, x> + intercept, from 0 on for the second class.

        Args:
            X: (rows, features).

        Raises:
            ValueError: for another number of features, or before `fit`.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(rows @ self.coef_[0] + self.intercept_[0])

    def predict(self, X: ArrayLike) -> Any:
        """Return labels.

        Args:
            X: (rows, features).

        Raises:
            ValueError: for another number of features, or before `fit`.
        """
        second = self.decision_function(X) >= 0.0
        return self.classes_[second.astype(int)]

    def __sklearn_tags__(self) -> Any:
        """Say that there are two classes, and that hyperplanes pass through the origin."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = not self.whiten
        return tags
