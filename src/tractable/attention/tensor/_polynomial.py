"""Polynomials that stand for exp on an interval, and the monomials of a vector."""

import math
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import gammainc, gammaln, hyp1f1, ive
from torch import Tensor

from tractable._core import DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer, check_number

__all__ = [
    "Basis",
    "Fit",
    "exp_polynomial",
    "fit_exp",
    "monomial_exponents",
    "monomial_weights",
    "polynomial_features",
    "stack_monomials",
]

Basis = Literal["auto", "taylor", "chebyshev"]

WIDEST = 30.0
"""Score bound from which no polynomial in float64 is tried: exp spans more than its digits."""
HIGHEST = 120
"""The largest degree that is tried."""
GRID = 2001


class Fit(NamedTuple):
    """A polynomial for exp on [-bound, bound].

    Args:
        coefficients: float64, of x^0, x^1 and so on.
        basis: "taylor" or "chebyshev".
        error: bound of |p(x) - exp(x)| / exp(x) on the interval.
        cancellation: how much larger the terms can be than the smallest value they add up to.
        positive: whether p has no zero on the interval, so that sums of it can divide.
    """

    coefficients: Float[np.ndarray, "terms"]
    basis: str
    error: float
    cancellation: float
    positive: bool

    @property
    def degree(self) -> int:
        """The degree g."""
        return len(self.coefficients) - 1


def exp_polynomial(
    score_bound: float, rtol: float = 1e-3, *, basis: Basis = "auto"
) -> Float[np.ndarray, "terms"]:
    """Return the lowest-degree polynomial whose relative distance from exp is at most `rtol`.

    Args:
        score_bound: S; the polynomial holds on [-S, S], S below 30.
        rtol: largest |p(x) - exp(x)| / exp(x), between 0 and 1.
        basis: "taylor", "chebyshev" (the truncated Chebyshev series), or the shorter of the two.

    Returns:
        float64 coefficients of x^0, x^1 and so on.

    Raises:
        RangeError: if float64 has no such polynomial, or an argument is out of range.

    Example:
        >>> exp_polynomial(0.1, 1e-2, basis="taylor").tolist()
        [1.0, 1.0]
    """
    fit = fit_exp(score_bound, rtol, basis)
    if fit is None:
        raise RangeError(
            f"score_bound is {score_bound:.4g} with rtol {rtol:g}; no polynomial in float64 comes "
            "so close to exp there; make entries smaller or use the exact method"
        )
    return fit.coefficients


@lru_cache(maxsize=256)
def fit_exp(score_bound: float, rtol: float, basis: Basis, degree: int | None = None) -> Fit | None:
    """Find the polynomial; None if there is none. A given degree is taken whatever its error."""
    score_bound = check_number("score_bound", score_bound, low=0.0)
    rtol = check_number("rtol", rtol, low=0.0, high=1.0, open_ends=True)
    if basis not in get_args(Basis):
        raise RangeError(f"basis is {basis!r}; wanted one of {', '.join(get_args(Basis))}")
    if degree is not None:
        check_integer("degree", degree, low=0, high=HIGHEST)
    if score_bound >= WIDEST:
        return None
    kinds = ("taylor", "chebyshev") if basis == "auto" else (basis,)
    for tried in (degree,) if degree is not None else range(HIGHEST + 1):
        fits = [_fit(score_bound, tried, kind) for kind in kinds]
        best = min(fits, key=lambda fit: (not fit.positive, fit.error))
        rounding = best.cancellation * float(np.finfo(np.float64).eps)
        if degree is not None or (best.error <= rtol and rounding <= rtol):
            return best
    return None


def _fit(bound: float, degree: int, kind: str) -> Fit:
    steps = np.arange(degree + 1)
    grid = np.linspace(-bound, bound, GRID)
    if kind == "taylor" or bound == 0:
        coefficients = np.exp(-gammaln(steps + 1))
        error = _taylor_error(bound, degree)
    else:
        series = ive(steps, bound) * np.where(steps, 2.0, 1.0) * math.exp(bound)
        powers = np.polynomial.chebyshev.cheb2poly(series)
        coefficients = np.pad(powers, (0, degree + 1 - len(powers))) / bound**steps
        error = _grid_error(coefficients, grid)
    values = np.polynomial.polynomial.polyval(grid, coefficients)
    smallest = float(values.min())
    # Even Taylor polynomials of exp have no real zero, though rounding may hide that.
    positive = (kind == "taylor" and degree % 2 == 0) or (smallest > 0 and error < math.inf)
    largest = float((np.abs(coefficients) * bound**steps).sum())
    cancellation = largest / smallest if smallest > 0 else math.inf
    return Fit(coefficients, kind, error, cancellation, positive)


