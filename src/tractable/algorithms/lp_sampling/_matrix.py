"""Checked matrices, and bases of their columns: every score depends on the column space alone."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from tractable._core.checks import as_array, check_number

Floats = NDArray[np.float64]

RCOND = 1e-10
"""Directions whose singular value is smaller than this times the largest one do not count."""


class Basis(NamedTuple):
    """An orthonormal basis of a matrix's columns.

    Args:
        columns: (n, d), orthonormal, d being the rank.
        from_matrix: (columns of the matrix, d); the matrix times it is `columns`.
    """

    columns: Floats
    from_matrix: Floats


def check_matrix(name: str, value: ArrayLike) -> Floats:
    """Return finite numbers with two axes as float64; integers and booleans are taken as well."""
    array = as_array(name, value, ndim=2, kinds="fiub")
    return np.asarray(array, dtype=np.float64)


def check_p(p: object) -> float:
    """Return p as a finite float, at least 1."""
    return check_number("p", p, low=1.0)


def basis_of(A: Floats) -> Basis:
    """Return a basis of the columns; nothing overflows, and rank is judged on scaled columns."""
    peaks = np.abs(A).max(axis=0)
    peaks[peaks == 0.0] = 1.0
    scaled = A / peaks
    lengths = np.linalg.norm(scaled, axis=0)
    lengths[lengths == 0.0] = 1.0
    orthonormal, R = np.linalg.qr(scaled / lengths)
    left, sizes, right = np.linalg.svd(R, full_matrices=False)
    rank = int((sizes > RCOND * max(1.0, float(sizes[0]))).sum())
    from_scaled = right[:rank].T / sizes[:rank]
    return Basis(orthonormal @ left[:, :rank], from_scaled / lengths[:, None] / peaks[:, None])


def row_leverage(B: Floats) -> Floats:
    """Return b_i (B^T B)^-1 b_i for a matrix of full column rank, by Cholesky where that works."""
    if B.shape[1] == 0:
        return np.zeros(len(B))
    try:
        factor = cholesky(B.T @ B, lower=True)
        edge = np.abs(np.diag(factor))
        if edge.min() > 1e-6 * edge.max():
            solved = solve_triangular(factor, B.T, lower=True)
            return np.asarray((solved**2).sum(axis=0))
    except LinAlgError:
        pass
    return squares(basis_of(B).columns)


def squares(B: NDArray[Any]) -> Floats:
    """Return squared row lengths, those under the rounding of others' as zero."""
    lengths = np.asarray((B**2).sum(axis=1))
    lengths[lengths < 1e-29] = 0.0
    return lengths
