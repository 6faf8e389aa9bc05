"""Repair row sums: scale down what is too much, fill up what is missing."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import DataError
from tractable._core.checks import as_array
from tractable.algorithms.sparse_ot._columns import read_problem

__all__ = ["round_to_marginals"]


def round_to_marginals(T: ArrayLike, a: ArrayLike, b: ArrayLike) -> Float[np.ndarray, "m n"]:
    """Change a plan as little as its sums ask for, so that rows sum to a and columns to b.

    Rows, then columns that have too much are scaled down; what is missing is filled in from the
    first row and column to the last, which adds at most m + n - 1 nonzeros altogether. The change
    is at most twice the sums' error (Altschuler, Weed and Rigollet 2017, with another filling).

    Args:
        T: (m, n) a plan, no negative entries.
        a: (m,) sums of the rows.
        b: (n,) sums of the columns, with the same total.

    Returns:
        A new plan.

    Raises:
        DataError: for negative entries, NaN, or totals that differ.
        DTypeError, ShapeError: as `sparse_ot`.

    Example:
        >>> round_to_marginals([[0.5, 0.25], [0.0, 0.25]], [0.5, 0.5], [0.5, 0.5]).round(3).tolist()
        [[0.333, 0.167], [0.167, 0.333]]
    """
    plan = as_array("T", T, ndim=2).astype(np.float64)
    problem = read_problem(a, b, plan, 1.0, 1)
    rows, columns = problem.a, problem.b
    if plan.min() < 0.0:
        raise DataError(f"T has a negative entry, {plan.min():.3g}; wanted masses")
    for axis, wanted in ((1, rows), (0, columns)):
        sums = plan.sum(axis, keepdims=True)
        limit = np.expand_dims(wanted, axis)
        plan *= np.divide(limit, sums, out=np.ones_like(sums), where=sums > limit)
    missing_rows = np.maximum(rows - plan.sum(1), 0.0)
    missing_columns = np.maximum(columns - plan.sum(0), 0.0)
    i = j = 0
    while i < rows.size and j < columns.size:
        part = min(missing_rows[i], missing_columns[j])
        plan[i, j] += part
        missing_rows[i] -= part
        missing_columns[j] -= part
        if missing_rows[i] <= missing_columns[j]:
            i += 1
        else:
            j += 1
    return plan
