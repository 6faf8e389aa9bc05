"""What came before: tests that ignore labels, with a regression on all monomials."""

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tractable._core import note
from tractable.theory.halfspace._target import Floats

WEIGHTINGS = 4


class PolynomialFit(NamedTuple):
    """A sign of a polynomial, and whether all moments up to twice its degree were normal."""

    coef: Float[np.ndarray, "features"]
    threshold: float
    degree: int
    accepted: bool

    def predict(self, X: Floats) -> Bool[np.ndarray, "n"]:
        """Say which rows are positive."""
        return np.asarray(hermite_features(X, self.degree) @ self.coef >= self.threshold)


def hermite_features(X: Floats, degree: int) -> Float[np.ndarray, "n features"]:
    """Return all products of Hermite polynomials up to a degree; orthonormal under N(0, I)."""
    powers = [np.ones_like(X), X]
    for k in range(1, degree):
        powers.append((X * powers[k] - np.sqrt(k) * powers[k - 1]) / np.sqrt(k + 1))
    columns = []
    for total in range(degree + 1):
        for chosen in combinations_with_replacement(range(X.shape[1]), total):
            column = np.ones(len(X))
            for j in set(chosen):
                column = column * powers[chosen.count(j)][:, j]
            columns.append(column)
    return np.column_stack(columns)


def polynomial_tester_learner(X: Floats, y: Floats, degree: int) -> PolynomialFit:
    """Match moments up to twice the degree, and fit a polynomial in the L1 norm by reweighting.

    Half of the rows are matched, as in the tester-learner. Notes `flops`.

    Source: R. Rubinfeld and A. Vasilyan, "Testing distributional assumptions of learning
        algorithms", STOC 2023; A. T. Kalai et al., "Agnostically learning halfspaces", 2008.
    """
    features = hermite_features(X, degree)
    size, width = features.shape
    half = features[size // 2 :]
    gap = half.T @ half / len(half) - np.eye(width)
    squares = half**2
    spread = np.sqrt(squares.T @ squares / len(half) / len(half))
    accepted = bool((np.abs(gap) <= 6.0 * spread).all())
    note("flops", 4 * len(half) * width**2)
    weights = np.ones(size)
    for _ in range(WEIGHTINGS):
        weighted = features * weights[:, None]
        gram = features.T @ weighted + 1e-9 * size * np.eye(width)
        coef = np.linalg.solve(gram, weighted.T @ y)
        weights = 1.0 / np.maximum(np.abs(features @ coef - y), 1e-3)
    note("flops", WEIGHTINGS * (2 * size * width**2 + 2 * width**3 // 3 + 4 * size * width))
    values = features @ coef
    order = np.argsort(values)
    passed = np.concatenate(([0.0], np.cumsum(y[order])))  # labels left below the threshold
    cut = int(passed.argmin())
    threshold = values[order[cut]] if cut < size else np.inf
    return PolynomialFit(coef, float(threshold), degree, accepted)
