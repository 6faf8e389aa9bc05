"""The two objectives and their plans, column by column; the projections; the definition."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._common.compiled import load_compiled
from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number

Floats = NDArray[np.float64]


class Problem(NamedTuple):
    """Checked arguments: marginals, costs of a column in a row, gamma, and k at most m."""

    a: Floats
    b: Floats
    costs: Floats
    gamma: float
    k: int


class Entries(NamedTuple):
    """The plan's nonzeros: for each column its rows and their mass, zeros at the end."""

    rows: NDArray[np.int64]
    mass: Floats


def semi_dual(  # noqa: PLR0917 (the order of `sparse_ot`)
    alpha: ArrayLike, a: ArrayLike, b: ArrayLike, M: ArrayLike, reg: float, max_nz: int
) -> tuple[float, Float[np.ndarray, "m n"]]:
    """Evaluate the semi-dual objective, a . alpha minus the sum of Omega*_b, and its plan.

    No plan with these marginals and at most k nonzeros a column costs less than the value.

    Args:
        alpha: (m,) potentials of the rows.
        a, b, M, reg, max_nz: as in `sparse_ot`.

    Returns:
        The value, and the plan of these potentials: columns sum to b, and a minus the row sums
        is a supergradient of the value.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as `sparse_ot`.

    Example:
        >>> value, plan = semi_dual([0, 0], [0.5, 0.5], [0.5, 0.5], [[0, 1], [1, 0]], 1.0, 1)
        >>> value, plan.tolist()
        (0.25, [[0.5, 0.0], [0.0, 0.5]])
    """
    problem = read_problem(a, b, M, reg, max_nz)
    potentials = read_potentials("alpha", alpha, problem.a.size)
    total, _, entries = project(potentials, problem, wanted=True)
    return float(potentials @ problem.a - total), to_dense(entries, problem.a.size)


def dual(  # noqa: PLR0917 (the order of `sparse_ot`)
    alpha: ArrayLike,
    beta: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    M: ArrayLike,
    reg: float,
    max_nz: int,
) -> tuple[float, Float[np.ndarray, "m n"]]:
    """Evaluate the dual objective, a . alpha + b . beta minus the sum of Omega*, and its plan.

    Args:
        alpha: (m,) potentials of the rows.
        beta: (n,) potentials of the columns.
        a, b, M, reg, max_nz: as in `sparse_ot`.

    Returns:
        The value, and the plan of these potentials; a and b minus its row and column sums make a
        supergradient of the value.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as `sparse_ot`.

    Example:
        >>> dual([0.5, 0.5], [0, 0], [0.5, 0.5], [0.5, 0.5], [[0, 1], [1, 0]], 1.0, 1)[0]
        0.25
    """
    problem = read_problem(a, b, M, reg, max_nz)
    potentials = read_potentials("alpha", alpha, problem.a.size)
    others = read_potentials("beta", beta, problem.b.size)
    total, _, _, entries = clip(potentials, others, problem, wanted=True)
    value = potentials @ problem.a + others @ problem.b - total
    return float(value), to_dense(entries, problem.a.size)


def topk_simplex_projection(
    V: ArrayLike, k: int, z: float = 1.0, *, axis: int = -1
) -> Float[np.ndarray, "..."]:
    """Find the nearest nonnegative vectors of sum z with at most k nonzeros.

    Args:
        V: vectors along one axis.
        k: nonzeros at most, at least 1.
        z: the sum, above 0.
        axis: which axis.

    Returns:
        An array of the same shape, float64; among equal entries the first are kept.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for NaN, infinities, no numbers, a k or z
            out of range, an axis that does not exist.

    Example:
        >>> topk_simplex_projection([0.5, 0.7, 0.1], 2).round(3).tolist()
        [0.4, 0.6, 0.0]
    """
    vectors, kept = _read_vectors(V, k, axis)
    total = check_number("z", z, low=0.0)
    if total == 0.0:
        raise RangeError("z is 0; wanted it above 0")
    order, top = _sort(vectors, kept)
    found = _spread(top, np.full(len(vectors), total))
    return _put_back(vectors, order, found, np.shape(V), axis)


