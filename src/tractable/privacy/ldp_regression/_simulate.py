"""Everybody at once, for research: reports of data that are all in one place, or of a law.

Nothing here protects anybody: whoever runs it has the data. Clients are in `_client`.
"""

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.privacy.ldp_regression._client import (
    Report,
    clip_rows,
    clipped_gradients,
    randomize_gradients,
)
from tractable.privacy.ldp_regression._entropy import Source
from tractable.privacy.ldp_regression._protocol import GradientProtocol, StatisticsProtocol

__all__ = [
    "GaussianLaw",
    "simulate_gaussian_gradients",
    "simulate_gaussian_reports",
    "simulate_gradients",
    "simulate_reports",
]

Floats = NDArray[np.float64]
BLOCK = 10_000


def simulate_reports(
    X: ArrayLike,
    y: ArrayLike,
    protocol: StatisticsProtocol,
    *,
    rng: int | np.random.Generator | None = None,
) -> Report:
    """Return the sum of the reports that people with these data would send.

    The noise of a sum of n reports is N(0, n scale^2), and is drawn once; rounding to the clients'
    grid, under a millionth of the noise, is left out.

    Args:
        X: (n, d) finite numbers, a row a person.
        y: (n,) finite numbers.
        protocol: what clients and server agreed on.
        rng: seed, generator or None: this is a simulation.

    Raises:
        ShapeError, DTypeError, DataError: for anything else.

    Example:
        >>> protocol = StatisticsProtocol(1.0, 1e-5, x_bound=2.0, y_bound=1.0)
        >>> simulate_reports(np.eye(2), [1.0, 0.0], protocol, rng=0).n
        2
    """
    source = as_generator(rng)
    rows, answers = read_data(X, y)
    n, d = rows.shape
    S, c = np.zeros((d, d)), np.zeros(d)
    for start in range(0, n, BLOCK):
        block = clip_rows(rows[start : start + BLOCK], protocol.x_bound)
        S += block.T @ block
        bound = protocol.y_bound
        c += block.T @ np.clip(answers[start : start + BLOCK], -bound, bound)
    note("samples", n)
    return _with_noise(S, c, n, protocol, source)


class GaussianLaw:
    """People of whom x ~ N(0, Sigma) and y = <x, theta> + N(0, noise_sd^2).

    Args:
        Sigma: (d, d) positive definite.
        theta: (d,) coefficients.
        noise_sd: at least 0.

    Raises:
        ShapeError, DTypeError, DataError, RangeError: for anything else.
    """

    def __init__(self, Sigma: ArrayLike, theta: ArrayLike, noise_sd: float) -> None:
        """Check, and factor the covariance."""
        self.theta = as_array("theta", theta, ndim=1).astype(np.float64)
        self.noise_sd = check_number("noise_sd", noise_sd, low=0.0)
        matrix = as_array("Sigma", Sigma, ndim=2).astype(np.float64)
        d = self.theta.size
        if matrix.shape != (d, d):
            raise ShapeError(f"Sigma has shape {matrix.shape}; wanted {(d, d)}, as theta has {d}")
        if np.abs(matrix - matrix.T).max() > 1e-9 * np.abs(matrix).max():
            raise DataError("Sigma is not symmetric; pass a covariance")
        try:
            self.root: Floats = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        except np.linalg.LinAlgError:
            raise DataError("Sigma is not positive definite; pass a covariance") from None

    def sums(self, n: int, source: np.random.Generator) -> tuple[Floats, Floats]:
        """Return X^T X and X^T y of n people, by Bartlett's decomposition in O(d^3).

        Given X, the noise's part of X^T y is N(0, noise_sd^2 X^T X).

        Raises:
            RangeError, DTypeError: for fewer people than columns.
        """
        d = self.theta.size
        count = check_integer("n", n, low=d)
        lower = np.tril(source.standard_normal((d, d)), -1)
        lower[np.diag_indices(d)] = np.sqrt(source.chisquare(count - np.arange(d)))
        half: Floats = self.root @ lower
        S: Floats = half @ half.T
        return S, S @ self.theta + self.noise_sd * (half @ source.standard_normal(d))

    def gradient(self, n: int, w: Floats, source: np.random.Generator) -> Floats:
        """Return the sum of x (<x, w> - y) of n people, in O(d^2).

        With z = (x, noise of y) scaled to a unit normal vector, it is part of (sum z z^T) u for
        one vector u; turned so that u is the first axis, that is the first column of a Wishart
        matrix: ||u|| (q, sqrt(q) g) with q chi-squared of n and g normal.

        Raises:
            RangeError, DTypeError: for fewer people than columns.
        """
        d = self.theta.size
        q = float(source.chisquare(check_integer("n", n, low=d)))
        u = np.append(self.root.T @ (w - self.theta), -self.noise_sd)
        length = float(np.linalg.norm(u))
        column = np.sqrt(q) * source.standard_normal(d + 1)
        column[0] = q
        if length == 0.0:
            return np.zeros(d)
        mirror = u / length
        mirror[0] -= 1.0
        square = float(mirror @ mirror)
        if square > 0.0:
            column -= mirror * (2.0 * float(mirror @ column) / square)
        return np.asarray(self.root @ column[:d] * length)


