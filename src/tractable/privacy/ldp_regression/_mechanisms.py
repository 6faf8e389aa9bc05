"""How much noise makes a vector private: the Gaussian mechanism, and Duchi's two randomisers."""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import expit, gammaln, log_ndtr

from tractable._core import RangeError
from tractable._core.checks import check_integer, check_number
from tractable.privacy.ldp_regression._entropy import Source

__all__ = ["DUCHI_EPSILON", "duchi", "duchi_radius", "gaussian_delta", "gaussian_scale"]

Floats = NDArray[np.float64]
Norm = Literal["l2", "linf"]

DUCHI_EPSILON = 20.0
"""Largest budget of Duchi's mechanisms: above it, 53 random bits no longer resolve the coin."""


def gaussian_delta(sensitivity: float, scale: float, epsilon: float) -> float:
    """Return the exact delta of adding N(0, scale^2 I) at a given epsilon.

    Args:
        sensitivity: largest Euclidean distance of the vectors of two inputs, at least 0.
        scale: standard deviation of the noise, above 0.
        epsilon: at least 0.

    Returns:
        The smallest delta for which the mechanism is (epsilon, delta)-private.

    Raises:
        RangeError: for a number out of range.

    Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML
        2018, theorem 8.

    Example:
        >>> round(gaussian_delta(1.0, 3.7306, 1.0), 8)
        1e-05
    """
    check_number("sensitivity", sensitivity, low=0.0)
    check_number("scale", scale, low=0.0, open_ends=True)
    check_number("epsilon", epsilon, low=0.0)
    return _delta(sensitivity / scale, epsilon)


def _delta(distance: float, epsilon: float) -> float:
    """Delta of two unit normals at a distance, stable far out in the tails."""
    if distance == 0.0:
        return 0.0
    first = float(log_ndtr(distance / 2 - epsilon / distance))
    second = epsilon + float(log_ndtr(-distance / 2 - epsilon / distance))
    return math.exp(first) * max(-math.expm1(second - first), 0.0)


def gaussian_scale(sensitivity: float, epsilon: float, delta: float) -> float:
    """Return the least standard deviation that makes Gaussian noise (epsilon, delta)-private.

    Unlike the classical sqrt(2 ln(1.25/delta)) / epsilon it is right for every epsilon, and never
    larger.

    Args:
        sensitivity: largest Euclidean distance of the vectors of two inputs, above 0.
        epsilon: above 0.
        delta: strictly between 0 and 1.

    Raises:
        RangeError: for a number out of range.

    Example:
        >>> round(gaussian_scale(1.0, 1.0, 1e-5), 4)
        3.7306
    """
    check_number("sensitivity", sensitivity, low=0.0, open_ends=True)
    check_number("epsilon", epsilon, low=0.0, open_ends=True)
    check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
    return sensitivity * _unit_scale(float(epsilon), float(delta))


@lru_cache(maxsize=256)
def _unit_scale(epsilon: float, delta: float) -> float:
    """Bisect for the distance of two unit normals that costs delta; a little nearer, never over."""
    low, high = -60.0, 60.0
    while high - low > 1e-12:
        middle = (low + high) / 2.0
        low, high = (middle, high) if _delta(math.exp(middle), epsilon) <= delta else (low, middle)
    return math.exp(-low) * (1.0 + 1e-9)  # for the rounding errors of delta


def duchi_radius(norm: Norm, d: int, radius: float, epsilon: float) -> float:
    """Return the size of the reports that keeps Duchi's mechanism unbiased.

    Args:
        norm: "l2": reports lie on a sphere of the returned radius; "linf": their coordinates are
            plus or minus the returned number.
        d: coordinates, at least 1.
        radius: largest norm of what is privatised, above 0.
        epsilon: above 0, up to 20.

    Raises:
        RangeError: for anything else.

    Source: Duchi, Jordan and Wainwright, "Minimax Optimal Procedures for Locally Private
        Estimation", JASA 2018, section 4.2.3; for an even number of coordinates "linf" splits
        ties evenly, which needs a smaller radius than counting them on both sides.

    Example:
        >>> round(duchi_radius("l2", 1, 1.0, np.log(3)), 6)  # randomised response
        2.0
    """
    check_integer("d", d, low=1)
    check_number("radius", radius, low=0.0, open_ends=True)
    check_number("epsilon", epsilon, low=0.0, high=DUCHI_EPSILON)
    if not epsilon:
        raise RangeError("epsilon is 0; wanted it above 0")
    if norm == "l2":
        # One over the mean of |z_1|, z uniform on the unit sphere.
        log_inverse = gammaln((d + 1) / 2) - gammaln(d / 2) + 0.5 * math.log(math.pi)
    elif norm == "linf":
        # One over the mean of |z_1 + ... + z_d| / d, z uniform signs.
        half = (d - 1) // 2
        log_binomial = gammaln(d) - gammaln(half + 1) - gammaln(d - half)
        log_inverse = (d - 1) * math.log(2.0) - log_binomial
    else:
        raise RangeError(f"norm is {norm!r}; wanted 'l2' or 'linf'")
    return float(radius * math.exp(log_inverse) / math.tanh(epsilon / 2))


def duchi(
    v: Float[np.ndarray, "users d"], norm: Norm, radius: float, epsilon: float, source: Source
) -> Float[np.ndarray, "users d"]:
    """Privatise vectors of bounded norm, each by itself; unbiased, and private with delta = 0.

    The random vector's law does not depend on the data; only its sign does. That is why rounding
    errors of floating-point numbers reveal nothing.

    Args:
        v: vectors whose norm is at most `radius`.
        norm, radius, epsilon: as in `duchi_radius`.
        source: of random numbers.

    Returns:
        Reports whose expectation is `v`.
    """
    users, d = v.shape
    size = duchi_radius(norm, d, radius, epsilon)
    if norm == "l2":
        z = source.standard_normal((users, d))
        z[:, 0] = np.where(np.abs(z).max(axis=1) > 0.0, z[:, 0], 1.0)
        z *= size / np.linalg.norm(z, axis=1, keepdims=True)
        length = np.minimum(np.linalg.norm(v, axis=1), radius)
        inner = (z * v).sum(axis=1)
        # The vector stretched to length `radius`, in its direction or against it, keeps the mean.
        inner *= np.where(source.random(users) < 0.5 + length / (2.0 * radius), 1.0, -1.0)
    else:
        z = np.where(source.random((users, d)) < 0.5, size, -size)
        odds = 0.5 + np.clip(v / radius, -1.0, 1.0) / 2.0
        corner = np.where(source.random((users, d)) < odds, 1.0, -1.0)
        inner = (np.sign(z) * corner).sum(axis=1)
    # Where it is 0 either side will do, since z and -z are equally likely.
    side = np.where(inner < 0.0, -1.0, 1.0)
    toward = np.where(source.random(users) < expit(epsilon), 1.0, -1.0)
    return np.asarray(z * (side * toward)[:, None])
