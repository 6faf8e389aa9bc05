"""What runs on the server: from the sum of noisy reports to a sparse model, in closed form."""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable.privacy.ldp_regression._client import Report, clip_rows
from tractable.privacy.ldp_regression._protocol import StatisticsProtocol

__all__ = [
    "NoiseDominatesWarning",
    "PublicRows",
    "SparseFit",
    "add_reports",
    "reference",
    "soft_threshold",
    "sparse_regression",
    "summarize_public",
]

Floats = NDArray[np.float64]
MISS = 0.1
"""About how many coordinates of noise alone are expected to pass the automatic threshold."""


class NoiseDominatesWarning(UserWarning):
    """The privacy noise is larger than what it is laid over; the message says how many to ask."""


class SparseFit(NamedTuple):
    """A sparse model and what it was made of.

    Args:
        coef: (d,) the estimate.
        raw_coef: (d,) before thresholding.
        threshold: (d,) what was taken off each.
        standard_error: (d,) of `raw_coef`, from the noise of the protocol.
        covariance: (d, d) that was inverted.
    """

    coef: Floats
    raw_coef: Floats
    threshold: Floats
    standard_error: Floats
    covariance: Floats


class PublicRows(NamedTuple):
    """What unlabelled public rows say about the covariance.

    Args:
        covariance: (d, d) mean of x x^T.
        rows: how many they are.
    """

    covariance: Floats
    rows: int


