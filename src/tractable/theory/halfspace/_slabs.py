"""Slabs around a hyperplane: what rows in them can disagree with halfspaces nearby."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy.typing import ArrayLike

from tractable._core import note
from tractable._core.checks import check_number
from tractable.theory.halfspace._target import (
    Check,
    Floats,
    check_direction,
    check_mass,
    check_rows,
    check_spectrum,
)

FARTHEST = 3.0
"""Where the last slab starts, which has no end."""


def edges_of(angle: float) -> Float[np.ndarray, "slabs_and_one"]:
    """Return 0, `angle`, and so on by factors of 1.5 up to `FARTHEST`, and infinity."""
    steps = max(0, math.floor(math.log(FARTHEST / angle) / math.log(1.5)))
    inner = angle * 1.5 ** np.arange(steps + 1)
    return np.concatenate(([0.0], inner, [math.inf]))


def orthogonal_to(w: Floats) -> Float[np.ndarray, "d d_less_one"]:
    """Return an orthonormal basis of what is orthogonal to a unit vector, by one reflection."""
    mirror = w.copy()
    mirror[0] += math.copysign(1.0, w[0])
    whole = np.eye(w.size) - np.outer(mirror, mirror) * (2.0 / (mirror @ mirror))
    return np.asarray(whole[:, 1:])


class Slabs(NamedTuple):
    """Rows by their distance to a hyperplane; for each slab, what bounds disagreement.

    Args:
        edges: (slabs + 1,) distances.
        counts: (slabs,) rows in each, of `size` rows in all.
        spreads: (slabs,) the largest eigenvalue of E[z z'], z being the part orthogonal to w,
            divided by the distance. Infinite for the first slab, which may touch the plane.
        shifts: (slabs,) the length of E[z], z signed by the side of the plane.
    """

    edges: Float[np.ndarray, "edges"]
    counts: Integer[np.ndarray, "slabs"]
    spreads: Float[np.ndarray, "slabs"]
    shifts: Float[np.ndarray, "slabs"]
    size: int

    def bound(self, angle: float) -> float:
        """Bound the share of rows, among `size`, on which any halfspace within an angle disagrees.

        u = cos(a) w + sin(a) v disagrees with w on x only where s z.v <= -cot(a), s being x's
        side. By Chebyshev around -c that has probability at most
        (spread + 2 c shift + c^2) / (cot(a) + c)^2 for any c >= 0; the best c is taken.
        """
        if angle >= math.pi / 2:
            return float(self.counts.sum() / self.size)
        slope = 1.0 / max(math.tan(angle), 1e-100)
        share = np.ones(len(self.counts))
        for i, (spread, shift) in enumerate(zip(self.spreads, self.shifts, strict=True)):
            if math.isinf(spread) or slope <= shift:
                continue
            if spread <= slope * shift:
                share[i] = spread / slope**2
            else:
                rest = max(spread - shift**2, 0.0)
                share[i] = rest / (rest + (slope - shift) ** 2)
        return float(self.counts @ np.minimum(share, 1.0) / self.size)


def slabs_of(
    X: Floats, w: Floats, edges: Floats, chosen: Bool[np.ndarray, "n"] | None = None
) -> Slabs:
    """Cut rows into slabs; only chosen rows are looked at, while all count in `size`."""
    size = len(X)
    rows = X if chosen is None else X[chosen]
    projected = rows @ w
    basis = orthogonal_to(w)
    which = np.searchsorted(edges, np.abs(projected), side="right") - 1
    order = np.argsort(which, kind="stable")
    counts = np.bincount(which, minlength=len(edges) - 1)
    scaled = rows[order]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled /= projected[order, None]  # also signs by the side
    spreads, shifts = np.full(len(counts), math.inf), np.zeros(len(counts))
    first = counts[0]
    for i, count in enumerate(counts[1:], start=1):
        part = scaled[first : first + count]
        first += count
        spreads[i] = 0.0
        if count and basis.shape[1]:
            moment = basis.T @ (part.T @ part / count) @ basis
            spreads[i] = max(0.0, float(np.linalg.eigvalsh(moment)[-1]))
            shifts[i] = float(np.linalg.norm(basis.T @ part.mean(axis=0)))
    note("flops", 2 * rows.size + rows.size * rows.shape[1] + 10 * len(edges) * w.size**3)
    return Slabs(edges, counts, spreads, shifts, size)


class DisagreementTest(NamedTuple):
    """What `disagreement_test` found.

    Args:
        checks: by name.
        bound: no halfspace within the angle disagrees with w on a larger share of the rows. This
            holds for any rows, whether tests passed or not.
    """

    checks: dict[str, Check]
    bound: float

    @property
    def passed(self) -> bool:
        """Whether every test did."""
        return all(check.passed for check in self.checks.values())


def disagreement_test(
    X: ArrayLike,
    w: ArrayLike,
    angle: float,
    *,
    delta: float = 0.05,
    tolerance: float = 1.0,
) -> DisagreementTest:
    """Certify that halfspaces near w disagree with it on few rows, as they do for normal rows.

    Rows are cut into slabs by |<w, x>|. Each slab's share is compared with the normal law's, and
    so is the spectrum of its second moment orthogonal to w, where it has rows enough (twice the
    width). A slab that is missing at all fails by its share.

    Args:
        X: (n, d) finite numbers.
        w: (d,) a direction.
        angle: radians, above 0 and below pi / 2; also the width of the first slab.
        delta: a normal sample fails with at most this probability, if w does not depend on it.
        tolerance: factor that widens ranges, for rows that were whitened by estimates; 1 is none.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Source: section 3, the tester of disagreement; the constants are this sample's own.

    Example:
        >>> rows = np.random.default_rng(0).standard_normal((20000, 4))
        >>> found = disagreement_test(rows, [1, 0, 0, 0], 0.1)
        >>> found.passed, found.bound < 0.2
        (True, True)
    """
    rows = check_rows(X)
    unit = check_direction(w, rows.shape[1])
    angle = check_number("angle", angle, low=0.0, high=math.pi / 2, open_ends=True)
    delta = check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
    tolerance = check_number("tolerance", tolerance, low=1.0)
    checks = slab_checks(rows, unit, angle, delta, tolerance)
    return DisagreementTest(checks, slabs_of(rows, unit, edges_of(angle)).bound(angle))


def slab_checks(
    rows: Floats, unit: Floats, angle: float, delta: float, tolerance: float
) -> dict[str, Check]:
    """Return the tests of `disagreement_test`."""
    edges = edges_of(angle)
    projected = np.abs(rows @ unit)
    basis = orthogonal_to(unit)
    which = np.searchsorted(edges, projected, side="right") - 1
    order = np.argsort(which, kind="stable")
    counts = np.bincount(which, minlength=len(edges) - 1)
    sorted_rows = rows[order]
    share = delta / (2 * len(counts))
    checks: dict[str, Check] = {}
    begin = 0
    for i, count in enumerate(counts):
        part = sorted_rows[begin : begin + count]
        begin += count
        low, high = float(edges[i]), float(edges[i + 1])
        name = f"slab {low:.2g} to {high:.2g}"
        checks[f"{name}, share"] = check_mass(int(count), len(rows), (low, high), share, tolerance)
        if count >= 2 * rows.shape[1]:
            moment = basis.T @ (part.T @ part / count) @ basis
            largest, _ = check_spectrum(moment, int(count), share, tolerance)
            checks[f"{name}, largest variance"] = largest
    note("flops", 2 * rows.size + rows.size * rows.shape[1] + 10 * len(edges) * unit.size**3)
    return checks


def as_angle(cotangent: float) -> float:
    """Return the angle in (0, pi / 2] with a cotangent, pi / 2 where it is not above 0."""
    return math.pi / 2 if cotangent <= 0.0 else math.atan(1.0 / cotangent)
