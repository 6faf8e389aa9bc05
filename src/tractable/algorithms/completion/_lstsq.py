"""One regression: sketch it, and iterate with the sketch as a preconditioner."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.completion._observed import Floats

Sketch = Literal["countsketch", "gaussian"] | None


def sketched_lstsq(
    A: ArrayLike,
    b: ArrayLike,
    *,
    eps: float = 1e-10,
    sketch: Sketch = "countsketch",
    sketch_rows: int | None = None,
    iteration: Literal["cg", "gradient"] = "cg",
    weights: ArrayLike | None = None,
    max_iter: int = 1000,
    rng: int | np.random.Generator | None = None,
) -> Float[np.ndarray, "d"]:
    """Solve min_x sum_i w_i (a_i x - b_i)^2 for a tall matrix, to high accuracy.

    A sketch of few rows has nearly the same singular vectors and values, so that A times the
    inverse of its factor has a condition number of a few, whatever A's own, and a number of
    steps follows that grows with log(1 / eps) alone.

    Args:
        A: (rows, d).
        b: (rows,).
        eps: steps end once the gradient is this share of its size at x = 0, both measured after
            preconditioning; between 0 and 1.
        sketch: "countsketch" adds each row to one of the sketch's; "gaussian" mixes all; None
            takes no sketch and is plain conjugate gradients.
        sketch_rows: of the sketch, at least d; None takes 2 d + 32 for "cg" and 8 d + 32 for
            "gradient". With as many rows as A or more, the answer is LAPACK's.
        iteration: "cg" takes conjugate directions, "gradient" steepest descent as in the paper.
        weights: (rows,) at least 0; None weighs all rows alike.
        max_iter: at most so many steps, at least 1.
        rng: a seed, a generator, or None for fresh entropy.

    Returns:
        x, the shortest where there is a choice.

    Raises:
        DTypeError, ShapeError: for anything but real arrays that fit together.
        DataError: for NaN, infinities or negative weights.
        RangeError: for parameters out of range.

    Source: Section 5 of the paper, the high-accuracy weighted regression.

    Example:
        >>> A = np.vander(np.linspace(0, 1, 500), 6)
        >>> x = sketched_lstsq(A, A @ np.arange(6.0), rng=0)
        >>> x.round(6).tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    matrix = as_array("A", A, ndim=2).astype(np.float64)
    right = as_array("b", b, ndim=1).astype(np.float64)
    rows, d = matrix.shape
    if right.size != rows:
        raise ShapeError(f"b has {right.size} entries and A {rows} rows; wanted as many")
    check_number("eps", eps, low=0.0, high=1.0, open_ends=True)
    most = check_integer("max_iter", max_iter, low=1)
    if sketch not in ("countsketch", "gaussian", None):
        raise RangeError(f"sketch is {sketch!r}; wanted countsketch, gaussian or None")
    if iteration not in ("cg", "gradient"):
        raise RangeError(f"iteration is {iteration!r}; wanted cg or gradient")
    default = (2 if iteration == "cg" else 8) * d + 32
    size = default if sketch_rows is None else check_integer("sketch_rows", sketch_rows, low=d)
    generator = as_generator(rng)
    if weights is not None:
        root = np.sqrt(_read_weights(weights, rows))
        matrix *= root[:, None]
        right *= root
    # Products of huge or tiny numbers would leave the range of floats.
    unit, level = float(np.abs(matrix).max()), float(np.abs(right).max())
    if unit == 0.0 or level == 0.0:
        return np.zeros(d)
    matrix /= unit
    right /= level
    if sketch is not None and size >= rows:
        note("flops", 4 * rows * d * d)
        found = np.linalg.lstsq(matrix, right)[0]
    else:
        small = None if sketch is None else _apply(matrix, sketch, size, generator)
        found = _iterate(matrix, right, small, eps, most, steepest=iteration == "gradient")
    return np.asarray(found / unit * level)


def _read_weights(weights: ArrayLike, rows: int) -> Floats:
    read = as_array("weights", weights, ndim=1).astype(np.float64)
    if read.size != rows:
        raise ShapeError(f"weights has {read.size} entries and A {rows} rows; wanted as many")
    if (read < 0.0).any():
        raise DataError("weights has negative entries; wanted 0 or more")
    largest = float(read.max())
    return read / largest if largest > 0.0 else read


def _apply(
    matrix: Floats, sketch: Literal["countsketch", "gaussian"], size: int, rng: np.random.Generator
) -> Floats:
    rows, d = matrix.shape
    if sketch == "gaussian":
        note("flops", 2 * size * rows * d)
        return np.asarray(rng.standard_normal((size, rows)) @ matrix / size**0.5)
    out = np.zeros((size, d))
    np.add.at(out, rng.integers(0, size, rows), rng.choice([-1.0, 1.0], rows)[:, None] * matrix)
    note("flops", rows * d)
    return out


def _iterate(
    A: Floats, b: Floats, small: Floats | None, eps: float, most: int, *, steepest: bool
) -> Floats:
    """Run the least-squares form of conjugate gradients, which does not square A's condition."""
    rows, d = A.shape
    right = np.eye(d)
    if small is not None:
        _, values, vectors = np.linalg.svd(small, full_matrices=False)
        kept = values > 1e-13 * values[0]
        right = vectors[kept].T / values[kept]
        note("flops", 8 * small.shape[0] * d * d)
    x, residual = np.zeros(d), b.copy()
    g = right.T @ (A.T @ residual)
    p = g.copy()
    size = first = float(g @ g)
    matvecs, steps = 1, 0
    while steps < most and size > eps * eps * first:
        step = right @ p
        image = A @ step
        curve = float(image @ image)
        if not curve > 0.0:
            break
        x += size / curve * step
        residual -= size / curve * image
        g = right.T @ (A.T @ residual)
        new = float(g @ g)
        p = g + (0.0 if steepest else new / size) * p
        size = new
        steps += 1
        matvecs += 2
    note("matvecs", matvecs)
    note("iterations", steps)
    note("flops", matvecs * (2 * rows * d + (2 * d * d if small is not None else 0)))
    return x
