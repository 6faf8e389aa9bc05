"""The spectral start: leading singular vectors of the entries seen, missing ones taken for 0."""

import numpy as np
from scipy import sparse

from tractable._core import note
from tractable.algorithms.completion._observed import Floats, Observed

OVERSAMPLE = 10
POWERS = 2
LONG = 4.0


def spectral_start(
    given: Observed, rank: int, incoherence: float | None, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Return orthonormal columns, singular values, orthonormal rows; coherent parts zeroed.

    Source: the initialisation of Algorithm 1; singular vectors by randomised power iterations.
    """
    m, n = given.shape
    seen = sparse.csr_array((given.values, (given.row, given.column)), shape=given.shape)
    share = given.values.size / (m * n)
    width = min(rank + OVERSAMPLE, m, n)
    basis = _orthonormalise(seen @ rng.standard_normal((n, width)))
    for _ in range(POWERS):
        basis = _orthonormalise(seen @ _orthonormalise(seen.T @ basis))
    inside, _, _ = np.linalg.svd((seen.T @ basis).T, full_matrices=False)
    left = _zero_coherent((basis @ inside)[:, :rank], incoherence)
    left = _orthonormalise(left)
    turned, values, right = np.linalg.svd(left.T @ seen / share, full_matrices=False)
    note(
        "flops",
        (2 * POWERS + 3) * 2 * given.values.size * width + (2 * POWERS + 3) * 4 * m * width**2,
    )
    return left @ turned, values, np.ascontiguousarray(right.T)


def _zero_coherent(left: Floats, incoherence: float | None) -> Floats:
    """Zero what sticks out, before columns are made orthonormal again."""
    m, k = left.shape
    if incoherence is not None:
        return np.where(np.abs(left) > 2.0 * incoherence * (k / m) ** 0.5, 0.0, left)
    lengths = np.linalg.norm(left, axis=1)
    usual = float(np.median(lengths[lengths > 0.0])) if lengths.any() else 0.0
    return np.where((lengths > LONG * usual)[:, None], 0.0, left)


def _orthonormalise(columns: Floats) -> Floats:
    return np.asarray(np.linalg.qr(columns)[0])
