"""The ramp loss, and the search for directions at which its gradient vanishes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import note
from tractable._core.checks import check_number
from tractable.theory.halfspace._target import Floats, check_direction, check_labels, check_rows

NARROWEST = 1e-9
"""The smallest width of a ramp; slopes overflow below some width."""


def slope_of(margins: Floats, sigma: float | Floats) -> Floats:
    """Return -l'_sigma: 3 / (2 sigma) up to sigma / 6, then linear, and 0 from sigma / 2 on."""
    slope = np.abs(margins)
    slope /= -sigma
    slope += 0.5
    slope *= 4.5
    np.clip(slope, 0.0, 1.5, out=slope)
    slope /= sigma
    return slope


def loss_of(margins: Floats, sigma: float) -> Floats:
    """Return l_sigma, which falls from 1 to 0 where its slope is not zero."""
    far = np.minimum(np.abs(margins) / sigma, 0.5)
    beyond = np.maximum(far - 1.0 / 6.0, 0.0)
    area = 1.5 * far - 2.25 * beyond**2
    return np.asarray(0.5 - np.sign(margins) * area)


def ramp_loss_and_grad(
    w: ArrayLike, X: ArrayLike, y: ArrayLike, sigma: float
) -> tuple[float, Float[np.ndarray, "d"]]:
    """Return E[l_sigma(y <w, x> / |w|)] and its gradient in w, at w / |w|.

    Args:
        w: (d,) a direction; its length does not matter, and the gradient is that of the unit
            vector, orthogonal to it.
        X: (n, d) finite numbers.
        y: (n,) labels -1 and 1.
        sigma: width of the ramp, at least 1e-9.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> loss, slope = ramp_loss_and_grad([3, 0], [[0.0, 1.0], [2.0, 0.0]], [1, 1], 1.0)
        >>> loss, slope.tolist()
        (0.25, [0.0, -0.75])
    """
    rows = check_rows(X)
    labels = check_labels(y, len(rows))
    unit = check_direction(w, rows.shape[1])
    sigma = check_number("sigma", sigma, low=NARROWEST)
    projected = rows @ unit
    loss = float(loss_of(labels * projected, sigma).mean())
    pull = rows.T @ (slope_of(projected, sigma) * labels) / len(rows)
    return loss, np.asarray((pull @ unit) * unit - pull)


class Search(NamedTuple):
    """How `candidates_of` looks for directions; see `fit_halfspace`."""

    sigmas: tuple[float, ...]
    n_restarts: int
    max_iter: int
    batch_size: int


def candidates_of(
    X: Floats, y: Floats, search: Search, rng: np.random.Generator
) -> Float[np.ndarray, "sigmas d"]:
    """Return for each sigma the direction with the fewest errors among those that descent found.

    All starts and sigmas descend together on the same batches. Both signs of each end count.
    """
    size, width = X.shape
    order = rng.permutation(size)
    rows, labels = X[order], y[order]
    spans = np.repeat(np.asarray(search.sigmas), search.n_restarts + 2)
    starts = np.column_stack(
        (
            rows.T @ labels,
            averaged_perceptron(rows, labels),
            rng.standard_normal((width, search.n_restarts)),
        )
    )
    W = _normalised(np.tile(starts, len(search.sigmas)))
    batch = min(search.batch_size, size)
    tail = np.zeros_like(W)
    for step in range(search.max_iter):
        begin = step * batch % size
        part, marks = rows[begin : begin + batch], labels[begin : begin + batch, None]
        slope = slope_of(part @ W, spans)  # even, so that labels do not change it
        slope *= marks
        pull = part.T @ slope / len(part)
        pull -= (pull * W).sum(axis=0) * W
        W = _normalised(W + pull / np.sqrt(1.0 + step / 20.0))
        if 2 * step >= search.max_iter:
            tail += W
    note("flops", 4 * search.max_iter * batch * W.size + 8 * search.max_iter * batch * spans.size)
    note("samples", size)
    ends = np.column_stack((W, _normalised(tail))) if search.max_iter > 1 else W
    wrong = ((rows @ ends >= 0.0) != (labels[:, None] > 0.0)).mean(axis=0)
    note("flops", 2 * rows.size * ends.shape[1])
    ends = np.where(wrong > 0.5, -ends, ends)
    wrong = np.minimum(wrong, 1.0 - wrong)
    owner = np.tile(spans, ends.shape[1] // spans.size)
    best = [
        np.flatnonzero(owner == sigma)[wrong[owner == sigma].argmin()] for sigma in search.sigmas
    ]
    return np.ascontiguousarray(ends[:, best].T)


def averaged_perceptron(X: Floats, y: Floats, batch: int = 100) -> Float[np.ndarray, "d"]:
    """Return the average of a perceptron that reads rows once, a batch at a time."""
    w = X[:batch].T @ y[:batch]
    total = np.zeros(X.shape[1])
    for begin in range(0, len(X), batch):
        rows, labels = X[begin : begin + batch], y[begin : begin + batch]
        missed = (rows @ w) * labels <= 0.0
        w = w + rows[missed].T @ labels[missed] / batch
        total += w
    note("flops", 4 * X.size)
    return total


def _normalised(W: Floats) -> Floats:
    """Return columns of length 1; a column of zeros becomes the first axis."""
    peaks = np.abs(W).max(axis=0)
    scaled = W / np.where(peaks > 0.0, peaks, 1.0)
    scaled[0] += peaks == 0.0
    return np.asarray(scaled / np.linalg.norm(scaled, axis=0))