def simulate_gaussian_reports(
    law: GaussianLaw,
    n: int,
    protocol: StatisticsProtocol,
    *,
    rng: int | np.random.Generator | None = None,
) -> Report:
    """Return the sum of n people's reports, in a time that does not depend on n.

    Exact but for clipping, which is left out: choose bounds that hardly any of n people exceed.

    Args:
        law: of people.
        n: people, at least d.
        protocol: what clients and server agreed on.
        rng: seed, generator or None: this is a simulation.

    Raises:
        ShapeError, DTypeError, DataError, RangeError: for anything else.

    Example:
        >>> protocol = StatisticsProtocol(1.0, 1e-5, x_bound=5.0, y_bound=5.0)
        >>> law = GaussianLaw(np.eye(3), [1, 2, 3], 0.1)
        >>> total = simulate_gaussian_reports(law, 10**14, protocol, rng=0)
        >>> (total.c / total.n).round(2).tolist()
        [1.0, 2.0, 3.0]
    """
    source = as_generator(rng)
    S, c = law.sums(n, source)
    note("samples", n)
    return _with_noise(S, c, n, protocol, source)


def simulate_gradients(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    protocol: GradientProtocol,
    *,
    rng: int | np.random.Generator | None = None,
) -> Float[np.ndarray, "d"]:
    """Return the sum of the gradients that people with these data would send at a model.

    Args:
        X, y: as in `simulate_reports`.
        w: (d,) the model.
        protocol: what clients and server agreed on.
        rng: seed, generator or None: this is a simulation.

    Raises:
        ShapeError, DTypeError, DataError: for anything else.
    """
    source = as_generator(rng)
    rows, answers = read_data(X, y)
    model = as_array("w", w, ndim=1).astype(np.float64)
    if model.size != rows.shape[1]:
        raise ShapeError(f"w has shape {model.shape}; wanted ({rows.shape[1]},)")
    total = np.zeros(model.size)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        gradients = clipped_gradients(rows[part], answers[part], model, protocol)
        total += randomize_gradients(gradients, protocol, source).sum(axis=0)
    note("gradients", len(rows))
    return total


def simulate_gaussian_gradients(
    law: GaussianLaw,
    n: int,
    w: ArrayLike,
    protocol: GradientProtocol,
    *,
    rng: int | np.random.Generator | None = None,
) -> Float[np.ndarray, "d"]:
    """Return the sum of n privatised gradients, in a time that does not depend on n.

    Reports of Duchi's mechanisms are bounded, so that the sum of many more than d of them is
    drawn from a normal law with their second moments. Clipping is left out.

    Args:
        law: of people.
        n: people, at least d.
        w: (d,) the model.
        protocol: what clients and server agreed on.
        rng: seed, generator or None: this is a simulation.

    Raises:
        ShapeError, DTypeError, DataError, RangeError: for anything else.
    """
    source = as_generator(rng)
    model = as_array("w", w, ndim=1).astype(np.float64)
    if model.shape != law.theta.shape:
        raise ShapeError(f"w has shape {model.shape}; wanted {law.theta.shape}, as theta")
    gradient = law.gradient(n, model, source)
    # Second moments of Duchi's reports include their mean, a small part of them: the noise is
    # taken a little too large.
    scale = protocol.scale(model.size) * math.sqrt(n)
    note("gradients", n)
    return np.asarray(gradient + scale * source.standard_normal(model.size))


def read_data(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Check rows and responses."""
    rows = as_array("X", X, ndim=2)
    answers = as_array("y", y, ndim=1)
    if len(answers) != len(rows):
        raise ShapeError(f"y has {len(answers)} entries; wanted {len(rows)}, as X has rows")
    return rows.astype(np.float64, copy=False), answers.astype(np.float64, copy=False)


def _with_noise(
    S: Floats, c: Floats, n: int, protocol: StatisticsProtocol, source: Source
) -> Report:
    d = c.size
    scales = protocol.scales(d)
    c = c + source.standard_normal(d) * (scales.moment * math.sqrt(n))
    if protocol.public_covariance:
        return Report(None, c, n)
    noise = source.standard_normal((d, d))
    if protocol.layout == "symmetrised":
        noise = (noise + noise.T) / 2.0
    else:
        noise = np.triu(noise) + np.triu(noise, 1).T
    return Report(S + noise * (scales.covariance * math.sqrt(n)), c, n)
