"""Alternating minimisation: the spectral start, half sweeps in turn, and what comes out."""

import warnings
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.completion._lines import (
    SOLVERS,
    Inner,
    Solver,
    choose_solver,
    solve_side,
)
from tractable.algorithms.completion._observed import Floats, Matrix, Observed, Side, read_observed
from tractable.algorithms.completion._start import spectral_start

EXPECTED_STEPS = 6.0
"""Gradients a line is expected to take before the first half sweep has told."""
LEAST_VALUE = 1e-9
"""A singular value below this share of the largest is penalised as if it were this."""


class Completion(NamedTuple):
    """A matrix of low rank, as its singular value decomposition.

    Attributes:
        left: (m, k) orthonormal columns.
        singular_values: (k,) descending.
        right: (n, k) orthonormal columns.
        n_iter: sweeps over both sides.
        converged: whether the last sweep changed less than `tol`.
        changes: of each sweep, relative to the matrix's Frobenius norm.
        solvers: what solved the columns' and the rows' regressions last.
    """

    left: Floats
    singular_values: Floats
    right: Floats
    n_iter: int
    converged: bool
    changes: tuple[float, ...]
    solvers: tuple[str, str]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.left.shape[0], self.right.shape[0]

    def dense(self) -> Float[np.ndarray, "m n"]:
        """Return every entry."""
        return np.asarray((self.left * self.singular_values) @ self.right.T)

    def entries(self, rows: ArrayLike, columns: ArrayLike) -> Float[np.ndarray, "count"]:
        """Return chosen entries.

        Args:
            rows, columns: as many indices each, from 0.

        Raises:
            DTypeError, ShapeError: for anything but two equally long axes of whole numbers.
            RangeError: for an index outside the matrix.

        Example:
            >>> complete([[1.0, 2.0], [2.0, 4.0]], 1, rng=0).entries([1], [0]).round(6).tolist()
            [2.0]
        """
        chosen = []
        for name, given, length in zip(
            ("rows", "columns"), (rows, columns), self.shape, strict=True
        ):
            raw = np.asarray(given)
            whole = raw if raw.size else raw.astype(np.int64)  # an empty list has floats
            index = as_array(name, whole, ndim=1, kinds="iu", empty=True)
            if index.size and (index.min() < 0 or index.max() >= length):
                raise RangeError(f"{name} has indices outside 0 to {length - 1}")
            chosen.append(index)
        row, column = chosen
        if row.size != column.size:
            raise ShapeError(f"got {row.size} rows and {column.size} columns; wanted pairs")
        found = np.empty(row.size)
        width = max(1, (1 << 22) // self.singular_values.size)
        for low in range(0, row.size, width):
            part = slice(low, low + width)
            left = self.left[row[part]] * self.singular_values
            found[part] = np.einsum("ij,ij->i", left, self.right[column[part]])
        return found

    def rmse(self, observed: Matrix) -> float:
        """Return the root of the mean squared error on a matrix's observed entries.

        Args:
            observed: as for `complete`, of the same shape.

        Raises:
            DataError, DTypeError, ShapeError: as `complete`, and for another shape.
        """
        given = read_observed("observed", observed)
        if given.shape != self.shape:
            raise ShapeError(f"observed has shape {given.shape}; wanted {self.shape}")
        errors = self.entries(given.row, given.column) - given.values
        largest = float(np.abs(errors).max())
        if largest == 0.0:
            return 0.0
        return largest * float(np.sqrt(np.mean((errors / largest) ** 2)))


def complete(
    observed: Matrix,
    rank: int,
    *,
    reg: float = 0.0,
    solver: Solver = "auto",
    max_iter: int = 100,
    tol: float = 1e-6,
    inner_tol: float = 0.1,
    inner_iter: int | None = None,
    warm: bool = True,
    resample: bool = False,
    incoherence: float | None = None,
    sketch_rows: int | None = None,
    start: Completion | None = None,
    executor: Executor | None = None,
    rng: int | np.random.Generator | None = None,
) -> Completion:
    """Find a matrix of low rank that agrees with the observed entries.

    Args:
        observed: (m, n) dense with NaN where missing, or sparse (SciPy), where every stored entry
            counts, zeros included.
        rank: k, from 1 to min(m, n).
        reg: times the nuclear norm is added to half the squared error, at least 0; in the units
            of the entries. Lines without entries become 0 where it is above 0.
        solver: of a line's regression. "cg" takes conjugate gradients, "sketch-cg" the same with
            a sketch as preconditioner, "sketch-gradient" steepest descent with it, "cholesky" is
            exact; "auto" takes what costs least, judged by the steps of the last half sweep.
        max_iter: sweeps over columns and rows at most, at least 1.
        tol: a sweep that changes the matrix by less than this share of its norm is the last one.
        inner_tol: a regression ends once its gradient is this share of what it was at its start.
        inner_iter: steps of a regression at most; None takes 2 k + 20.
        warm: start a regression at the last sweep's answer; False starts at zero, and then
            `inner_tol` bounds the accuracy of the result.
        resample: split the entries into 2 max_iter + 1 parts, and use each for one half sweep.
        incoherence: mu; entries of the spectral start over 2 mu sqrt(k / m) are zeroed. None
            zeroes rows longer than four times the median.
        sketch_rows: of a line's sketch, at least k; None takes 2 k + 32.
        start: a result to go on from, of the same shape and rank, instead of the spectral start.
        executor: takes chunks of lines (threads do); the result does not depend on it.
        rng: a seed, a generator, or None for fresh entropy.

    Returns:
        The matrix, as its singular value decomposition.

    Raises:
        DataError: for infinities, NaN in a sparse matrix, entries stored twice, no entries, or a
            row or column without entries where reg is 0.
        DTypeError, ShapeError: for anything but a real matrix.
        RangeError: for parameters out of range.

    Source: Algorithm 1 of the paper; the spectral start and the split are of Jain, Netrapalli
        and Sanghavi (2013).

    Example:
        >>> seen = np.outer(np.arange(1.0, 9), np.arange(1.0, 7))
        >>> seen[2, 3] = seen[5, 0] = np.nan
        >>> complete(seen, 1, rng=0).entries([2, 5], [3, 0]).round(4).tolist()
        [12.0, 6.0]
    """
    given = read_observed("observed", observed)
    k = check_integer("rank", rank, low=1)
    if k > min(given.shape):
        raise RangeError(f"rank is {k}; wanted at most {min(given.shape)}, the smaller side")
    penalty = check_number("reg", reg, low=0.0)
    sweeps = check_integer("max_iter", max_iter, low=1)
    check_number("tol", tol, low=0.0)
    inner = _read_inner(solver, inner_tol, inner_iter, sketch_rows, k=k, warm=warm)
    if incoherence is not None:
        check_number("incoherence", incoherence, low=0.0, high=float("inf"), open_ends=True)
    generator = as_generator(rng)
    _check_lines(given, penalty)
    # Scaling by a power of two is exact, and keeps squares of huge entries finite.
    scale = float(np.exp2(np.floor(np.log2(np.abs(given.values).max() or 1.0))))
    given = given._replace(values=given.values / scale)
    pieces = _split(given, sweeps, generator) if resample else None
    first = given if pieces is None else pieces[0]
    state = _read_start(start, given.shape, k, scale) or spectral_start(
        first, k, incoherence, generator
    )
    sides = None if pieces is not None else (given.by_column(), given.by_row())
    run = _Run(inner, penalty / scale, generator, executor)
    changes: list[float] = []
    for sweep in range(sweeps):
        now = sides
        if now is None and pieces is not None:
            now = pieces[2 * sweep + 1].by_column(), pieces[2 * sweep + 2].by_row()
        state, change = run.sweep(state, now or ())
        changes.append(change)
        if change <= tol:
            break
    note("iterations", len(changes))
    left, values, right = state
    done = changes[-1] <= tol
    return Completion(
        left, values * scale, right, len(changes), done, tuple(changes), (run.used[0], run.used[1])
    )


def fold_in(fit: Completion, rows: Observed, reg: float) -> Floats:
    """Return the coefficients of new rows on the right factor, each regressed exactly enough."""
    scale = float(np.abs(rows.values).max(initial=0.0)) or 1.0
    k = fit.singular_values.size
    solver = choose_solver(rows.values.size / rows.shape[0], k, 40.0)
    inner = Inner(solver, 1e-12, 4 * k + 20, 2 * k + 32, False)
    side = rows._replace(values=rows.values / scale).by_row()
    ridge = _ridge(reg, fit.singular_values)
    start = np.zeros((rows.shape[0], k))
    found, _ = solve_side(side, fit.right, ridge, start, inner, rng=np.random.default_rng(0))
    return found * scale


def reference(observed: Matrix, rank: int, *, sweeps: int = 50) -> Float[np.ndarray, "m n"]:
    """Alternate exact regressions line by line, with QR in between, as the paper writes it.

    Args:
        observed, rank: as for `complete`.
        sweeps: over columns and rows, at least 1.

    Returns:
        The completed matrix.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as `complete`.
    """
    given = read_observed("observed", observed)
    check_integer("rank", rank, low=1, high=min(given.shape))
    check_integer("sweeps", sweeps, low=1)
    filled, mask = np.zeros(given.shape), np.zeros(given.shape, np.bool_)
    filled[given.row, given.column], mask[given.row, given.column] = given.values, True
    left = np.linalg.svd(filled / mask.mean())[0][:, :rank]
    for _ in range(sweeps):
        basis = np.linalg.qr(left)[0]
        columns = zip(mask.T, filled.T, strict=True)
        right = [np.linalg.lstsq(basis[on], column[on])[0] for on, column in columns]
        basis = np.linalg.qr(np.array(right))[0]
        rows = zip(mask, filled, strict=True)
        left = np.array([np.linalg.lstsq(basis[on], row[on])[0] for on, row in rows])
    return np.asarray(left @ basis.T)


State = tuple[Floats, Floats, Floats]


class _Run:
    """Half sweeps on a state, remembering how many steps each side's regressions took."""

    def __init__(
        self, inner: Inner, reg: float, rng: np.random.Generator, executor: Executor | None
    ) -> None:
        self.inner, self.reg, self.rng, self.executor = inner, reg, rng, executor
        self.steps = [EXPECTED_STEPS, EXPECTED_STEPS]
        self.used = ["", ""]

    def sweep(self, state: State, sides: tuple[Side, ...]) -> tuple[State, float]:
        """Update columns, then rows; return the new state and the relative change."""
        moved = 0.0
        for turn, side in enumerate(sides):
            left, values, right = state if turn == 0 else state[::-1]
            old = right * values
            new = self._solve(turn, side, left, values, old)
            moved += float(np.sum((new - old) ** 2))  # the other factor is orthonormal
            rotated, values, turned = _decompose(new)
            state = (
                (left @ turned, values, rotated) if turn == 0 else (rotated, values, left @ turned)
            )
            note("flops", 2 * left.size * values.size)
        size = float(np.linalg.norm(state[1]))
        return state, moved**0.5 / size if size > 0.0 else 0.0

    def _solve(self, turn: int, side: Side, left: Floats, values: Floats, old: Floats) -> Floats:
        inner, k = self.inner, values.size
        if inner.solver == "auto":
            entries = side.values.size / side.lines
            inner = inner._replace(solver=choose_solver(entries, k, self.steps[turn]))
        self.used[turn] = inner.solver
        ridge = _ridge(self.reg, values)
        if not ridge.any():
            new, steps = solve_side(
                side, left, ridge, old, inner, rng=self.rng, executor=self.executor
            )
        else:
            # A^T A is about p I, so that this scaling evens out the ridge.
            even = np.sqrt(side.values.size / (side.lines * left.shape[0]) + ridge)
            new, steps = solve_side(
                side,
                left / even,
                ridge / even**2,
                old * even,
                inner,
                rng=self.rng,
                executor=self.executor,
            )
            new = new / even
        if inner.solver == "cg":
            self.steps[turn] = steps
        return new


def _ridge(reg: float, values: Floats) -> Floats:
    """Spread the nuclear norm over both factors: the value's root belongs to each of them."""
    if reg == 0.0:
        return np.zeros(values.size)
    return reg / np.maximum(values, max(LEAST_VALUE * float(values[0]), 1e-100))


def _decompose(W: Floats) -> State:
    basis, triangle = np.linalg.qr(W)
    inside, values, turned = np.linalg.svd(triangle)
    k = values.size
    note("flops", 6 * W.size * k + 22 * k**3)
    return basis @ inside, values, turned.T


def _read_inner(
    solver: Solver, tol: float, most: int | None, sketch_rows: int | None, *, k: int, warm: bool
) -> Inner:
    if solver not in SOLVERS:
        raise RangeError(f"solver is {solver!r}; wanted one of {', '.join(SOLVERS)}")
    share = check_number("inner_tol", tol, low=0.0, high=1.0, open_ends=True)
    steps = 2 * k + 20 if most is None else check_integer("inner_iter", most, low=1)
    rows = 2 * k + 32 if sketch_rows is None else check_integer("sketch_rows", sketch_rows, low=k)
    return Inner(solver, share, steps, rows, bool(warm))


def _read_start(
    start: Completion | None, shape: tuple[int, int], k: int, scale: float
) -> State | None:
    if start is None:
        return None
    if start.shape != shape or start.singular_values.size != k:
        raise ShapeError(
            f"start has shape {start.shape} and rank {start.singular_values.size}; wanted {shape} "
            f"and {k}"
        )
    return start.left, start.singular_values / scale, start.right


def _check_lines(given: Observed, penalty: float) -> None:
    if penalty > 0.0:
        return
    for name, index, length in zip(
        ("row", "column"), (given.row, given.column), given.shape, strict=True
    ):
        empty = np.flatnonzero(np.bincount(index, minlength=length) == 0)
        if empty.size:
            raise DataError(
                f"{name} {empty[0]} has no observed entry, so nothing determines it; drop it, or "
                "give a reg above 0, which makes it 0"
            )
    parts = given.parts()
    if parts > 1:
        warnings.warn(
            f"the observed entries fall apart into {parts} groups that share no row or column; "
            "entries between groups are arbitrary; observe more or give a reg above 0",
            stacklevel=3,
        )


def _split(given: Observed, sweeps: int, rng: np.random.Generator) -> list[Observed]:
    order: NDArray[np.int64] = rng.permutation(given.values.size)
    return [given.part(np.sort(chosen)) for chosen in np.array_split(order, 2 * sweeps + 1)]