def _taylor_error(bound: float, degree: int) -> float:
    """Relative error of the Taylor polynomial, which is largest at an end of the interval.

    The derivative of p(x) exp(-x) is -x^g exp(-x) / g!, so that the error is its integral from 0:
    an incomplete gamma function on the right, a Kummer function on the left.
    """
    if bound == 0:
        return 0.0
    first = (degree + 1) * math.log(bound) - float(gammaln(degree + 2))
    left = math.exp(first) * float(hyp1f1(degree + 1, degree + 2, bound))
    return max(left, float(gammainc(degree + 1, bound)))


def _grid_error(coefficients: Float[np.ndarray, "terms"], grid: Float[np.ndarray, "n"]) -> float:
    """Largest relative error on a grid, plus what it can rise by between two points of it."""
    polyval, polyder = np.polynomial.polynomial.polyval, np.polynomial.polynomial.polyder
    values = polyval(grid, coefficients)
    slopes = polyval(grid, polyder(coefficients)) - values
    shrink = np.exp(-grid)
    step = float(grid[1] - grid[0])
    # The slope is twice what was seen at worst: it too is known on the grid alone.
    return float(np.abs(values * shrink - 1).max() + step * np.abs(slopes * shrink).max())


@lru_cache(maxsize=32)
def _exponents(width: int, degree: int) -> Int[np.ndarray, "rank width"]:
    rank = math.comb(width + degree, degree)
    table = np.zeros((rank, width), np.int16)
    row = 0
    for total in range(degree + 1):
        for chosen in combinations_with_replacement(range(width), total):
            for place in chosen:
                table[row, place] += 1
            row += 1
    table.flags.writeable = False
    return table


def monomial_exponents(width: int, degree: int) -> Int[np.ndarray, "rank width"]:
    """Return the exponents of all monomials up to a degree, in graded lexicographic order.

    Args:
        width: d, how many variables.
        degree: g, the largest total degree.

    Returns:
        int16 (r, d) with r = comb(d + g, g); read-only.

    Raises:
        RangeError: for a width below 1, a negative degree, or more than ten million rows.

    Example:
        >>> monomial_exponents(2, 2).tolist()
        [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]
    """
    width = check_integer("width", width, low=1)
    degree = check_integer("degree", degree, low=0)
    rank = math.comb(width + degree, degree)
    if rank > 10**7:
        raise RangeError(
            f"width {width} and degree {degree} have {rank:,} monomials; wanted at most 10,000,000"
        )
    return _exponents(width, degree)


def polynomial_features(x: Float[Tensor, "*batch d"], degree: int) -> Float[Tensor, "*batch rank"]:
    """Return every monomial up to a degree of each vector, one product an entry.

    Args:
        x: vectors along the last axis.
        degree: g, the largest total degree.

    Returns:
        (..., r) in the order of `monomial_exponents`.

    Raises:
        ShapeError: for a tensor without axes, or vectors of no entries.
        DTypeError: for a tensor that is not floating-point.

    Example:
        >>> polynomial_features(torch.tensor([2.0, 3.0]), 2).tolist()
        [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]
    """
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(f"x has shape {tuple(x.shape)}; wanted vectors along its last axis")
    if not x.is_floating_point():
        raise DTypeError(f"x has dtype {x.dtype}; wanted floating-point; convert it")
    degree = check_integer("degree", degree, low=0)
    stacked = stack_monomials(x.reshape(1, -1, x.shape[-1]).mT, degree)
    return stacked.squeeze(0).mT.reshape(*x.shape[:-1], stacked.shape[1])


def stack_monomials(x: Float[Tensor, "G d n"], degree: int) -> Float[Tensor, "G rank n"]:
    """Return the monomials of the columns of x.

    The monomials of one degree whose first variable is l are x_l times those of the degree below
    whose first variable is l or later, and these are its last rows: no row is looked up.
    """
    width = x.shape[1]
    level = torch.ones_like(x[:, :1])
    levels = [level]
    for total in range(1, degree + 1):
        sizes = [math.comb(width - first + total - 2, total - 1) for first in range(width)]
        level = torch.cat(
            [
                level[:, level.shape[1] - size :] * x[:, first : first + 1]
                for first, size in enumerate(sizes)
            ],
            dim=1,
        )
        levels.append(level)
    return torch.cat(levels, dim=1)


def monomial_weights(
    width: int, coefficients: Float[np.ndarray, "terms"]
) -> Float[np.ndarray, "rank"]:
    """Return w such that p(sum of x) is the sum of w_a x^a over exponents a.

    x stands for the products of the coordinates of a query and its keys; w_a is the coefficient
    of degree |a| times the multinomial |a|! / a!. Logarithms of factorials do not overflow.
    """
    powers = monomial_exponents(width, len(coefficients) - 1).astype(np.int64)
    totals = powers.sum(axis=1)
    ways = np.exp(gammaln(totals + 1) - gammaln(powers + 1).sum(axis=1))
    return np.asarray(coefficients[totals] * ways)