def topk_relu(V: ArrayLike, k: int, *, axis: int = -1) -> Float[np.ndarray, "..."]:
    """Keep the k largest entries where they are positive, and put zeros elsewhere.

    Args:
        V, k, axis: as in `topk_simplex_projection`.

    Returns:
        An array of the same shape, float64; among equal entries the first are kept.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as `topk_simplex_projection`.

    Example:
        >>> topk_relu([3.0, -1.0, 2.0, 1.0], 2).tolist()
        [3.0, 0.0, 2.0, 0.0]
    """
    vectors, kept = _read_vectors(V, k, axis)
    order, top = _sort(vectors, kept)
    return _put_back(vectors, order, np.maximum(top, 0.0), np.shape(V), axis)


def reference(  # noqa: PLR0917 (the order of `sparse_ot`)
    alpha: ArrayLike, a: ArrayLike, b: ArrayLike, M: ArrayLike, reg: float, max_nz: int
) -> tuple[float, Float[np.ndarray, "m n"]]:
    """Evaluate the semi-dual by its definition: every support of k rows, for every column.

    Args:
        alpha, a, b, M, reg, max_nz: as in `semi_dual`.

    Returns:
        The value and the plan.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as `sparse_ot`.
    """
    problem = read_problem(a, b, M, reg, max_nz)
    potentials = read_potentials("alpha", alpha, problem.a.size)
    m, gamma = problem.a.size, problem.gamma
    plan, total = np.zeros((m, problem.b.size)), 0.0
    for j, mass in enumerate(problem.b):
        best = -np.inf
        for size in range(1, problem.k + 1):
            for support in itertools.combinations(range(m), size):
                score = (potentials - problem.costs[j])[list(support)]
                part = score / gamma + (mass - score.sum() / gamma) / size  # multiplier of the sum
                gain = score @ part - 0.5 * gamma * part @ part
                if part.min() >= -1e-12 * mass and gain > best:
                    best, chosen, column = gain, list(support), part
        plan[chosen, j] = column
        total += best
    return float(potentials @ problem.a - total), plan


def project(
    alpha: Floats, problem: Problem, *, wanted: bool = False
) -> tuple[float, Floats, Entries]:
    """Sum of Omega*_b over columns, the row sums of the plan, and its entries if wanted."""
    m, n, k = problem.a.size, problem.b.size, problem.k
    note("operations", m * n)
    shape = (n, k) if wanted else (0, 0)
    sums, entries = np.zeros(m), Entries(np.zeros(shape, np.int64), np.zeros(shape))
    compiled = load_compiled(__package__)
    if compiled is not None:
        total = compiled.project_columns(
            alpha, problem.costs, problem.b, problem.gamma, k, sums, entries.rows, entries.mass
        )
        return float(total), sums, entries
    order, top = _sort(alpha - problem.costs, k)
    mass = _spread(top, problem.gamma * problem.b) / problem.gamma
    total = float((top * mass - 0.5 * problem.gamma * mass**2).sum())
    sums += np.bincount(order.ravel(), mass.ravel(), minlength=m)
    return total, sums, Entries(order, mass)


def clip(
    alpha: Floats, beta: Floats, problem: Problem, *, wanted: bool = False
) -> tuple[float, Floats, Floats, Entries]:
    """Sum of Omega* over columns, the plan's row and column sums, and its entries if wanted."""
    m, n, k = problem.a.size, problem.b.size, problem.k
    note("operations", m * n)
    shape = (n, k) if wanted else (0, 0)
    sums, others = np.zeros(m), np.zeros(n)
    entries = Entries(np.zeros(shape, np.int64), np.zeros(shape))
    gamma, compiled = problem.gamma, load_compiled(__package__)
    if compiled is not None:
        total = compiled.clip_columns(
            alpha, beta, problem.costs, gamma, k, sums, others, entries.rows, entries.mass
        )
        return float(total), sums, others, entries
    order, top = _sort(alpha + beta[:, None] - problem.costs, k)
    mass = np.maximum(top, 0.0) / gamma
    sums += np.bincount(order.ravel(), mass.ravel(), minlength=m)
    return float(0.5 * gamma * (mass**2).sum()), sums, mass.sum(1), Entries(order, mass)


