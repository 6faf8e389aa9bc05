"""The loops over lines in NumPy and LAPACK: the twin of `_compiled`, and wide exact lines."""

# ruff: noqa: PLR0917 - twins of compiled functions, which take one array each

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from tractable.algorithms.completion._observed import Floats

TINY = 1e-12
Places = NDArray[np.int32]
Starts = NDArray[np.int64]


def iterate(
    places: Places,
    values: Floats,
    factor: Floats,
    ridge: Floats,
    inverse: Floats,
    x: Floats,
    tol: float,
    most: int,
    steepest: bool,
) -> int:
    """Improve x by conjugate gradients, or steepest descent; return the steps taken."""
    A = factor[places]
    g = A.T @ (values - A @ x) - ridge * x
    z = inverse @ g if inverse.size else g
    p = z.copy()
    size = float(g @ z)
    least = max(tol * max(size, 0.0) ** 0.5, 1e-15 * float(values @ values) ** 0.5)
    for step in range(most):
        if not size > least * least:
            return step
        w = A.T @ (A @ p) + ridge * p
        curve = float(p @ w)
        if not curve > 0.0:
            return step
        x += size / curve * p
        g -= size / curve * w
        z = inverse @ g if inverse.size else g
        new = float(g @ z)
        p = z + (0.0 if steepest else new / size) * p
        size = new
    return most


def iterate_lines(
    starts: Starts,
    places: Places,
    values: Floats,
    factor: Floats,
    ridge: Floats,
    x: Floats,
    tol: float,
    most: int,
    steps: NDArray[np.int64],
) -> None:
    """Improve every line of x without a preconditioner."""
    none = np.empty((0, 0))
    for i in range(steps.size):
        part = slice(starts[i], starts[i + 1])
        if part.start == part.stop:
            x[i] = 0.0
            continue
        steps[i] = iterate(places[part], values[part], factor, ridge, none, x[i], tol, most, False)


def solve_lines(
    starts: Starts,
    places: Places,
    values: Floats,
    factor: Floats,
    ridge: Floats,
    x: Floats,
    unsure: NDArray[np.bool_],
) -> None:
    """Solve every line by Cholesky's factor; mark lines that it does not determine."""
    for i in range(unsure.size):
        part = slice(starts[i], starts[i + 1])
        x[i] = 0.0
        if part.start == part.stop:
            unsure[i] = not (ridge > 0.0).all()
            continue
        A = factor[places[part]]
        gram = blas.dsyrk(1.0, A.T)  # the upper half of A^T A
        gram[np.diag_indices_from(gram)] += ridge
        whole = gram.diagonal().copy()
        root, answer, bad = lapack.dposv(gram, A.T @ values[part])
        unsure[i] = bad != 0 or not (root.diagonal() ** 2 > TINY * whole).all()
        if not unsure[i]:
            x[i] = answer


def sketch_line(
    places: Places, factor: Floats, bucket: NDArray[np.int64], sign: Floats, out: Floats
) -> None:
    """Add each row of A, with its sign, to the row of `out` that it is hashed to."""
    out[:] = 0.0
    np.add.at(out, bucket[places], sign[places, None] * factor[places])
