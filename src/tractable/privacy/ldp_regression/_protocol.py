"""What clients and server agree on before anything is sent: budget, bounds and mechanism."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tractable._core import RangeError
from tractable._core.checks import check_integer, check_number
from tractable.privacy.ldp_regression._mechanisms import (
    DUCHI_EPSILON,
    duchi_radius,
    gaussian_scale,
)

__all__ = ["GradientProtocol", "NoiseScales", "StatisticsProtocol", "grid_of"]

FINENESS = 20
"""Reports lie on a grid of at most 2^-20 standard deviations of their noise."""


class NoiseScales(NamedTuple):
    """Standard deviations of the noise in one report.

    Args:
        covariance: of the diagonal of S; infinite where S is not sent.
        moment: of each entry of c.
    """

    covariance: float
    moment: float


@dataclass(frozen=True)
class StatisticsProtocol:
    """One message a person: noisy x x^T and x y, or noisy x y alone beside public rows.

    Args:
        epsilon: budget of a person, above 0.
        delta: probability with which the promise may fail, strictly between 0 and 1.
        x_bound: rows are shrunk to this Euclidean norm. Take it from what is known about the
            measurement, never from the data.
        y_bound: responses are clipped to plus or minus this.
        split: share of the budget for x x^T, strictly between 0 and 1; ignored with public rows.
        accounting: "joint" prices both parts as one Gaussian vector, since no two people differ
            most in both at once; "split" composes two mechanisms, as the paper does, at 1.6 times
            the noise.
        layout: "symmetrised" prices the Frobenius norm, whose off-diagonal entries count twice and
            get half the variance; "upper" gives each entry on and above the diagonal the same, as
            the paper does.
        public_covariance: the server has public unlabelled rows, so that x x^T is not sent.

    Raises:
        RangeError, DTypeError: for anything else.

    Example:
        >>> protocol = StatisticsProtocol(1.0, 1e-5, x_bound=2.0, y_bound=1.0)
        >>> [round(scale, 1) for scale in protocol.scales(4)]
        [26.4, 18.7]
    """

    epsilon: float
    delta: float
    x_bound: float
    y_bound: float
    split: float = 0.5
    accounting: Literal["joint", "split"] = "joint"
    layout: Literal["symmetrised", "upper"] = "symmetrised"
    public_covariance: bool = False

    def __post_init__(self) -> None:
        """Check."""
        check_number("epsilon", self.epsilon, low=0.0, open_ends=True)
        check_number("delta", self.delta, low=0.0, high=1.0, open_ends=True)
        _check_bounds(self.x_bound, self.y_bound)
        check_number("split", self.split, low=0.0, high=1.0, open_ends=True)
        if self.accounting not in ("joint", "split"):
            raise RangeError(f"accounting is {self.accounting!r}; wanted 'joint' or 'split'")
        if self.layout not in ("symmetrised", "upper"):
            raise RangeError(f"layout is {self.layout!r}; wanted 'symmetrised' or 'upper'")

    def scales(self, d: int) -> NoiseScales:
        """Return the noise of one report on rows of `d` numbers.

        With ||x|| <= r and |y| <= t, ||x x^T - x' x'^T||_F <= sqrt(2) r^2 (for x, x' at right
        angles) and ||x y - x' y'|| <= 2 r t (for x' = -x). Their noise is sigma sqrt(2) r^2 /
        sqrt(w) and sigma 2 r t / sqrt(1 - w); at an angle of cosine -u, jointly, the squared
        distance is w (1 - u^2) + (1 - w) (1 + u) / 2 over sigma^2, largest at u = (1 - w) / 4w.
        What rounding to the grid can add to the distance is charged as well.

        Raises:
            RangeError: for so many columns that the grid is too coarse.
        """
        check_integer("d", d, low=1)
        matrix = math.sqrt(2.0) * self.x_bound**2
        vector = 2.0 * self.x_bound * self.y_bound
        if self.public_covariance:
            return NoiseScales(math.inf, vector / _distance(self.epsilon, self.delta, d))
        w = self.split
        if self.accounting == "joint":
            u = min((1.0 - w) / (4.0 * w), 1.0)
            worst = math.sqrt(w * (1.0 - u * u) + (1.0 - w) * (1.0 + u) / 2.0)
            sigma = worst / _distance(self.epsilon, self.delta, d * d + d)
            return NoiseScales(sigma * matrix / math.sqrt(w), sigma * vector / math.sqrt(1.0 - w))
        return NoiseScales(
            matrix / _distance(w * self.epsilon, w * self.delta, d * d),
            vector / _distance((1.0 - w) * self.epsilon, (1.0 - w) * self.delta, d),
        )


@dataclass(frozen=True)
class GradientProtocol:
    """Several rounds; a person answers in one of them, with the noisy gradient of their error.

    The gradient is x clip(<x, w> - y, +-residual_bound), of norm at most x_bound residual_bound,
    whatever model w the server sends.

    Args:
        epsilon: budget of a person, above 0; up to 20 for Duchi's mechanisms.
        x_bound: rows are shrunk to this Euclidean norm; for "duchi-linf" each entry is clipped to
            it.
        y_bound: responses are clipped to plus or minus this.
        mechanism: "duchi-l2" as in the paper, "duchi-linf", or "gaussian".
        delta: 0 for Duchi's mechanisms, strictly between 0 and 1 for "gaussian".
        residual_bound: None takes twice y_bound: a prediction outside of the responses' range is
            wrong anyway. The paper's own is sqrt(k') times the bound of an entry of x, plus
            y_bound, which costs sqrt(k') times the noise.

    Raises:
        RangeError, DTypeError: for anything else.

    Example:
        >>> GradientProtocol(1.0, x_bound=2.0, y_bound=1.0).radius
        4.0
    """

    epsilon: float
    x_bound: float
    y_bound: float
    mechanism: Literal["duchi-l2", "duchi-linf", "gaussian"] = "duchi-l2"
    delta: float = 0.0
    residual_bound: float | None = None

    def __post_init__(self) -> None:
        """Check."""
        check_number("epsilon", self.epsilon, low=0.0, open_ends=True)
        _check_bounds(self.x_bound, self.y_bound)
        if self.residual_bound is not None:
            check_number("residual_bound", self.residual_bound, low=0.0, open_ends=True)
        if self.mechanism == "gaussian":
            check_number("delta", self.delta, low=0.0, high=1.0, open_ends=True)
        elif self.mechanism in ("duchi-l2", "duchi-linf"):
            check_number("epsilon", self.epsilon, high=DUCHI_EPSILON)
            if self.delta != 0.0:
                raise RangeError(f"delta is {self.delta}; {self.mechanism} wants 0")
        else:
            raise RangeError(
                f"mechanism is {self.mechanism!r}; wanted 'duchi-l2', 'duchi-linf' or 'gaussian'"
            )

    @property
    def largest_residual(self) -> float:
        """What residuals are clipped to."""
        return 2.0 * self.y_bound if self.residual_bound is None else self.residual_bound

    @property
    def radius(self) -> float:
        """Largest norm of a gradient: Euclidean, or its largest entry for "duchi-linf"."""
        return self.x_bound * self.largest_residual

    def scale(self, d: int) -> float:
        """Return the root mean square of an entry of a report on rows of `d` numbers.

        Two gradients differ by up to twice the radius, and by what rounding adds.
        """
        check_integer("d", d, low=1)
        if self.mechanism == "gaussian":
            return 2.0 * self.radius / _distance(self.epsilon, self.delta, d)
        if self.mechanism == "duchi-l2":
            return duchi_radius("l2", d, self.radius, self.epsilon) / math.sqrt(d)
        return duchi_radius("linf", d, self.radius, self.epsilon)


def grid_of(scale: float) -> float:
    """Return the power of two to whose multiples reports are rounded."""
    return 2.0 ** (math.frexp(scale)[1] - 1 - FINENESS)


def _distance(epsilon: float, delta: float, entries: int) -> float:
    """How far two inputs may lie apart, in units of the noise, less what rounding adds."""
    left = 1.0 / gaussian_scale(1.0, epsilon, delta) - math.sqrt(entries) * 2.0**-FINENESS
    if left <= 0.0:
        raise RangeError(
            f"{entries} entries are too many for epsilon = {epsilon}: rounding would use up the "
            "budget; send fewer columns"
        )
    # A hair less, for rounding errors when rows are shrunk to their bound.
    return left * (1.0 - 1e-9)


def _check_bounds(x_bound: float | None, y_bound: float | None) -> None:
    for name, bound in (("x_bound", x_bound), ("y_bound", y_bound)):
        if bound is None:
            raise RangeError(
                f"{name} is None; wanted a number known beforehand: a bound taken from the data "
                "would tell about the person at the bound"
            )
        # Beyond these, squares and products would overflow or vanish.
        check_number(name, bound, low=1e-100, high=1e100)
