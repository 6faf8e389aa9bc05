"""The two estimators as scikit-learn has them; needs the extra `sklearn`.

`fit` SIMULATES: it holds everybody's data, so it protects nobody. It is for planning a survey.
In a survey, clients call `privatize_statistics` or `privatize_gradient`, and the server calls
`fit_from_reports`, or `HardThresholdingServer`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tractable._core.checks import check_integer
from tractable.privacy.ldp_regression._client import Report
from tractable.privacy.ldp_regression._interactive import (
    HardThresholdingServer,
    default_rounds,
    group_sizes,
)
from tractable.privacy.ldp_regression._protocol import GradientProtocol, StatisticsProtocol
from tractable.privacy.ldp_regression._server import sparse_regression, summarize_public
from tractable.privacy.ldp_regression._simulate import simulate_gradients, simulate_reports

__all__ = ["LDPIterativeHardThresholding", "LDPSparseRegression"]


class _Linear(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A linear model without an intercept."""

    def predict(self, X: ArrayLike) -> Float[np.ndarray, "rows"]:
        """Return X @ coef_.

        Args:
            X: (rows, features).

        Raises:
            ValueError: for another number of features, or before `fit`.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(rows @ self.coef_)

    def _read(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, Any, np.random.Generator]:
        rows, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return rows, np.asarray(target, dtype=np.float64), np.random.default_rng(seed)

    def __sklearn_tags__(self) -> Any:
        """Say that a good score is not to be expected of few rows."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class LDPSparseRegression(_Linear):
    """Sparse linear regression from one noisy message a person; `fit` is a simulation.

    There is no intercept: subtract means that are public, or let a column be constant.

    Args:
        epsilon, delta: budget of a person.
        x_bound, y_bound: what rows and responses are clipped to; they must be known before the
            data are, so None is an error.
        k: keep no more than k coefficients; None takes the threshold alone.
        threshold, rule, psd: as in `sparse_regression`.
        public_X: (rows, features) public unlabelled rows, or None.
        split, accounting, layout: as in `StatisticsProtocol`.
        random_state: of the simulated noise: a seed, a `RandomState`, or None.

    Attributes:
        coef_: (features,). raw_coef_: before the threshold. threshold_: (features,).
        standard_error_: (features,) of `raw_coef_`.
        noise_scale_: `NoiseScales` of one report.
        privacy_spent_: (epsilon, delta) of a person.
        n_features_in_: width of the rows.

    Example:
        >>> X = np.random.default_rng(0).standard_normal((200_000, 2)).clip(-2, 2)
        >>> model = LDPSparseRegression(8.0, x_bound=2.9, y_bound=2.0, random_state=0)
        >>> model.fit(X, 0.8 * X[:, 0]).coef_.round(1).tolist()
        [0.7, 0.0]
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        *,
        x_bound: float | None = None,
        y_bound: float | None = None,
        k: int | None = None,
        threshold: Any = "auto",
        rule: Any = "soft",
        psd: Any = "none",
        public_X: Any = None,
        split: float = 0.5,
        accounting: Any = "joint",
        layout: Any = "symmetrised",
        random_state: Any = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.epsilon = epsilon
        self.delta = delta
        self.x_bound = x_bound
        self.y_bound = y_bound
        self.k = k
        self.threshold = threshold
        self.rule = rule
        self.psd = psd
        self.public_X = public_X
        self.split = split
        self.accounting = accounting
        self.layout = layout
        self.random_state = random_state

    @property
    def protocol(self) -> StatisticsProtocol:
        """What clients must be told."""
        return StatisticsProtocol(
            self.epsilon,
            self.delta,
            self.x_bound,  # type: ignore[arg-type] # None is refused with a reason
            self.y_bound,  # type: ignore[arg-type]
            self.split,
            self.accounting,
            self.layout,
            self.public_X is not None,
        )

    def fit(self, X: ArrayLike, y: ArrayLike) -> "LDPSparseRegression":
        """Simulate everybody's report and fit to the sum.

        Args:
            X: (people, features) finite numbers.
            y: (people,) finite numbers.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        protocol = self.protocol
        rows, target, source = self._read(X, y)
        total = simulate_reports(rows, target, protocol, rng=source)
        return self._fit(total, protocol)

    def fit_from_reports(self, total: Report) -> "LDPSparseRegression":
        """Fit to the sum of real reports, made under `protocol`.

        Args:
            total: as `add_reports` returns.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        return self._fit(total, self.protocol)

    def _fit(self, total: Report, protocol: StatisticsProtocol) -> "LDPSparseRegression":
        public = None
        if self.public_X is not None:
            public = summarize_public(self.public_X, protocol)
        fit = sparse_regression(
            total,
            protocol,
            public=public,
            threshold=self.threshold,
            rule=self.rule,
            k=self.k,
            psd=self.psd,
        )
        self.coef_, self.raw_coef_ = fit.coef, fit.raw_coef
        self.threshold_, self.standard_error_ = fit.threshold, fit.standard_error
        self.noise_scale_ = protocol.scales(fit.coef.size)
        self.privacy_spent_ = (protocol.epsilon, protocol.delta)
        self.n_features_in_ = fit.coef.size
        return self


class LDPIterativeHardThresholding(_Linear):
    """Sparse linear regression in rounds, from one noisy gradient a person; a simulation.

    People are dealt at random into one group a round, so that each answers once and the budget is
    not divided. There is no intercept.

    Args:
        k: coefficients that are not zero.
        epsilon: budget of a person, up to 20 for Duchi's mechanisms.
        x_bound, y_bound, mechanism, delta, residual_bound: as in `GradientProtocol`; bounds of
            None are an error.
        n_iter: rounds; None takes half the logarithm of the number of people.
        groups: "geometric" or "equal", as in `group_sizes`.
        step, k_ratio, ball: as in `HardThresholdingServer`.
        random_state: of the simulated groups and noise: a seed, a `RandomState`, or None.

    Attributes:
        coef_: (features,). n_iter_: rounds made.
        noise_scale_: root mean square of an entry of one report.
        privacy_spent_: (epsilon, delta) of a person.
        n_features_in_: width of the rows.

    Example:
        >>> X = np.random.default_rng(0).standard_normal((200_000, 4)).clip(-2, 2)
        >>> model = LDPIterativeHardThresholding(1, 4.0, x_bound=4.0, y_bound=2.0, random_state=0)
        >>> model.fit(X, 0.8 * X[:, 0]).coef_.round(1).tolist()
        [0.8, 0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        k: int = 1,
        epsilon: float = 1.0,
        *,
        x_bound: float | None = None,
        y_bound: float | None = None,
        mechanism: Any = "duchi-l2",
        delta: float = 0.0,
        residual_bound: float | None = None,
        n_iter: int | None = None,
        groups: Any = "geometric",
        step: float = 0.5,
        k_ratio: float = 2.0,
        ball: float = 1.0,
        random_state: Any = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.k = k
        self.epsilon = epsilon
        self.x_bound = x_bound
        self.y_bound = y_bound
        self.mechanism = mechanism
        self.delta = delta
        self.residual_bound = residual_bound
        self.n_iter = n_iter
        self.groups = groups
        self.step = step
        self.k_ratio = k_ratio
        self.ball = ball
        self.random_state = random_state

    @property
    def protocol(self) -> GradientProtocol:
        """What clients must be told, beside the model of their round."""
        return GradientProtocol(
            self.epsilon,
            self.x_bound,  # type: ignore[arg-type] # None is refused with a reason
            self.y_bound,  # type: ignore[arg-type]
            self.mechanism,
            self.delta,
            self.residual_bound,
        )

    def fit(self, X: ArrayLike, y: ArrayLike) -> "LDPIterativeHardThresholding":
        """Simulate all rounds.

        Args:
            X: (people, features) finite numbers.
            y: (people,) finite numbers.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        protocol = self.protocol
        rows, target, source = self._read(X, y)
        n, d = rows.shape
        rounds = default_rounds(n) if self.n_iter is None else self.n_iter
        rounds = min(check_integer("n_iter", rounds, low=1), n)
        sizes = group_sizes(n, rounds, self.step, self.groups)
        server = HardThresholdingServer(
            d, self.k, step=self.step, k_ratio=self.k_ratio, ball=self.ball
        )
        for group in np.split(source.permutation(n), np.cumsum(sizes)[:-1]):
            total = simulate_gradients(
                rows[group], target[group], server.coef, protocol, rng=source
            )
            server.update(total, len(group))
        self.coef_ = server.final()
        self.n_iter_ = server.n_rounds
        self.noise_scale_ = protocol.scale(d)
        self.privacy_spent_ = (protocol.epsilon, protocol.delta)
        return self
