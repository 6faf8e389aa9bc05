"""The public solver: units, runs of L-BFGS, and the plan."""

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, sparse

from tractable._core import RangeError, note
from tractable._core.checks import check_integer, check_number
from tractable.algorithms.sparse_ot._columns import (
    Entries,
    Floats,
    Problem,
    clip,
    project,
    read_potentials,
    read_problem,
    to_dense,
)

__all__ = ["sparse_ot"]

Formulation = Literal["semi_dual", "dual"]
Objective = Callable[[Floats], tuple[float, Floats]]

WARM_STEPS = 100
"""Iterations at most of each run with a larger k, which only finds a place to start from."""
WARM_WIDTHS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""For k = 1, gamma of these runs over n, in units of the costs' range: gamma is without effect
there, and small ones come near the unregularised potentials."""


class _Run(NamedTuple):
    at: Floats
    value: float
    steps: int
    converged: bool


@overload
def sparse_ot(
    a: ArrayLike,
    b: ArrayLike,
    M: ArrayLike,
    reg: float,
    max_nz: int,
    *,
    formulation: Formulation = ...,
    num_iter_max: int = ...,
    stop_thr: float = ...,
    warm_start: ArrayLike | None = ...,
    as_sparse: bool = ...,
    log: Literal[False] = ...,
) -> Any: ...


@overload
def sparse_ot(
    a: ArrayLike,
    b: ArrayLike,
    M: ArrayLike,
    reg: float,
    max_nz: int,
    *,
    formulation: Formulation = ...,
    num_iter_max: int = ...,
    stop_thr: float = ...,
    warm_start: ArrayLike | None = ...,
    as_sparse: bool = ...,
    log: Literal[True],
) -> tuple[Any, dict[str, Any]]: ...


def sparse_ot(
    a: ArrayLike,
    b: ArrayLike,
    M: ArrayLike,
    reg: float,
    max_nz: int,
    *,
    formulation: Formulation = "semi_dual",
    num_iter_max: int = 1000,
    stop_thr: float = 1e-12,
    warm_start: ArrayLike | None = None,
    as_sparse: bool = False,
    log: bool = False,
) -> Any:
    """Find a transport plan with at most `max_nz` nonzeros in each column.

    It minimises <T, M> + reg / 2 |T|^2 through the (semi-)dual, which is concave but has kinks.
    Between one nonzero a column and as many as quadratic transport has, the plan may miss the row
    sums a (see `log`); `round_to_marginals` repairs that.

    Args:
        a: (m,) sums of the rows, no negative ones.
        b: (n,) sums of the columns, with the same total.
        M: (m, n) costs.
        reg: weight of the quadratic term, above 0; for masses that sum to 1, useful ones are 0.1 n
            to n times the scale of the costs.
        max_nz: nonzeros a column, at least 1; 1 gives unregularised transport where masses are
            equal, m and more give quadratic transport.
        formulation: "semi_dual" (columns sum to b up to rounding) or "dual" (sums come out as
            well as it converges, which is badly where reg is far below its useful range).
        num_iter_max: iterations of L-BFGS over all runs, at least 1.
        stop_thr: a run ends when a step gains less than this share of the costs' range (times the
            mass), at least 0; POT's is a share of the value or 1.
        warm_start: (m,) potentials alpha to start from, such as `log["alpha"]` of a similar
            problem; (m + n,) potentials for "dual". Larger k are then not tried first.
        as_sparse: return a `scipy.sparse.csc_array`.
        log: return a pair of the plan and a dictionary.

    Returns:
        The plan (m, n), float64. The dictionary has "value" (of the objective maximised), "alpha"
        and "beta" (None for the semi-dual), "n_iter", "converged" (a fresh run gained less than
        `stop_thr`, which at a kink is no proof of the maximum), and "row_error" and
        "column_error", the L1 distances of the plan's sums from a and b.

    Raises:
        DataError: for NaN, infinities, negative or unequal masses.
        DTypeError: for entries that are no numbers.
        RangeError: for a parameter out of range.
        ShapeError: for arrays that are empty or do not fit together.

    Warns:
        UserWarning: if n max_nz is less than the rows with mass, so that none can fit the sums.

    Example:
        >>> sparse_ot([0.5, 0.5], [0.5, 0.5], [[0, 3], [3, 0]], 1.0, 1).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    problem = read_problem(a, b, M, reg, max_nz)
    if formulation not in get_args(Formulation):
        raise RangeError(f"formulation is {formulation!r}; wanted 'semi_dual' or 'dual'")
    steps = check_integer("num_iter_max", num_iter_max, low=1)
    gain = check_number("stop_thr", stop_thr, low=0.0)
    m, n = problem.a.size, problem.b.size
    filled = int(np.count_nonzero(problem.a))
    if n * problem.k < filled:
        warnings.warn(
            f"{n} columns of max_nz {problem.k} reach at most {n * problem.k} of {filled} rows; "
            "no such plan has the row sums a: raise max_nz",
            stacklevel=2,
        )
    size = m if formulation == "semi_dual" else m + n
    start = None if warm_start is None else read_potentials("warm_start", warm_start, size)
    low, unit, mass, scaled = _scale(problem)
    shift = np.repeat([0.0, low], [m, size - m])  # the lowest cost goes into beta
    if start is not None:
        start = (start - shift) / unit
    run = _maximise(scaled, formulation, start, steps, gain)
    alpha, beta = run.at[:m], run.at[m:]
    if formulation == "semi_dual":
        entries = project(alpha, scaled, wanted=True)[2]
    else:
        entries = clip(alpha, beta, scaled, wanted=True)[3]
    entries = entries._replace(mass=entries.mass * mass)
    plan = _to_csc(entries, m) if as_sparse else to_dense(entries, m)
    if not log:
        return plan
    return plan, {
        "value": (run.value * unit + low) * mass,
        "alpha": alpha * unit,
        "beta": beta * unit + low if beta.size else None,
        "n_iter": run.steps,
        "converged": run.converged,
        "row_error": float(np.abs(plan.sum(1) - problem.a).sum()),
        "column_error": float(np.abs(plan.sum(0) - problem.b).sum()),
    }


