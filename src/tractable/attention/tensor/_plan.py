"""When the near-linear path may be used, and what either path costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from tractable._core import RangeError
from tractable._core.checks import check_integer, check_number
from tractable.attention.tensor._polynomial import Basis, Fit, fit_exp

__all__ = ["Plan", "count_exact", "count_poly", "plan_tensor_attention", "score_bound"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the polynomial path needs for one input, and whether it pays.

    Args:
        score_bound: S, a bound of |score|.
        degree: g of the polynomial; -1 if there is none for this bound.
        basis: "taylor", "chebyshev", or "none".
        rank: r = comb(d + g, g), the monomials of one vector; 0 without a polynomial.
        error: bound of the polynomial's relative error on [-S, S].
        flops: additions and multiplications of the polynomial path; infinite without one.
        exact_flops: those of the exact path.
        feasible: whether there is a polynomial of at most `max_rank` monomials.
        method: "poly" if that is feasible and costs less than the exact path, else "exact"; in
            what `tensor_attention` returns, the path that was taken.
    """

    score_bound: float
    degree: int
    basis: str
    rank: int
    error: float
    flops: float
    exact_flops: float
    feasible: bool
    method: str
    fit: Fit | None = field(default=None, repr=False, compare=False)

    @property
    def output_error(self) -> float:
        """Bound of the output's error by the polynomial, in units of the product of max |value|.

        Rounding comes on top. Infinite where a given degree is too low to promise anything.
        """
        if self.method == "exact":
            return 0.0
        return 2 * self.error / (1 - self.error) if self.error < 1 else math.inf


def score_bound(
    query: Float[Tensor, "B H n d"],
    keys: Sequence[Float[Tensor, "B H _ d"]],
    scale: float | None = None,
) -> float:
    """Return a bound of every |score|, from the largest entries of each coordinate.

    Args:
        query: (B, H, n, d).
        keys: tensors (B, H, n_t, d).
        scale: factor of the scores; 1/d by default.

    Returns:
        S, the largest scale * sum_l |q_il| max_j |k1_jl| max_k |k2_kl| over queries i.

    Example:
        >>> x = torch.ones(1, 1, 5, 4)
        >>> score_bound(x, (x, x))
        1.0
    """
    factor = 1.0 / query.shape[-1] if scale is None else scale
    if query.numel() == 0:
        return 0.0
    with torch.no_grad():
        largest = torch.full_like(query[..., :1, :], abs(factor), dtype=torch.float64)
        for key in keys:
            largest = largest * key.abs().amax(dim=-2, keepdim=True).double()
        return float((query.abs().double() * largest).sum(-1).max())


def plan_tensor_attention(
    bound: float,
    *,
    width: int,
    lengths: Sequence[int],
    value_width: int | None = None,
    heads: int = 1,
    rtol: float = 1e-3,
    degree: int | None = None,
    basis: Basis = "auto",
    max_rank: int = 20_000,
    is_causal: bool = False,
) -> Plan:
    """Say which degree and rank an error asks for, and which path is cheaper.

    Args:
        bound: S, a bound of |score|: see `score_bound`, or scale * d * (largest entry)^order.
        width: d.
        lengths: number of queries, then of each key set.
        value_width: width of the values; d by default.
        heads: batch times heads.
        rtol: relative error asked of the polynomial, between 0 and 1.
        degree: take this degree instead, whatever its error.
        basis: which polynomial.
        max_rank: monomials above which the polynomial path is not feasible.
        is_causal: whether a query reads no later key.

    Returns:
        The plan.

    Raises:
        RangeError: for an argument out of range, or a degree whose polynomial has a zero within
            the bound, so that sums of it could not divide.

    Example:
        >>> plan = plan_tensor_attention(1.0, width=4, lengths=(4096, 4096, 4096))
        >>> plan.degree, plan.rank, plan.method
        (5, 126, 'poly')
        >>> plan_tensor_attention(64.0, width=4, lengths=(4096, 4096, 4096)).feasible
        False
    """
    bound = check_number("bound", bound, low=0.0)
    width = check_integer("width", width, low=1)
    out = width if value_width is None else check_integer("value_width", value_width, low=1)
    sizes = [check_integer("lengths", length, low=1) for length in lengths]
    if len(sizes) < 2:
        raise RangeError(f"lengths has {len(sizes)} entries; wanted queries and key sets")
    heads = check_integer("heads", heads, low=1)
    max_rank = check_integer("max_rank", max_rank, low=1)
    fit = fit_exp(bound, rtol, basis, degree)
    if fit is not None and not fit.positive:
        raise RangeError(
            f"degree is {degree}; its polynomial reaches zero within the score bound {bound:.4g}, "
            "so that weights would not be positive; take a higher even degree or basis='taylor'"
        )
    rank = 0 if fit is None else math.comb(width + fit.degree, fit.degree)
    exact = count_exact(heads, sizes, width, out, is_causal)
    flops = math.inf
    if fit is not None:
        flops = float(count_poly(heads, sizes, rank, out, is_causal))
    feasible = fit is not None and rank <= max_rank
    return Plan(
        score_bound=bound,
        degree=-1 if fit is None else fit.degree,
        basis="none" if fit is None else fit.basis,
        rank=rank,
        error=math.inf if fit is None else fit.error,
        flops=flops,
        exact_flops=float(exact),
        feasible=feasible,
        method="poly" if feasible and flops < exact else "exact",
        fit=fit,
    )


def count_exact(
    heads: int, lengths: Sequence[int], width: int, value_width: int, is_causal: bool
) -> int:
    """Flops of the exact path: a product of width d and one of the values' width a score."""
    scores = math.prod(lengths)
    if is_causal:
        scores = sum((i + 1) ** (len(lengths) - 1) for i in range(lengths[0]))
    return 2 * heads * scores * (width + value_width)


def count_poly(
    heads: int, lengths: Sequence[int], rank: int, value_width: int, is_causal: bool
) -> int:
    """Flops of the polynomial path: monomials, sums over keys, their product, sums for queries."""
    rows, sets, out = sum(lengths), len(lengths) - 1, value_width + 1
    if is_causal:
        each = (sets + 1) + 2 * sets * out + (sets - 1) * out + 3 * out
        return heads * lengths[0] * rank * each
    return heads * rank * (rows * (1 + 2 * out) + sets * out)
