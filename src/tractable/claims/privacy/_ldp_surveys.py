"""Surveys that the claim about local privacy simulates: laws, protocols, sums of reports."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "DELTA",
    "EPSILON",
    "NOISE",
    "Y_BOUND",
    "Survey",
    "each",
    "error",
    "fit",
    "in_turns",
    "law_of",
    "ldp",
    "protocol_for",
    "surveys_of",
]

EPSILON = 1.0
DELTA = 1e-5
Y_BOUND = 8.0
NOISE = 0.1
DRAWS = 2  # surveys of one size whose mean error is one round's figure


def ldp() -> Any:
    """The module; claims are listed without it."""
    from tractable.privacy import ldp_regression

    return ldp_regression


class Survey(NamedTuple):
    """One survey: its law, its protocol, the sum of its reports."""

    law: Any
    n: int
    k: int
    protocol: Any
    total: Any  # reports with x x^T
    seed: int


def protocol_for(d: int, **changed: Any) -> Any:
    return ldp().StatisticsProtocol(EPSILON, DELTA, 2.0 * math.sqrt(d), Y_BOUND, **changed)


def law_of(d: int, k: int, rng: Any, correlation: float = 0.0) -> Any:
    """Gaussian rows, correlation falling off with the distance of columns; k coefficients."""
    import numpy as np

    theta = np.zeros(d)
    theta[rng.choice(d, k, replace=False)] = rng.choice([-1.0, 1.0], k) / math.sqrt(k)
    distance = np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    Sigma = correlation**distance if correlation else np.eye(d)
    return ldp().GaussianLaw(Sigma, theta, NOISE)


def _survey_of(d: int, k: int, n: int, rng: Any, correlation: float) -> Survey:
    law, seed, protocol = law_of(d, k, rng, correlation), int(rng.integers(2**31)), protocol_for(d)
    total = ldp().simulate_gaussian_reports(law, n, protocol, rng=seed)
    return Survey(law, n, k, protocol, total, seed)


def surveys_of(d: int, k: int, n: int, rng: Any, correlation: float = 0.0) -> tuple[list[Survey]]:
    """The surveys of one round."""
    return ([_survey_of(d, k, n, rng, correlation) for _ in range(DRAWS)],)


def each(estimate: Callable[[Survey], Any]) -> Callable[[list[Survey]], Any]:
    """An arm that estimates from every survey of a round."""

    def arm(surveys: list[Survey]) -> Any:
        return [estimate(survey) for survey in surveys]

    arm.__name__, arm.__doc__ = estimate.__name__, estimate.__doc__
    return arm


def fit(total: Any, protocol: Any, **options: Any) -> Any:
    """The public function, without its warning that the noise is large: that is the subject."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ldp().NoiseDominatesWarning)
        return ldp().sparse_regression(total, protocol, **options).coef


def error(output: Any, expected: Any, surveys: Any) -> float:
    """Euclidean distance from the truth, the mean over the surveys of a round."""
    import numpy as np

    pairs = zip(output, surveys, strict=True)
    distances = [np.linalg.norm(found - survey.law.theta) for found, survey in pairs]
    return max(float(np.mean(distances)), 1e-15)


def in_turns(
    survey: Any,
    n: int,
    seed: int,
    *,
    kept: int = 0,
    bound: float | None = None,
    equal: bool = False,
) -> Any:
    """Rounds of gradients; `kept` coefficients survive each, or twice as many as there are."""
    import numpy as np

    d, k, rng = survey.law.theta.size, survey.k, np.random.default_rng(seed)
    protocol = ldp().GradientProtocol(EPSILON, 2.0 * math.sqrt(d), Y_BOUND, residual_bound=bound)
    server = ldp().HardThresholdingServer(d, k, k_ratio=kept / k if kept else 2.0)
    rounds = math.ceil(0.5 * math.log(n))
    for group in ldp().group_sizes(n, rounds, groups="equal" if equal else "geometric"):
        # Gradients of a handful of people are noise; the simulation wants more than columns.
        size = max(group, d)
        sums = ldp().simulate_gaussian_gradients(survey.law, size, server.coef, protocol, rng=rng)
        server.update(sums, size)
    return server.coef if kept else server.final()
