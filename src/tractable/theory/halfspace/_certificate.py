"""What held-out rows prove about a direction that was chosen without them."""

import math
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import betaincinv

from tractable.theory.halfspace._ramp import slope_of
from tractable.theory.halfspace._slabs import as_angle, edges_of, slabs_of
from tractable.theory.halfspace._strip import StripMoments, strip_of
from tractable.theory.halfspace._target import Floats

Noise = Literal["massart", "agnostic"]


class Certificate(NamedTuple):
    """Bounds that all hold with probability 1 - delta, whatever law the rows have.

    Args:
        error: of the direction's halfspace.
        excess: of that error over the best halfspace's; at most `error`.
        angle: radians between the direction and the best halfspace's; pi / 2 where none is
            proved.
    """

    error: float
    excess: float
    angle: float


def binomial_upper(wrong: int, size: int, delta: float) -> float:
    """Return the rate that makes so few events as unlikely as delta (Clopper and Pearson)."""
    return 1.0 if wrong >= size else float(betaincinv(wrong + 1, size - wrong, 1.0 - delta))


def binomial_lower(wrong: int, size: int, delta: float) -> float:
    """Return the rate that makes so many events as unlikely as delta."""
    return 1.0 - binomial_upper(size - wrong, size, delta)


def pull_of(X: Floats, y: Floats, w: Floats, sigma: float) -> float:
    """Return the length of the ramp's gradient at a unit vector."""
    projected = X @ w
    pull = X.T @ (slope_of(projected, sigma) * y) / len(X)
    return float(np.linalg.norm(pull - (pull @ w) * w))


def massart_cotangent(
    moments: StripMoments, pull: float, eta: float, size: int, delta: float
) -> float:
    """Bound |cot| of the angle to w*, where labels are wrong with probability at most eta.

    Along v, where w* = cos(a) w + sin(a) v, labels pull with E[k (1 - 2 eta(x)) s v.x], s being
    the sign of w*.x. It is that of v.x except where |v.x| <= |cot(a) w.x|, so that the pull is
    at least (1 - 2 eta) E[k |v.x|] - (2 - 2 eta) |cot(a)| E[k |w.x|]; and it is at most what is
    measured, up to what labels can deviate by (Hoeffding, given the rows).
    """
    deviation = math.sqrt(2.0 * math.log(1.0 / delta) * moments.squares / size)
    rest = (1.0 - 2.0 * eta) * moments.first - pull - deviation
    return rest / max((2.0 - 2.0 * eta) * moments.distance, 1e-300)


def agnostic_cotangent(moments: StripMoments, pull: float, opt: float) -> float:
    """Bound |cot| of the angle to a halfspace that errs on at most a share `opt` of the rows.

    Errors change the pull along v by at most 2 E[k |v.x|] on them, hence by at most
    2 sqrt(opt E[k^2 (v.x)^2]).
    """
    rest = moments.first - pull - 2.0 * math.sqrt(opt * moments.squares)
    return rest / max(2.0 * moments.distance, 1e-300)


def certify(
    X: Floats,
    y: Floats,
    w: Floats,
    sigmas: tuple[float, ...],
    *,
    noise: Noise,
    eta: float,
    candidates: int,
    delta: float,
    rng: np.random.Generator,
) -> Certificate:
    """Bound the error of a direction, one of so many candidates, and its excess over the best.

    Whatever the rows are, err(w) - err(u) is at most the share of rows on which w errs and u
    disagrees. That share is bounded by slabs of the rows on which w errs, at the angle which the
    ramp's gradient certifies. A quarter of delta goes to each of: the errors of all candidates,
    the errors of the best halfspace, their difference, and the angle.
    """
    size = len(X)
    missed = (X @ w >= 0.0) != (y > 0.0)
    wrong = int(missed.sum())
    error = binomial_upper(wrong, size, delta / (4 * candidates))
    share = delta / (4 * candidates)
    best = min(1.0, error + math.sqrt(math.log(4.0 / delta) / (2 * size)))
    each = share / (2 * len(sigmas))

    def cotangent_of(moments: StripMoments, pull: float) -> float:
        if noise == "massart":
            return massart_cotangent(moments, pull, eta, size, each)
        return agnostic_cotangent(moments, pull, best)

    cotangent = math.inf if X.shape[1] == 1 else 0.0
    trials = []
    for sigma in sigmas if X.shape[1] > 1 else ():
        strip = strip_of(X, w, sigma)
        pull = pull_of(X, y, w, sigma)
        trials.append((cotangent_of(strip.moments, pull), pull, strip))
    for hoped, pull, strip in sorted(trials, key=lambda trial: -trial[0]):
        if hoped > cotangent:
            cotangent = max(cotangent, cotangent_of(strip.measured(each, rng), pull))
    angle = as_angle(cotangent)
    if angle >= math.pi / 2:
        return Certificate(error, error, math.pi / 2)
    # The angle may be to -w: then the best halfspace would err nearly wherever w is right.
    edges = edges_of(max(angle / 3.0, 1e-3))
    near = slabs_of(X, w, edges).bound(angle)
    if 1.0 - wrong / size - near <= best:
        return Certificate(error, error, math.pi / 2)
    gained = slabs_of(X, w, edges, missed).bound(angle)
    excess = gained + math.sqrt(2.0 * math.log(1.0 / share) / size)
    return Certificate(error, min(error, excess), angle)