def to_dense(entries: Entries, m: int) -> Floats:
    """Spread the entries over a plan of m rows."""
    plan = np.zeros((m, len(entries.rows)))
    column, at = np.nonzero(entries.mass)
    plan[entries.rows[column, at], column] = entries.mass[column, at]
    return plan


def read_problem(a: ArrayLike, b: ArrayLike, M: ArrayLike, reg: float, max_nz: int) -> Problem:
    """Check the arguments that every function here shares."""
    first, second = (
        as_array(name, value, ndim=1).astype(np.float64) for name, value in (("a", a), ("b", b))
    )
    costs = as_array("M", M, ndim=2).astype(np.float64)
    if costs.shape != (first.size, second.size):
        raise ShapeError(
            f"M has shape {costs.shape}; wanted ({first.size}, {second.size}), lengths of a and b"
        )
    for name, part in (("a", first), ("b", second)):
        if part.min() < 0.0:
            raise DataError(f"{name} has a negative entry, {part.min():.3g}; wanted masses")
    with np.errstate(over="ignore"):
        masses, span = (first.sum(), second.sum()), costs.max() - costs.min()
    if not (np.isfinite(masses).all() and np.isfinite(span)):
        raise DataError("sums of a or b, or the range of M, overflow; divide them by a factor")
    if masses[1] == 0.0 or abs(masses[0] - masses[1]) > 1e-6 * masses[1]:
        raise DataError(
            f"a sums to {masses[0]:.9g} and b to {masses[1]:.9g}; wanted equal sums above 0"
        )
    gamma = check_number("reg", reg, low=0.0)
    if gamma == 0.0:
        raise RangeError("reg is 0; wanted it above 0 (max_nz=1 gives unregularised transport)")
    k = min(check_integer("max_nz", max_nz, low=1), first.size)
    first *= masses[1] / masses[0]  # equal up to single precision: the value would be unbounded
    return Problem(first, second, np.ascontiguousarray(costs.T), gamma, k)


def read_potentials(name: str, value: ArrayLike, size: int) -> Floats:
    """Check potentials."""
    found = as_array(name, value, ndim=1).astype(np.float64)
    if found.size != size:
        raise ShapeError(f"{name} has {found.size} entries; wanted {size}")
    return found


def _read_vectors(V: ArrayLike, k: int, axis: int) -> tuple[Floats, int]:
    array = as_array("V", V)
    if not -array.ndim <= axis < array.ndim:
        raise RangeError(f"axis is {axis}; V has {array.ndim} axes")
    vectors = np.moveaxis(array, axis, -1).astype(np.float64)
    flat = vectors.reshape(-1, vectors.shape[-1])
    return flat, min(check_integer("k", k, low=1), flat.shape[1])


def _sort(scores: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


def _spread(top: Floats, width: Floats) -> Floats:
    """Project falling scores onto the simplex of sum `width`."""
    gaps = top - top[:, :1]
    levels = (np.cumsum(gaps, axis=1) - width[:, None]) / np.arange(1, top.shape[1] + 1)
    support = np.maximum(np.count_nonzero(gaps > levels, axis=1), 1)
    threshold = np.take_along_axis(levels, support[:, None] - 1, axis=1)
    return np.maximum(gaps - threshold, 0.0)


def _put_back(
    vectors: Floats, order: NDArray[np.int64], found: Floats, shape: tuple[int, ...], axis: int
) -> Floats:
    out = np.zeros_like(vectors)
    np.put_along_axis(out, order, found, axis=1)
    moved = [*shape[: axis % len(shape)], *shape[axis % len(shape) + 1 :], shape[axis]]
    return np.ascontiguousarray(np.moveaxis(out.reshape(moved), -1, axis))
