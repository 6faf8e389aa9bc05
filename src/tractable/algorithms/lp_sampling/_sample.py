"""Drawing rows by their scores."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from tractable._core import RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.lp_sampling._matrix import (
    Floats,
    basis_of,
    check_matrix,
    check_p,
    row_leverage,
    squares,
)
from tractable.algorithms.lp_sampling._scores import lewis_of, sampled_sensitivities

__all__ = ["RowSample", "Scores", "draw", "root_leverage_sample", "sample_rows"]

Scores = Literal[
    "auto",
    "sensitivity",
    "lewis",
    "root-leverage",
    "leverage",
    "leverage+sensitivity",
    "uniform",
]
NAMES = (
    *("auto", "sensitivity", "lewis", "root-leverage", "leverage"),
    *("leverage+sensitivity", "uniform"),
)


class RowSample(NamedTuple):
    """Rows that were kept.

    Args:
        indices: of the rows, increasing.
        sample_weight: what estimators take, 1 / probability. Rows themselves are multiplied by
            its p-th root (`scale`), since losses have the power p.
        probabilities: of each kept row to be kept.
    """

    indices: Int[np.ndarray, "m"]
    sample_weight: Float[np.ndarray, "m"]
    probabilities: Float[np.ndarray, "m"]

    def scale(self, A: ArrayLike, p: float) -> Floats:
        """Return SA, the kept rows of A times sample_weight^(1/p), shape (m, columns).

        Raises:
            ShapeError: for a matrix without the rows that were kept.
        """
        matrix, p = check_matrix("A", A), check_p(p)
        if self.indices.size and int(self.indices[-1]) >= len(matrix):
            raise ShapeError(
                f"A has {len(matrix)} rows; wanted the matrix that was sampled, which has row "
                f"{self.indices[-1]}"
            )
        return np.asarray(matrix[self.indices] * self.sample_weight[:, None] ** (1.0 / p))


def sample_rows(
    A: ArrayLike,
    p: float,
    n_samples: int,
    *,
    scores: Scores | ArrayLike = "auto",
    b: ArrayLike | None = None,
    replace: bool = False,
    rng: int | np.random.Generator | None = None,
) -> RowSample:
    """Keep about `n_samples` rows such that sum |a_i x|^p is kept for every x, in expectation.

    Row i is kept with probability min(1, alpha score_i), independently of others, and weighs
    1 / probability; alpha makes the expected number `n_samples`. Notes `samples`, rows kept.

    Args:
        A: (n, columns) finite numbers of any rank.
        p: at least 1.
        n_samples: at least 1; from n on every row is kept.
        scores: "sensitivity" (upper estimates mostly within a factor of four), "lewis", "leverage",
            "root-leverage" (tau^(p/2), recomputed on the sample until it stops shrinking; for
            p < 2), "leverage+sensitivity" (the larger of both, normalised; for p > 2), "uniform",
            "auto" ("lewis" for p <= 2, "leverage+sensitivity" above), or n numbers, at least 0
            and not all 0.
        b: (n,) targets; rows of [A b] are scored then, as regression wants it.
        replace: draw `n_samples` times with replacement instead; repeated rows are merged.
        rng: a seed, a generator, or None for fresh entropy.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> A = np.vstack([np.ones((1000, 1)), [[100.0]]])
        >>> sample = sample_rows(A, 2, 20, rng=0)
        >>> bool(sample.indices[-1] == 1000), float(sample.sample_weight[-1])
        (True, 1.0)
        >>> bool(abs((sample.scale(A, 2) ** 2).sum() / (A ** 2).sum() - 1) < 0.1)
        True
    """
    matrix = check_matrix("A", A)
    p = check_p(p)
    size = check_integer("n_samples", n_samples, low=1)
    generator = as_generator(rng)
    if b is not None:
        target = as_array("b", b, ndim=1, kinds="fiub")
        if target.shape != (len(matrix),):
            raise ShapeError(f"b has shape {target.shape}; wanted ({len(matrix)},)")
        matrix = np.column_stack((matrix, target))
    if not isinstance(scores, str):
        given = as_array("scores", scores, ndim=1).astype(np.float64)
        if given.shape != (len(matrix),):
            raise ShapeError(f"scores have shape {given.shape}; wanted ({len(matrix)},)")
        if given.min() < 0.0 or given.max() == 0.0:
            raise RangeError("scores are negative or all zero; wanted at least 0, not all 0")
        return draw(given, size, generator, replace)
    if scores not in NAMES:
        raise RangeError(f"scores is {scores!r}; wanted numbers or one of {', '.join(NAMES)}")
    chosen = scores if scores != "auto" else "lewis" if p <= 2.0 else "leverage+sensitivity"
    if chosen == "root-leverage":
        if p >= 2.0:
            raise RangeError(f"p is {p} with root-leverage scores; wanted it below 2")
        if replace:
            raise RangeError("root-leverage scores thin a sample; wanted replace=False")
        return _root_leverage_of_size(matrix, p, size, generator)
    return draw(_scores_of(matrix, p, chosen, generator), size, generator, replace)


def root_leverage_sample(
    A: ArrayLike,
    p: float,
    alpha: float,
    *,
    n_rounds: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> RowSample:
    """Keep rows with probability min(1, alpha tau_i^(p/2)), and again on what is left.

    One round leaves at most alpha n^(1-p/2) d^(p/2) rows; repeated, alpha^(2/p) d, whatever n is.
    Only leverage scores are needed. Notes `iterations`, rounds, and `samples`, rows kept.

    Args:
        A: (n, columns) finite numbers of any rank d.
        p: from 1 to below 2.
        alpha: oversampling, above 0; about 1 / epsilon^2.
        n_rounds: at least 1; None goes on while a round drops a tenth of the rows.
        rng: a seed, a generator, or None for fresh entropy.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.
    """
    matrix = check_matrix("A", A)
    p = check_p(p)
    if p >= 2.0:
        raise RangeError(f"p is {p}; wanted it below 2")
    alpha = check_number("alpha", alpha, low=0.0, high=math.inf, open_ends=True)
    rounds = None if n_rounds is None else check_integer("n_rounds", n_rounds, low=1)
    return _root_leverage(matrix, p, alpha, rounds, as_generator(rng))


def _root_leverage(
    matrix: Floats, p: float, alpha: float, rounds: int | None, rng: np.random.Generator
) -> RowSample:
    indices = np.arange(len(matrix))
    chances = np.ones(len(matrix))
    Q = basis_of(matrix).columns
    if not Q.size:  # zeros: nothing has to be kept
        indices, chances = indices[:0], chances[:0]
    done = 0
    while indices.size and (rounds is None or done < rounds):
        note("iterations")
        done += 1
        B = Q[indices] * chances[:, None] ** (-1.0 / p)
        tau = squares(basis_of(B).columns)
        kept_with = np.minimum(1.0, alpha * tau ** (p / 2))
        kept = rng.random(indices.size) < kept_with
        before = indices.size
        indices, chances = indices[kept], chances[kept] * kept_with[kept]
        if rounds is None and indices.size > 0.9 * before:
            break
    note("samples", indices.size)
    return RowSample(indices, 1.0 / chances, chances)


def _root_leverage_of_size(
    matrix: Floats, p: float, size: int, rng: np.random.Generator
) -> RowSample:
    """Thin until about twice the size is left, then draw that many by the same scores."""
    rank = max(1, basis_of(matrix).columns.shape[1])
    first = _root_leverage(matrix, p, (2.0 * size / rank) ** (p / 2), None, rng)
    if not first.indices.size:
        return first
    B = first.scale(matrix, p)
    second = draw(squares(basis_of(B).columns) ** (p / 2), size, rng)
    chances = first.probabilities[second.indices] * second.probabilities
    return RowSample(first.indices[second.indices], 1.0 / chances, chances)


def _scores_of(matrix: Floats, p: float, name: str, rng: np.random.Generator) -> Floats:
    if name == "uniform":
        return np.ones(len(matrix))
    Q = basis_of(matrix).columns
    if name == "leverage":
        found = squares(Q)
    elif name == "lewis":
        found = lewis_of(Q, p, 1e-3)  # far closer than sampling can tell
    else:
        found = sampled_sensitivities(Q, p, np.arange(len(Q)), rng)
    if not found.any():  # a matrix of zeros: any row serves
        return np.ones(len(matrix))
    if name == "leverage+sensitivity":
        if p <= 2.0:
            raise RangeError(f"p is {p} with leverage+sensitivity scores; wanted it above 2")
        copies = np.maximum(1.0, len(Q) * found / found.sum())
        flat = row_leverage(Q * copies[:, None] ** (0.5 - 1.0 / p))
        found = np.maximum(found / found.sum(), flat / flat.sum())
    return found


def draw(scores: Floats, size: int, rng: np.random.Generator, replace: bool = False) -> RowSample:
    """Draw rows by scores that are at least 0 and not all 0."""
    if replace:
        shares = scores / scores.max()
        shares = shares / shares.sum()
        counts = rng.multinomial(size, shares)
        indices = np.flatnonzero(counts)
        weights = counts[indices] / (size * shares[indices])
        chances = -np.expm1(size * np.log1p(-np.minimum(shares[indices], 1.0 - 1e-16)))
    else:
        probabilities = _probabilities(scores, size)
        indices = np.flatnonzero(rng.random(scores.size) < probabilities)
        chances = probabilities[indices]
        weights = 1.0 / chances
    note("samples", indices.size)
    return RowSample(indices, weights, chances)


def _probabilities(scores: Floats, size: int) -> Floats:
    """Return min(1, alpha score) with the alpha that makes their sum `size`."""
    positive = scores > 0.0
    if size >= int(positive.sum()):
        return positive.astype(np.float64)
    relative = scores / scores.max()
    ordered = np.sort(relative)[::-1]
    rest = np.cumsum(ordered[::-1])[::-1][:size]  # of scores from each place on
    # with the k largest kept for certain, alpha = (size - k) / rest[k]; it is the first k for
    # which the next score stays at or below one
    left = size - np.arange(size)
    fits = left * ordered[:size] <= rest
    if not fits.any():
        return np.asarray(scores >= np.partition(scores, -size)[-size], dtype=np.float64)
    k = int(np.argmax(fits))
    probabilities = np.ones(scores.size)
    few = left[k] * relative < rest[k]  # the others' quotients may overflow
    probabilities[few] = left[k] * (relative[few] / rest[k])
    return probabilities
