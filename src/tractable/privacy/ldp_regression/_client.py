"""What runs on a person's own device: clip, randomise, send."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._core import ShapeError, note
from tractable._core.checks import as_array, check_number
from tractable.privacy.ldp_regression._entropy import Source, choose_source
from tractable.privacy.ldp_regression._mechanisms import duchi
from tractable.privacy.ldp_regression._protocol import (
    GradientProtocol,
    StatisticsProtocol,
    grid_of,
)

__all__ = [
    "Report",
    "clip_rows",
    "clipped_gradients",
    "privatize_gradient",
    "privatize_statistics",
    "randomize_gradients",
]

Floats = NDArray[np.float64]


class Report(NamedTuple):
    """One person's message, or the sum of many.

    Args:
        S: (d, d) symmetric, x x^T with noise; None where rows are public.
        c: (d,) x y with noise.
        n: how many people's.
    """

    S: Floats | None
    c: Floats
    n: int = 1


def privatize_statistics(
    x: ArrayLike,
    y: float,
    protocol: StatisticsProtocol,
    *,
    rng: int | np.random.Generator | None = None,
    simulation: bool = False,
) -> Report:
    """Randomise what one person knows, on that person's device; the result may be published.

    It is (epsilon, delta)-private against everybody, the server included. Call it once a person:
    a second report costs the budget again. Noise comes from the operating system. Statistics and
    noise are rounded to one grid whose step depends on the protocol alone, so that no report is
    possible for one person and impossible for another, as it would be with noise added to plain
    floating-point numbers (Mironov 2012). The normal numbers have 53 random bits far into the
    tails; it is no exact discrete sampler, and how long it takes is not hidden.

    Args:
        x: (d,) finite numbers; shrunk to `protocol.x_bound`.
        y: a finite number; clipped to `protocol.y_bound`.
        protocol: what clients and server agreed on.
        rng: None. Seeds and generators are refused, unless `simulation` is true.
        simulation: no real person is involved, and noise may be repeatable.

    Returns:
        The report; its S is None if the protocol has public rows.

    Raises:
        RangeError: for a seed without `simulation`.
        ShapeError, DTypeError, DataError: for anything else that is wrong.

    Example:
        >>> protocol = StatisticsProtocol(1.0, 1e-5, x_bound=2.0, y_bound=1.0)
        >>> report = privatize_statistics([0.5, -1.0], 0.3, protocol)
        >>> report.S.shape, report.c.shape, bool((report.S == report.S.T).all())
        ((2, 2), (2,), True)
    """
    source = choose_source(rng, simulation)
    row = as_array("x", x, ndim=1).astype(np.float64)
    answer = check_number("y", y)
    d = row.size
    scales = protocol.scales(d)
    row = clip_rows(row[None], protocol.x_bound)[0]
    answer = float(np.clip(answer, -protocol.y_bound, protocol.y_bound))
    S = None
    if not protocol.public_covariance:
        upper = np.triu_indices(d)
        off = np.sqrt(0.5) if protocol.layout == "symmetrised" else 1.0
        sizes = scales.covariance * np.where(upper[0] == upper[1], 1.0, off)
        entries = row[upper[0]] * row[upper[1]]
        S = np.zeros((d, d))
        S[upper] = _add_noise(entries, sizes, grid_of(scales.covariance), source)
        S.T[upper] = S[upper]
    c = _add_noise(row * answer, scales.moment, grid_of(scales.moment), source)
    note("samples", 1)
    return Report(S, c)


def privatize_gradient(
    x: ArrayLike,
    y: float,
    w: ArrayLike,
    protocol: GradientProtocol,
    *,
    rng: int | np.random.Generator | None = None,
    simulation: bool = False,
) -> Float[np.ndarray, "d"]:
    """Randomise one person's gradient at the server's model, on that person's device.

    Duchi's mechanisms are private with delta = 0; "gaussian" is rounded as in
    `privatize_statistics`. Call it once a person, in one round. The model may be anything: a
    server that lies about it learns no more.

    Args:
        x: (d,) finite numbers; shrunk to `protocol.x_bound`.
        y: a finite number; clipped to `protocol.y_bound`.
        w: (d,) the model that the server sent.
        protocol, rng, simulation: as in `privatize_statistics`.

    Returns:
        An unbiased report of x clip(<x, w> - y).

    Raises:
        RangeError: for a seed without `simulation`.
        ShapeError, DTypeError, DataError: for anything else that is wrong.

    Example:
        >>> protocol = GradientProtocol(1.0, x_bound=2.0, y_bound=1.0)
        >>> report = privatize_gradient([0.5, -1.0], 0.3, [0.0, 0.0], protocol)
        >>> round(float(np.linalg.norm(report)), 3)  # the same for everybody
        13.597
    """
    source = choose_source(rng, simulation)
    row = as_array("x", x, ndim=1).astype(np.float64)
    answer = check_number("y", y)
    model = as_array("w", w, ndim=1).astype(np.float64)
    if model.shape != row.shape:
        raise ShapeError(f"w has shape {model.shape}; wanted {row.shape}, as x")
    gradient = clipped_gradients(row[None], np.array([answer]), model, protocol)
    note("gradients", 1)
    return np.asarray(randomize_gradients(gradient, protocol, source)[0])


def clip_rows(X: Floats, bound: float) -> Floats:
    """Shrink rows to a Euclidean norm; scaled first, so that huge numbers do not overflow."""
    largest = np.abs(X).max(axis=1, keepdims=True)
    safe = np.where(largest > 0.0, largest, 1.0)
    direction = X / safe
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    # bound / length / safe >= 1 leaves the row alone, bit by bit.
    with np.errstate(over="ignore"):
        inside = length * safe <= bound
    return np.asarray(np.where(inside, X, direction * (bound / np.where(length, length, 1.0))))


def clipped_gradients(X: Floats, y: Floats, w: Floats, protocol: GradientProtocol) -> Floats:
    """Each row's gradient, bounded by the protocol's radius."""
    if protocol.mechanism == "duchi-linf":
        rows = np.clip(X, -protocol.x_bound, protocol.x_bound)
    else:
        rows = clip_rows(X, protocol.x_bound)
    answers = np.clip(y, -protocol.y_bound, protocol.y_bound)
    limit = protocol.largest_residual
    with np.errstate(over="ignore", invalid="ignore"):
        residuals = np.nan_to_num(np.clip(rows @ w - answers, -limit, limit))
    return np.asarray(rows * residuals[:, None])


def randomize_gradients(gradients: Floats, protocol: GradientProtocol, source: Source) -> Floats:
    """Privatise each row by itself."""
    if protocol.mechanism == "gaussian":
        scale = protocol.scale(gradients.shape[1])
        return _add_noise(gradients, scale, grid_of(scale), source)
    norm = protocol.mechanism.removeprefix("duchi-")
    return duchi(gradients, norm, protocol.radius, protocol.epsilon, source)  # type: ignore[arg-type] # checked by the protocol


def _add_noise(values: Floats, scale: float | Floats, grid: float, source: Source) -> Floats:
    """Round to the grid, add noise rounded to the grid; whole numbers, so no bits are lost."""
    noise = source.standard_normal(values.shape) * scale
    return np.asarray((np.rint(values / grid) + np.rint(noise / grid)) * grid)