def summarize_public(public_X: ArrayLike, protocol: StatisticsProtocol) -> PublicRows:
    """Return the covariance of public rows, shrunk to their bound as clients' are.

    Args:
        public_X: (rows, d) finite numbers.
        protocol: what clients and server agreed on.

    Raises:
        ShapeError, DTypeError, DataError: for anything else.

    Example:
        >>> protocol = StatisticsProtocol(1.0, 1e-5, 2.0, 1.0, public_covariance=True)
        >>> summarize_public([[1.0, 0.0], [0.0, 1.0]], protocol).covariance.tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    given = as_array("public_X", public_X, ndim=2).astype(np.float64)
    clipped = clip_rows(given, protocol.x_bound)
    return PublicRows(clipped.T @ clipped / len(clipped), len(clipped))


def reference(reports: Sequence[tuple[Floats, Floats]], threshold: float) -> Float[np.ndarray, "d"]:
    """Invert the mean of the reports and soften, as the paper writes it.

    Args:
        reports: S_i and c_i of each person.
        threshold: lambda, at least 0.
    """
    S = sum(S for S, _ in reports) / len(reports)
    c = sum(c for _, c in reports) / len(reports)
    raw = np.linalg.inv(S) @ c
    return np.array([math.copysign(max(abs(a) - threshold, 0.0), a) for a in raw])


def soft_threshold(values: Floats, threshold: float | Floats) -> Floats:
    """Move values towards zero by the threshold, and no further than zero."""
    return np.asarray(np.sign(values) * np.maximum(np.abs(values) - threshold, 0.0))


def add_reports(reports: Iterable[Report]) -> Report:
    """Add messages; sums may be added again, so that no more than one report is held.

    Raises:
        ShapeError: for none, or for some with S and some without.
    """
    total: Report | None = None
    for report in reports:
        if total is None:
            total = report
            continue
        if (total.S is None) != (report.S is None) or total.c.shape != report.c.shape:
            raise ShapeError("reports of two protocols; wanted all with S or all without, one d")
        S = None if total.S is None or report.S is None else total.S + report.S
        total = Report(S, total.c + report.c, total.n + report.n)
    if total is None:
        raise ShapeError("there are no reports; wanted at least one")
    return total


def sparse_regression(
    total: Report,
    protocol: StatisticsProtocol,
    *,
    public: PublicRows | None = None,
    threshold: float | Literal["auto"] = "auto",
    rule: Literal["soft", "hard"] = "soft",
    k: int | None = None,
    psd: Literal["none", "clip"] = "none",
) -> SparseFit:
    """Estimate a sparse linear model from the sum of reports; whatever is done here is private.

    Args:
        total: the sum of reports made under `protocol`.
        protocol: what clients and server agreed on.
        public: of `summarize_public`, unlabelled rows of the same law, at least d; wanted if and
            only if the protocol has `public_covariance`.
        threshold: a number at least 0, or "auto": so many standard errors of each coordinate that
            about 0.1 of all coordinates without effect pass.
        rule: "soft" moves what is kept towards zero, as the paper; "hard" leaves it.
        k: keep no more than the k largest; None keeps what passes the threshold.
        psd: "clip" raises eigenvalues of the noisy covariance to the norm of its noise, which
            keeps its inverse from exploding where people are few: with 40 columns a seventh of
            them suffices to beat zero; "none" inverts it as it is, as the paper does.

    Returns:
        The fit. `NoiseDominatesWarning` is given where it should not be trusted.

    Raises:
        ShapeError, DataError, RangeError, DTypeError: for anything else.

    Example:
        >>> protocol = StatisticsProtocol(1.0, 1e-5, x_bound=2.0, y_bound=1.0)
        >>> n = 10**12
        >>> total = Report(n * np.eye(3), n * np.array([0.5, 0.0, 1e-6]), n)
        >>> sparse_regression(total, protocol).coef.round(3).tolist()
        [0.5, 0.0, 0.0]
    """
    S, c, n = _read(total, protocol)
    d = c.size
    if rule not in ("soft", "hard"):
        raise RangeError(f"rule is {rule!r}; wanted 'soft' or 'hard'")
    if psd not in ("none", "clip"):
        raise RangeError(f"psd is {psd!r}; wanted 'none' or 'clip'")
    if k is not None:
        check_integer("k", k, low=1, high=d)
    given = _read_public(public, protocol, d)
    covariance = S if given is None else given.covariance
    people = _People(n, 0 if given is None else given.rows, _noise_norm(protocol, d, n))
    if psd == "clip":
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, max(people.spread, np.finfo(float).tiny))
        covariance = (vectors * values) @ vectors.T
    values = np.asarray(np.linalg.eigvalsh(covariance), dtype=np.float64)
    if np.abs(values).min() <= np.abs(values).max() * d * np.finfo(float).eps:
        raise DataError(
            "the covariance is singular; give more public rows, drop columns that repeat others, "
            "or pass psd='clip'"
        )
    inverse = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    raw = inverse @ c
    error = _standard_error(protocol, people, inverse, raw)
    if threshold == "auto":
        cut = float(ndtri(1.0 - MISS / (2.0 * d))) * error
    else:
        cut = np.full(d, check_number("threshold", threshold, low=0.0))
    coef = soft_threshold(raw, cut) if rule == "soft" else np.where(np.abs(raw) > cut, raw, 0.0)
    if k is not None and k < d:
        coef[np.argsort(-np.abs(coef), kind="stable")[k:]] = 0.0
    note("solves", 1)
    fit = SparseFit(coef, raw, cut, error, covariance)
    _warn(protocol, people, fit, values)
    return fit


def _read(total: Report, protocol: StatisticsProtocol) -> tuple[Floats, Floats, int]:
    """The means of a sum of reports."""
    n = check_integer("n", total.n, low=1)
    c = as_array("c", total.c, ndim=1).astype(np.float64)
    if protocol.public_covariance:
        return np.zeros((0, 0)), c / n, n
    if total.S is None:
        raise ShapeError("S is None; wanted (d, d), as the protocol has no public rows")
    S = as_array("S", total.S, ndim=2).astype(np.float64)
    if S.shape != (c.size, c.size):
        raise ShapeError(f"S has shape {S.shape}; wanted {(c.size, c.size)}, as c has {c.size}")
    if np.abs(S - S.T).max() > 1e-9 * np.abs(S).max():
        raise DataError("S is not symmetric; it is no sum of reports")
    return (S + S.T) / (2 * n), c / n, n


def _read_public(
    public: PublicRows | None, protocol: StatisticsProtocol, d: int
) -> PublicRows | None:
    if protocol.public_covariance != (public is not None):
        raise RangeError(
            "public rows and the protocol's public_covariance go together: got "
            f"{'rows' if public is not None else 'no rows'} and {protocol.public_covariance}"
        )
    if public is None:
        return None
    matrix = as_array("public.covariance", public.covariance, ndim=2).astype(np.float64)
    if matrix.shape != (d, d) or check_integer("public.rows", public.rows) < d:
        raise ShapeError(
            f"public has {public.rows} rows and a covariance of shape {matrix.shape}; wanted at "
            f"least {d} rows of {d}, as many as c has entries"
        )
    return PublicRows(matrix, public.rows)


def _noise_norm(protocol: StatisticsProtocol, d: int, n: int) -> float:
    """About the spectral norm of the noise of the mean of S."""
    if protocol.public_covariance:
        return 0.0
    off = 0.5 if protocol.layout == "symmetrised" else 1.0
    return 2.0 * protocol.scales(d).covariance * math.sqrt(off * d / n)


def _standard_error(
    protocol: StatisticsProtocol, people: "_People", inverse: Floats, raw: Floats
) -> Floats:
    """Standard errors of inverse @ c to first order, with the estimate put for the truth."""
    scales = protocol.scales(raw.size)
    middle = np.full(raw.size, scales.moment**2)
    variance = (inverse**2 @ middle) / people.n
    if people.public:
        # Gaussian rows: the covariance of (mean x x^T - Sigma) theta, carried through the inverse.
        explained = raw @ np.linalg.solve(inverse, raw)
        variance += (explained * np.diag(inverse) + raw**2) / people.public
        return np.asarray(np.sqrt(variance))
    # The covariance of N theta for symmetric noise N.
    length, across = float(raw @ raw), (inverse @ raw) ** 2
    if protocol.layout == "symmetrised":
        spread = (length * (inverse**2).sum(axis=1) + across) / 2.0
    else:
        spread = inverse**2 @ (length - raw**2) + across
    return np.asarray(np.sqrt(variance + scales.covariance**2 * spread / people.n))


class _People(NamedTuple):
    """How many sent reports, how many rows are public, and the noise of the mean of S."""

    n: int
    public: int
    spread: float


def _warn(protocol: StatisticsProtocol, people: _People, fit: SparseFit, values: Floats) -> None:
    """Say so where the inverse is one of noise, or where the error exceeds the estimate."""
    n, spread = people.n, people.spread
    coef, error = fit.coef, fit.standard_error
    size = float(np.trace(fit.covariance)) / coef.size
    if values.min() < 2.0 * spread:
        share = f"{spread:.3g} beside eigenvalues of {values.min():.3g} to {values.max():.3g}"
        enough = (
            f"; at a mean eigenvalue of {size:.3g} some {n * (4.0 * spread / size) ** 2:.2g} "
            "people would do"
            if size > spread / 4.0
            else ""
        )
        text = f"the noise of the covariance of {n:,} people is {share}{enough}"
    elif not coef.any() or float(np.median(error)) > float(np.linalg.norm(coef)):
        text = (
            f"coefficients have a standard error of about {np.median(error):.3g} with {n:,} "
            f"people at epsilon = {protocol.epsilon:g}; what was found has a norm of "
            f"{np.linalg.norm(coef):.3g}"
        )
    else:
        return
    warnings.warn(
        f"{text}; returning zero may be as good: ask more people, fewer columns, tighter bounds, "
        "or use public rows",
        NoiseDominatesWarning,
        stacklevel=3,
    )
