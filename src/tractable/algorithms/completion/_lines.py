"""One half sweep: a regression for every line, given the other side's factor."""

from concurrent.futures import Executor
from functools import partial
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from tractable._common.compiled import load_compiled
from tractable._core import note
from tractable._core.fanout import fan_out
from tractable.algorithms.completion import _plain
from tractable.algorithms.completion._observed import Floats, Side

Solver = Literal["auto", "cholesky", "cg", "sketch-cg", "sketch-gradient"]
SOLVERS = ("auto", "cholesky", "cg", "sketch-cg", "sketch-gradient")
NARROW = 32
"""Up to this rank a compiled loop beats LAPACK's calls."""
CHUNK = 256
"""Lines an executor receives at a time."""


class Inner(NamedTuple):
    """How each regression is solved."""

    solver: Solver
    tol: float
    """By this factor the gradient must shrink."""
    most: int
    """Steps a line may take."""
    sketch_rows: int
    warm: bool


def load_kernels() -> ModuleType:
    """Return the compiled loops, or NumPy's where Numba is missing."""
    return load_compiled(__package__) or _plain


def choose_solver(entries: float, rank: int, steps: float) -> Solver:
    """Return what is cheapest for a line of so many entries, if plain steps were so many."""
    s, k = entries, float(rank)
    rows = 2 * k + 32
    costs: dict[Solver, float] = {
        "cholesky": s * k * (k + 3) + k**3 / 3,
        "cg": 4 * s * k * (steps + 1),
        "sketch-cg": s * k + rows * k * k + k**3 + 6 * (4 * s * k + 2 * k * k),
    }
    return min(costs, key=costs.__getitem__)


def solve_side(
    side: Side,
    factor: Floats,
    ridge: Floats,
    start: Floats,
    inner: Inner,
    *,
    rng: np.random.Generator,
    executor: Executor | None = None,
) -> tuple[Floats, float]:
    """Regress every line on the factor's rows that its entries select.

    Args:
        side: the lines.
        factor: (places, k) the other side's factor.
        ridge: (k,) what is added to the diagonal of A^T A.
        start: (lines, k) where the iterations start, if `inner.warm`.
        inner: how.
        rng: draws sketches.
        executor: takes chunks of lines; the answer does not depend on it.

    Returns:
        (lines, k) coefficients, and the mean number of steps (0 for "cholesky").
    """
    lines, rank = side.lines, factor.shape[1]
    factor = np.ascontiguousarray(factor)
    x = start.copy() if inner.warm else np.zeros((lines, rank))
    hashes: tuple[NDArray[np.int64], Floats] | None = None
    if inner.solver.startswith("sketch"):
        places = (int(factor.shape[0]),)
        signs = np.asarray(rng.choice([-1.0, 1.0], places), dtype=np.float64)
        hashes = np.asarray(rng.integers(0, inner.sketch_rows, places), dtype=np.int64), signs
    width = CHUNK if executor is not None else lines
    chunks = [range(low, min(low + width, lines)) for low in range(0, lines, width)]
    work = partial(_solve_chunk, side, factor, ridge, x, inner, hashes)
    taken = fan_out(executor, work, chunks)
    answer = np.concatenate([part for part, _ in taken])
    return answer, sum(steps for _, steps in taken) / lines


def _solve_chunk(  # noqa: PLR0917 - partial and fan_out hand them on by place
    side: Side,
    factor: Floats,
    ridge: Floats,
    start: Floats,
    inner: Inner,
    hashes: tuple[NDArray[np.int64], Floats] | None,
    chunk: range,
) -> tuple[Floats, int]:
    x = start[chunk.start : chunk.stop].copy()
    part = side._replace(starts=side.starts[chunk.start : chunk.stop + 1])
    if hashes is not None:
        return x, _solve_sketched(part, factor, ridge, x, inner, hashes=hashes)
    sizes, k = part.sizes, factor.shape[1]
    entries = int(sizes.sum())
    arrays = (*part, factor, ridge, x)
    if inner.solver == "cholesky":
        unsure = np.zeros(sizes.size, np.bool_)
        kernels = load_kernels() if k <= NARROW else _plain
        kernels.solve_lines(*arrays, unsure)
        note("flops", entries * k * (k + 3) + sizes.size * k**3 / 3)
        for i in np.flatnonzero(unsure):
            x[i] = _solve_undetermined(*part.line(int(i)), factor, ridge)
        return x, 0
    steps = np.zeros(sizes.size, np.int64)
    load_kernels().iterate_lines(*arrays, inner.tol, inner.most, steps)
    note("flops", float((steps + 1) @ (4.0 * k * sizes + 10.0 * k)))
    return x, int(steps.sum())


def _solve_sketched(
    side: Side,
    factor: Floats,
    ridge: Floats,
    x: Floats,
    inner: Inner,
    *,
    hashes: tuple[NDArray[np.int64], Floats],
) -> int:
    """Sketch each line's A, invert the sketch's A^T A, and iterate with that."""
    kernels = load_kernels()
    total, k = 0, factor.shape[1]
    sketch = np.empty((inner.sketch_rows, k))
    steepest = inner.solver == "sketch-gradient"
    for i in range(side.lines):
        places, values = side.line(i)
        if not places.size:
            x[i] = 0.0
            continue
        inverse, rows = None, 0
        if places.size > inner.sketch_rows:
            kernels.sketch_line(places, factor, *hashes, sketch)
            note("flops", places.size * k)
            inverse, rows = _invert(_gram(sketch, ridge)), inner.sketch_rows
        if inverse is None:  # few entries, or a sketch in which equal rows cancelled
            gram = _gram(factor[places], ridge)
            inverse, rows = _invert(gram), rows + places.size
            inverse = _pseudo_invert(gram) if inverse is None else inverse
        steps = kernels.iterate(
            places, values, factor, ridge, inverse, x[i], inner.tol, inner.most, steepest
        )
        iterating = (steps + 1) * (4 * places.size * k + 2 * k * k + 10 * k)
        note("flops", rows * k * (k + 1) + k**3 + iterating)
        total += steps
    return total


def _gram(A: Floats, ridge: Floats) -> Floats:
    """Return the upper triangle of A^T A + diag(ridge)."""
    gram = blas.dsyrk(1.0, A.T)
    gram[np.diag_indices_from(gram)] += ridge
    return np.asarray(gram)


def _invert(gram: Floats) -> Floats | None:
    """Return the inverse, or None where there is hardly one."""
    root, bad = lapack.dpotrf(gram)
    if bad or not (root.diagonal() ** 2 > _plain.TINY * gram.diagonal()).all():
        return None
    inverse, _ = lapack.dpotri(root)
    return np.ascontiguousarray(np.triu(inverse) + np.triu(inverse, 1).T)


def _pseudo_invert(gram: Floats) -> Floats:
    """Return the inverse where there is one, and zero across it."""
    values, vectors = np.linalg.eigh(gram, UPLO="U")
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    return np.ascontiguousarray((vectors[:, kept] / values[kept]) @ vectors[:, kept].T)


def _solve_undetermined(
    places: NDArray[np.int32], values: Floats, factor: Floats, ridge: Floats
) -> Floats:
    """Return the shortest solution of a line whose entries leave a choice."""
    if not places.size:
        return np.zeros(factor.shape[1])
    A, b = factor[places], values
    if ridge.any():
        A = np.vstack([A, np.diag(np.sqrt(ridge))])
        b = np.append(b, np.zeros(ridge.size))
    return np.asarray(np.linalg.lstsq(A, b, rcond=1e-10)[0])
