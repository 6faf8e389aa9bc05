"""min ||Bz||_p subject to c z = 1: sensitivities and regressions are both this program.

Weights W give the point z = M^-1 c / (c M^-1 c) and the vector y = W B M^-1 c, M = B^T W B, with
B^T y = c. By Hölder's inequality 1 / ||Bz||_p^p <= optimum <= ||y||_q^p, where optimum is the
largest |c z|^p / ||Bz||_p^p and 1/p + 1/q = 1; both meet at W = |Bz|^(p-2). So each iteration has
a certificate of how far it is from the end.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from tractable._core import note
from tractable.algorithms.lp_sampling._matrix import Floats

RANGE = 1e10
"""Largest ratio of two weights; beyond it the equations are too ill-conditioned to gain by it."""

CHUNK = 1 << 21
"""Numbers that one batch of programs holds at a time."""


class Solved(NamedTuple):
    """What is known of the optimum of each program: the largest |c z|^p / ||Bz||_p^p.

    Args:
        lower: attained by `points`.
        upper: no point attains more.
        points: one a program, c z = 1.
    """

    lower: Floats
    upper: Floats
    points: Floats


def solve(
    B: Floats, weights: Floats, targets: Floats, p: float, *, tol: float, max_iter: int
) -> Solved:
    """Solve one program for each row c of `targets`, all from the same first weights.

    Args:
        B: of full column rank.
        weights: one above zero for each row of B.
        targets: each c not zero.
        p: at least 1.
        tol: a program ends when upper <= (1 + tol) lower.
        max_iter: weightings that are tried.
    """
    note("solves", len(targets))
    programs = _Programs(B, targets, p)
    step = 1.0 if p <= 2.0 else 1.0 / (p - 1.0)
    logs_of_first = np.log(weights / weights.max())
    first = np.asarray(np.linalg.solve(B.T @ (B * weights[:, None]), targets.T).T, float)
    for batch in _batches(np.arange(len(targets)), len(B)):
        programs.improve(batch, weights[None, :], first[batch])
    left = np.flatnonzero(programs.gaps() > tol)
    for batch in _batches(left, B.size + len(B)):
        active, solved = batch, first[batch]
        logs = np.repeat(logs_of_first[None, :], batch.size, axis=0)
        for _ in range(max_iter - 1):
            sizes = np.abs(solved @ B.T)
            sizes = np.maximum(sizes / sizes.max(axis=1, keepdims=True), 1e-300)
            logs += step * ((p - 2.0) * np.log(sizes) - logs)
            if p > 2.0:  # rows of the largest residuals have weight one
                logs -= logs.max(axis=1, keepdims=True)
                np.maximum(logs, -math.log(RANGE), out=logs)
            else:
                logs -= logs.min(axis=1, keepdims=True)
                np.minimum(logs, math.log(RANGE), out=logs)
            W = np.exp(logs)
            M = np.matmul(B.T[None] * W[:, None, :], B)
            c = targets[active]
            solved = np.linalg.solve(M, c[:, :, None])[:, :, 0]
            missed = c - (solved @ B.T * W) @ B  # refined once: M is ill-conditioned near p = 1
            solved = np.asarray(solved + np.linalg.solve(M, missed[:, :, None])[:, :, 0], float)
            programs.improve(active, W, solved)
            open_ = programs.gaps()[active] > tol
            active, logs, solved = active[open_], logs[open_], solved[open_]
            if not active.size:
                break
    return programs.best


class _Programs:
    """Programs of one matrix, and what is known of each."""

    def __init__(self, B: Floats, targets: Floats, p: float) -> None:
        count, width = targets.shape
        self.B, self.targets, self.p = B, targets, p
        self.gram = B.T @ B
        self.best = Solved(np.zeros(count), np.full(count, np.inf), np.zeros((count, width)))

    def gaps(self) -> Floats:
        """Return upper / lower - 1 of every program."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.best.upper / self.best.lower - 1.0)

    def improve(self, which: NDArray[np.intp], W: Floats, solved: Floats) -> None:
        """Keep the better of the known bounds and those of weights W, M^-1 c being `solved`."""
        best = self.best
        values = (solved * self.targets[which]).sum(axis=1)
        products = solved @ self.B.T
        lower = np.abs(values) ** self.p / _power(products, self.p)
        better = lower > best.lower[which]
        best.lower[which[better]] = lower[better]
        best.points[which[better]] = solved[better] / values[better, None]
        products *= W
        missed = self.targets[which] - products @ self.B  # zero but for rounding
        products += np.linalg.solve(self.gram, missed.T).T @ self.B.T
        best.upper[which] = np.minimum(best.upper[which], dual_power(products, self.p))


def _batches(which: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Split programs so that each batch holds at most `CHUNK` numbers, `size` a program."""
    rows = max(1, CHUNK // size)
    return [which[start : start + rows] for start in range(0, which.size, rows)]


def _power(rows: Floats, p: float) -> Floats:
    if p == 2.0:
        return np.asarray(np.einsum("ij,ij->i", rows, rows))
    if p == 4.0:
        squared = rows * rows
        return np.asarray(np.einsum("ij,ij->i", squared, squared))
    return np.asarray((np.abs(rows) ** p).sum(axis=1))


def dual_power(rows: Floats, p: float) -> Floats:
    """Return ||row||_q^p of each row, 1/p + 1/q = 1."""
    sizes = np.abs(rows)
    peaks = sizes.max(axis=1)
    if p == 1.0:
        return np.asarray(peaks)
    q = p / (p - 1.0)
    peaks[peaks == 0.0] = 1.0
    sums = ((sizes / peaks[:, None]) ** q).sum(axis=1)
    return np.asarray((peaks * sums ** (1.0 / q)) ** p)


def solve_linear(B: Floats, target: Floats) -> tuple[float, Floats]:
    """Solve one program at p = 1 exactly, through its dual: max l with B^T u = l c, |u| <= 1.

    Returns:
        The optimum and its point.
    """
    note("solves", 1)
    n = len(B)
    costs = np.zeros(n + 1)
    costs[-1] = -1.0
    result = linprog(
        costs,
        A_eq=np.column_stack((B.T, -target)),
        b_eq=np.zeros(B.shape[1]),
        bounds=[(-1.0, 1.0)] * n + [(None, None)],
        method="highs",
    )
    if result.status != 0:  # as good as the iteration can tell
        found = solve(B, np.ones(n), target[None, :], 1.0, tol=1e-9, max_iter=500)
        return float(found.lower[0]), found.points[0]
    point = np.asarray(result.eqlin.marginals, dtype=np.float64)
    point = point / float(point @ target)
    return 1.0 / float(np.abs(B @ point).sum()), point
