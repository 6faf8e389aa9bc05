"""Regression in the p-norm, to a certified gap."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import RangeError, ShapeError
from tractable._core.checks import as_array, check_integer, check_number
from tractable.algorithms.lp_sampling._matrix import RCOND, Floats, basis_of, check_matrix, check_p
from tractable.algorithms.lp_sampling._program import solve, solve_linear

__all__ = ["LpFit", "lp_regression"]


class LpFit(NamedTuple):
    """An answer.

    Args:
        coefficients: x.
        loss: sum of weight |a_i x - b_i|^p.
        gap: the optimum is at least loss / (1 + gap); 0 where the solver is exact (p 1 or 2).
    """

    coefficients: Float[np.ndarray, "columns"]
    loss: float
    gap: float


def lp_regression(
    A: ArrayLike,
    b: ArrayLike,
    p: float,
    *,
    sample_weight: ArrayLike | None = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
) -> LpFit:
    """Minimise sum_i weight_i |a_i x - b_i|^p.

    p = 1 is a linear program, p = 2 least squares; else weights |residual|^(p-2) are iterated,
    damped by 1 / (p - 1) above 2, until a dual bound is met. Notes `solves`.

    Args:
        A: (n, columns) finite numbers of any rank.
        b: (n,) finite numbers.
        p: at least 1.
        sample_weight: (n,) numbers, at least 0, not all 0.
        tol: relative gap at which to stop, above 0.
        max_iter: weightings; a warning is given where they do not suffice.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> fit = lp_regression(np.ones((3, 1)), [0.0, 1.0, 10.0], 1)
        >>> fit.coefficients.round(9).tolist(), round(fit.loss, 9)
        ([1.0], 10.0)
    """
    matrix = check_matrix("A", A)
    target = np.asarray(as_array("b", b, ndim=1, kinds="fiub"), dtype=np.float64)
    p = check_p(p)
    tol = check_number("tol", tol, low=0.0, high=math.inf, open_ends=True)
    tries = check_integer("max_iter", max_iter, low=1)
    if target.shape != (len(matrix),):
        raise ShapeError(f"b has shape {target.shape}; wanted ({len(matrix)},)")
    weights = _check_weights(sample_weight, len(matrix))
    kept = weights > 0.0
    roots = (weights[kept] / weights.max()) ** (1.0 / p)
    peak = float(np.abs(target).max()) or 1.0
    basis = basis_of(matrix[kept] * roots[:, None])
    goal = target[kept] / peak * roots
    move = basis.columns.T @ goal
    rest = goal - basis.columns @ move
    again = basis.columns.T @ rest
    move, rest = move + again, rest - basis.columns @ again
    length = float(np.linalg.norm(rest))
    gap = 0.0
    if p != 2.0 and length > 1e-13 * float(np.linalg.norm(goal)):
        further, gap = _further(basis.columns, rest / length, p, tol, tries)
        move = move + length * further
    coefficients = basis.from_matrix @ move * peak
    if basis.columns.shape[1] < matrix.shape[1]:
        coefficients = _shortest(matrix[kept], coefficients)
    residual = np.abs(matrix @ coefficients - target)
    if gap > tol:
        warnings.warn(
            f"the loss is certain only up to {gap:.1g} after {tries} weightings; give more, or a "
            "larger tol",
            RuntimeWarning,
            stacklevel=2,
        )
    with np.errstate(over="ignore"):
        return LpFit(coefficients, float((weights * residual**p).sum()), gap)


def _further(Q: Floats, rest: Floats, p: float, tol: float, tries: int) -> tuple[Floats, float]:
    """Return the z that minimises ||rest - Qz||_p, `rest` being a unit vector orthogonal to Q."""
    B = np.column_stack((Q, rest))
    last = np.zeros(B.shape[1])
    last[-1] = 1.0
    if p == 1.0:
        return -solve_linear(B, last)[1][:-1], 0.0
    solved = solve(B, np.ones(len(B)), last[None, :], p, tol=tol, max_iter=tries)
    return -solved.points[0, :-1], max(0.0, float(solved.upper[0] / solved.lower[0]) - 1.0)


def _shortest(matrix: Floats, coefficients: Floats) -> Floats:
    """Return the shortest coefficients with the same products, in units of each column's peak.

    Repeated rows and weights do not move it.
    """
    peaks = np.abs(matrix).max(axis=0)
    peaks[peaks == 0.0] = 1.0
    scaled = matrix / peaks
    return np.asarray(np.linalg.pinv(scaled, RCOND) @ (scaled @ (coefficients * peaks)) / peaks)


def _check_weights(sample_weight: ArrayLike | None, n: int) -> Floats:
    if sample_weight is None:
        return np.ones(n)
    weights = np.asarray(as_array("sample_weight", sample_weight, ndim=1), dtype=np.float64)
    if weights.shape != (n,):
        raise ShapeError(f"sample_weight has shape {weights.shape}; wanted ({n},)")
    if weights.min() < 0.0 or weights.max() == 0.0:
        raise RangeError("sample_weight is negative or all zero; wanted at least 0, not all 0")
    return weights