def _scale(problem: Problem) -> tuple[float, float, float, Problem]:
    """Make the mass one and costs go from 0 to 1: steps and tolerances then mean the same."""
    mass = float(problem.b.sum())
    low = float(problem.costs.min())
    unit = float(problem.costs.max()) - low or 1.0
    scaled = Problem(
        problem.a / mass,
        problem.b / mass,
        (problem.costs - low) / unit,
        problem.gamma * (mass / unit),
        problem.k,
    )
    return low, unit, mass, scaled


def _maximise(
    problem: Problem, formulation: Formulation, start: Floats | None, steps: int, gain: float
) -> _Run:
    """Climb with larger k first, then with k until a fresh run gains nothing."""
    m, n = problem.a.size, problem.b.size
    at, used = start, 0
    if at is None:
        at = np.zeros(m if formulation == "semi_dual" else m + n)
        warm_ups = [problem._replace(k=min(m, factor * problem.k)) for factor in (4, 2)]
        if problem.k == 1 and formulation == "semi_dual":
            warm_ups = [warm_ups[0]._replace(gamma=width * n) for width in WARM_WIDTHS]
        for easier in warm_ups:
            if problem.k < easier.k and used < steps:
                objective = _objective(easier, formulation)
                warm = _climb(objective, at, min(WARM_STEPS, steps - used), max(gain, 1e-7))
                at, used = warm.at, used + warm.steps
    objective = _objective(problem, formulation)
    run = _Run(at, -objective(at)[0], used, False)
    while used < steps:
        # A kink spoils L-BFGS's memory, and a fresh run often leaves it.
        fresh = _climb(objective, run.at, steps - used, gain)
        used += fresh.steps
        better = fresh.value - run.value
        if better > 0.0:
            run = fresh
        if fresh.converged and better <= gain:
            note("iterations", used)
            return run._replace(steps=used, converged=True)
    note("iterations", used)
    return run._replace(steps=used, converged=False)


def _objective(problem: Problem, formulation: Formulation) -> Objective:
    m = problem.a.size

    def semi(at: Floats) -> tuple[float, Floats]:
        total, sums, _ = project(at, problem)
        return total - float(at @ problem.a), sums - problem.a

    def both(at: Floats) -> tuple[float, Floats]:
        alpha, beta = at[:m], at[m:]
        total, sums, others, _ = clip(alpha, beta, problem)
        value = total - float(alpha @ problem.a) - float(beta @ problem.b)
        return value, np.concatenate([sums - problem.a, others - problem.b])

    return semi if formulation == "semi_dual" else both


def _climb(objective: Objective, start: Floats, steps: int, gain: float) -> _Run:
    # The largest gradient entry is of the order of one row's mass, hence the factor of its size.
    options = {"maxiter": steps, "maxfun": 20 * steps, "ftol": gain, "gtol": gain / start.size}
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    # An abnormal end is a line search that found nothing: as good as a gain below the threshold.
    return _Run(found.x, -float(found.fun), max(1, int(found.nit)), found.status != 1)


def _to_csc(entries: Entries, m: int) -> Any:
    """Gather the entries column by column; rows rise within a column."""
    order = np.argsort(entries.rows, axis=1, kind="stable")
    rows = np.take_along_axis(entries.rows, order, axis=1)
    mass = np.take_along_axis(entries.mass, order, axis=1)
    kept = mass > 0.0
    starts = np.append(0, np.cumsum(kept.sum(1)))
    return sparse.csc_array((mass[kept], rows[kept], starts), shape=(m, len(rows)))
