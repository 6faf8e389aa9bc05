"""The tester-learner: search, tests, certificate, and whether to accept."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import RangeError, ShapeError
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.theory.halfspace._certificate import Noise, binomial_lower, certify
from tractable.theory.halfspace._ramp import NARROWEST, Search, candidates_of
from tractable.theory.halfspace._slabs import slab_checks
from tractable.theory.halfspace._strip import strip_moment_test
from tractable.theory.halfspace._target import (
    Check,
    Floats,
    check_labels,
    check_rows,
    failures,
    moment_test,
)


class Candidate(NamedTuple):
    """A direction that the search found.

    Args:
        direction: (d,) of length 1, for whitened rows if rows are whitened.
        sigma: the width of the ramp that led to it.
        held_out_error: share of the held-out rows that its halfspace gets wrong.
        checks: its tests by name.
    """

    direction: Float[np.ndarray, "d"]
    sigma: float
    held_out_error: float
    checks: dict[str, Check]

    @property
    def passed(self) -> bool:
        """Whether every test did."""
        return not failures(self.checks)


class HalfspaceFit(NamedTuple):
    """A halfspace and what is known about it.

    Args:
        coef, intercept: it is <coef, x> + intercept >= 0; the intercept is 0 without whitening.
        accepted: whether error <= opt + epsilon (Massart) or O(opt) + epsilon (agnostic) is
            promised: every test passed, or `excess_bound` proves it.
        error_bound: the error is below it with probability 1 - delta, whatever the law of rows.
        excess_bound: likewise for the error less that of the best halfspace; under "massart" it
            relies on labels being wrong independently, with probability at most eta each.
        angle_bound: likewise for the angle to the best halfspace, in radians; pi / 2 says nothing.
        report: the tests by name, of the halfspace that was chosen.
        candidates: those that were tested, by their held-out errors, until one passed.
    """

    coef: Float[np.ndarray, "d"]
    intercept: float
    accepted: bool
    error_bound: float
    excess_bound: float
    angle_bound: float
    report: dict[str, Check]
    candidates: tuple[Candidate, ...]

    def reasons(self) -> str:
        """Return one line for each test that failed, or say that none did or why none matters."""
        lines = [f"{name} {check}" for name, check in self.report.items() if not check.passed]
        if not lines:
            return "every test passed"
        if self.accepted:
            lines.insert(0, f"an excess of at most {self.excess_bound:.3g} is proved, although")
        return "\n".join(lines)


SIGMAS = (0.2, 0.4, 0.8, 1.6)

COARSEST = 2.0
"""Variances of whitened rows that may be off by more than this factor are not worth testing."""


class Whitening(NamedTuple):
    """(x - mean) @ scale, and how far its estimates may be off."""

    mean: Float[np.ndarray, "d"]
    scale: Float[np.ndarray, "d d"]
    tolerance: float


def fit_halfspace(
    X: ArrayLike,
    y: ArrayLike,
    *,
    epsilon: float = 0.05,
    noise: Noise = "massart",
    eta: float = 0.25,
    delta: float = 0.05,
    sigmas: ArrayLike | Sequence[float] | None = None,
    n_restarts: int = 4,
    max_iter: int = 300,
    batch_size: int = 2000,
    whiten: bool = False,
    rng: int | np.random.Generator | None = None,
) -> HalfspaceFit:
    """Learn a halfspace through the origin, and test whether it can be trusted.

    Half of the rows are searched; the others test and certify what was found. Notes `flops`.

    Args:
        X: (n, d) finite numbers, two rows at least; the target of the tests is N(0, I).
        y: (n,) labels -1 and 1.
        epsilon: what the promise allows beside the best error, between 0 and 1; also the angle
            at which disagreement is tested.
        noise: "massart" (each label is wrong with probability at most eta, independently) or
            "agnostic" (nothing is known about labels).
        eta: from 0 to below 1/2; for "massart".
        delta: a normal sample with rows enough is rejected with at most this probability, and the
            bounds fail with at most this probability; between 0 and 1.
        sigmas: widths of the ramp, each at least 1e-9; None takes 0.2, 0.4, 0.8 and 1.6.
        n_restarts: random starts a width, at least 0, beside the mean of yx and a perceptron.
        max_iter: steps of descent, at least 1.
        batch_size: rows a step, at least 1.
        whiten: subtract the mean and divide by the root of the covariance first, as estimated on
            the rows that are searched; the halfspace then has an intercept, and is compared with
            those through the mean.
        rng: a seed, a generator, or None for fresh entropy.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Source: sections 4 and 5, the tester-learners for Massart and for adversarial noise.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> rows = generator.standard_normal((20000, 5))
        >>> labels = np.where(rows[:, 0] >= 0, 1, -1) * generator.choice([1, -1], 20000, p=[.9, .1])
        >>> fit = fit_halfspace(rows, labels, eta=0.1, rng=0)
        >>> fit.accepted, fit.reasons(), bool(fit.coef[0] > 0.99)
        (True, 'every test passed', True)
        >>> fit_halfspace(np.sign(rows), labels, eta=0.1, rng=0).accepted
        False
    """
    rows = check_rows(X)
    labels = check_labels(y, len(rows))
    if len(rows) < 2:
        raise ShapeError("X has one row; wanted two, one to learn from and one to test on")
    epsilon = check_number("epsilon", epsilon, low=0.0, high=1.0, open_ends=True)
    if noise not in ("massart", "agnostic"):
        raise RangeError(f"noise is {noise!r}; wanted massart or agnostic")
    eta = check_number("eta", eta, low=0.0, high=0.5)
    if eta == 0.5:
        raise RangeError("eta is 0.5; labels then say nothing; wanted below 0.5")
    delta = check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
    widths = _check_sigmas(sigmas)
    search = Search(
        widths,
        check_integer("n_restarts", n_restarts, low=0),
        check_integer("max_iter", max_iter, low=1),
        check_integer("batch_size", batch_size, low=1),
    )
    generator = as_generator(rng)
    held_out = np.zeros(len(rows), bool)
    held_out[generator.permutation(len(rows))[: (len(rows) + 1) // 2]] = True
    whitening = _whitening(rows[~held_out], delta) if whiten else None
    if whitening is not None:
        rows = (rows - whitening.mean) @ whitening.scale
    found = candidates_of(rows[~held_out], labels[~held_out], search, generator)
    rows, labels = rows[held_out], labels[held_out]
    whole, tolerance = {}, 1.0
    if whitening is not None:
        tolerance = min(whitening.tolerance, COARSEST)
        whole["doubt left by whitening"] = Check(whitening.tolerance, 1.0, COARSEST)
    share = delta / ((1 if noise == "agnostic" else 2) + 2 * len(widths))
    whole |= moment_test(rows, 2, delta=share, tolerance=tolerance)
    wrong = ((rows @ found.T >= 0.0) != (labels[:, None] > 0.0)).mean(axis=0)
    if noise == "massart":  # then opt is at most eta
        fewest = binomial_lower(round(wrong.min() * len(rows)), len(rows), share / len(widths))
        whole["error that must be"] = Check(fewest, 0.0, eta + epsilon)
    candidates: list[Candidate] = []
    for i in np.argsort(wrong, kind="stable"):
        w, sigma = found[i], widths[i]
        checks = strip_moment_test(rows, w, sigma, delta=share, tolerance=tolerance, rng=generator)
        checks |= slab_checks(rows, w, epsilon, share, tolerance)
        candidates.append(Candidate(w, sigma, float(wrong[i]), checks))
        if candidates[-1].passed:
            break
    chosen = next((each for each in candidates if each.passed), candidates[0])
    w = chosen.direction
    bounds = certify(
        rows,
        labels,
        w,
        widths,
        noise=noise,
        eta=eta,
        candidates=len(widths),
        delta=delta,
        rng=generator,
    )
    report = {**whole, **chosen.checks}
    accepted = not failures(report) or bounds.excess <= epsilon
    coef, intercept = w, 0.0
    if whitening is not None:
        coef = whitening.scale @ w
        intercept = -float(whitening.mean @ coef)
    return HalfspaceFit(coef, intercept, accepted, *bounds, report, tuple(candidates))


def _check_sigmas(sigmas: ArrayLike | Sequence[float] | None) -> tuple[float, ...]:
    if sigmas is None:
        return SIGMAS
    array = as_array("sigmas", np.asarray(sigmas), ndim=1)
    if not (array >= NARROWEST).all():
        raise RangeError(f"sigmas has {array.min()}; wanted every width at least {NARROWEST}")
    return tuple(dict.fromkeys(float(each) for each in array))


def _whitening(rows: Floats, delta: float) -> Whitening:
    size, width = rows.shape
    mean = rows.mean(axis=0)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / size)
    least = float(values[-1]) * 1e-12  # what has no spread stays so, and fails the tests
    roots = np.where(values > least, 1.0 / np.sqrt(np.maximum(values, max(least, 1e-300))), 0.0)
    edge = math.sqrt(width / size) + math.sqrt(2.0 * math.log(4.0 / delta) / size)
    tolerance = math.inf if edge >= 1.0 else 1.0 / (1.0 - edge) ** 2
    return Whitening(mean, (vectors * roots) @ vectors.T, tolerance)


def reference(X: ArrayLike, y: ArrayLike) -> tuple[Float[np.ndarray, "two"], float]:
    """Return the best halfspace through the origin of the plane, by trying all; slow.

    Args:
        X: (n, 2) finite numbers.
        y: (n,) labels -1 and 1.

    Returns:
        A unit vector, and the share of rows that it gets wrong.

    Raises:
        DataError, DTypeError, ShapeError: for anything else.
    """
    rows = check_rows(X)
    labels = check_labels(y, len(rows))
    if rows.shape[1] != 2:
        raise ShapeError(f"X has {rows.shape[1]} columns; wanted the 2 of a plane")
    turns = np.arctan2(rows[:, 1], rows[:, 0])
    corners = np.sort(np.concatenate((turns + np.pi / 2, turns - np.pi / 2)) % (2 * np.pi))
    nexts = np.append(corners[1:], corners[0] + 2 * np.pi)
    middles = (corners + nexts)[nexts - corners > 1e-12] / 2  # rounding decides in narrower gaps
    W = np.stack((np.cos(middles), np.sin(middles)))
    wrong = ((rows @ W >= 0.0) != (labels[:, None] > 0.0)).mean(axis=0)
    return W[:, wrong.argmin()], float(wrong.min())
