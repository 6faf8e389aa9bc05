"""The public function: checks, the choice between the two paths, and the call."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args, overload

import torch
from jaxtyping import Float
from torch import Tensor

from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer, check_number
from tractable.attention.tensor._exact import Problem, attend_exactly
from tractable.attention.tensor._plan import Plan, plan_tensor_attention, score_bound
from tractable.attention.tensor._poly import attend_by_polynomial
from tractable.attention.tensor._polynomial import Basis

__all__ = ["Method", "check_tensors", "tensor_attention"]

Method = Literal["auto", "exact", "poly"]


class _Options(NamedTuple):
    method: Method
    scale: float
    rtol: float
    bound: float | None
    degree: int | None
    basis: Basis
    max_rank: int
    is_causal: bool


@overload
def tensor_attention(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    scale: float | None = ...,
    is_causal: bool = ...,
    method: Method = ...,
    rtol: float = ...,
    bound: float | None = ...,
    degree: int | None = ...,
    basis: Basis = ...,
    max_rank: int = ...,
    chunk_size: int | None = ...,
    return_info: Literal[False] = ...,
) -> Tensor: ...


@overload
def tensor_attention(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    scale: float | None = ...,
    is_causal: bool = ...,
    method: Method = ...,
    rtol: float = ...,
    bound: float | None = ...,
    degree: int | None = ...,
    basis: Basis = ...,
    max_rank: int = ...,
    chunk_size: int | None = ...,
    return_info: Literal[True],
) -> tuple[Tensor, Plan]: ...


def tensor_attention(
    query: Float[Tensor, "B H n d"],
    keys: Sequence[Float[Tensor, "B H _ d"]],
    values: Sequence[Float[Tensor, "B H _ e"]],
    *,
    scale: float | None = None,
    is_causal: bool = False,
    method: Method = "auto",
    rtol: float = 1e-3,
    bound: float | None = None,
    degree: int | None = None,
    basis: Basis = "auto",
    max_rank: int = 20_000,
    chunk_size: int | None = None,
    return_info: bool = False,
) -> Float[Tensor, "B H n e"] | tuple[Float[Tensor, "B H n e"], Plan]:
    """Attend to tuples of keys: softmax over (j, k) of sum_l q_il k1_jl k2_kl, for two key sets.

    The exact path takes time n^(m+1) for m key sets and the memory of a block. The polynomial
    path takes time n r, with a rank r that depends on the width, the scores and `rtol` and not
    on n; `auto` takes it where it exists and costs fewer flops. Notes `flops` of products and
    sums, those of the backward pass when it runs on the exact path.

    Args:
        query: (B, H, n, d).
        keys: m tensors (B, H, n_t, d); one makes it ordinary attention.
        values: m tensors (B, H, n_t, e), multiplied entry by entry for a tuple.
        scale: factor of the scores; the paper's 1/d by default, where others take d ** -0.5.
        is_causal: whether query i reads only keys up to i in every set; lengths are equal then.
        method: "exact", "poly", or the cheaper of the two.
        rtol: relative error of the polynomial; that of the output, in units of the product of
            the largest values, is at most 2 rtol / (1 - rtol), rounding apart.
        bound: no entry of query and keys is larger. The polynomial is chosen from it alone;
            otherwise from the entries, later ones included.
        degree: of the polynomial, instead of `rtol`; `Plan.error` says what it promises.
        basis: "taylor", "chebyshev", or the shorter of the two.
        max_rank: monomials above which there is no polynomial path.
        chunk_size: queries or keys of a block on the polynomial path, query-row pairs on the
            exact one; by default blocks have two million numbers.
        return_info: return the plan too.

    Returns:
        (B, H, n, e) in the query's dtype, or a pair of it and the plan. First gradients flow,
        with the polynomial held fixed; neither path keeps its blocks for the backward pass.

    Raises:
        ShapeError: if the tensors do not fit together.
        DTypeError: for dtypes or devices that differ.
        RangeError: if "poly" is asked for and no polynomial of at most `max_rank` monomials does,
            or a parameter is out of range.
        DataError: for NaN, infinities, entries above `bound`, or scores or values that overflow.

    Example:
        >>> x = torch.rand(1, 2, 2000, 4, generator=torch.Generator().manual_seed(0))
        >>> out, plan = tensor_attention(x, (x, x), (x, x), return_info=True)
        >>> out.shape == x.shape, plan.method, plan.flops < plan.exact_flops / 100
        (True, 'poly', True)
    """
    check_tensors(query, keys, values, is_causal)
    if method not in get_args(Method):
        raise RangeError(f"method is {method!r}; wanted one of {', '.join(get_args(Method))}")
    factor = 1.0 / query.shape[-1] if scale is None else check_number("scale", scale)
    if chunk_size is not None:
        chunk_size = check_integer("chunk_size", chunk_size, low=1)
    options = _Options(method, factor, rtol, bound, degree, basis, max_rank, is_causal)
    plan = _make_plan(query, keys, values, options)
    if query.numel() == 0:
        out = query.new_zeros(*query.shape[:3], values[0].shape[-1])
        return (out, plan) if return_info else out
    dtype = _choose_dtype(query.dtype, plan, rtol)
    flat = [tensor.to(dtype).flatten(0, 1) for tensor in (query, *keys, *values)]
    first, sets = flat[0], len(keys)
    problem = Problem(first, flat[1 : 1 + sets], flat[1 + sets :], factor, is_causal, chunk_size)
    if plan.method == "poly" and plan.fit is not None:
        found = attend_by_polynomial(problem, plan.fit)
    else:
        found = attend_exactly(problem)
    out = found.reshape(*query.shape[:3], -1).to(query.dtype)
    if not bool(torch.isfinite(out).all()):
        raise DataError(
            f"products of entries overflow {query.dtype}; divide large keys or values by a factor"
        )
    return (out, plan) if return_info else out


def _make_plan(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    options: _Options,
) -> Plan:
    scale, method = options.scale, options.method
    if options.bound is None:
        limit = score_bound(query, keys, scale)
    else:
        entry = check_number("bound", options.bound, low=0.0)
        _check_entries(query, keys, entry)
        limit = abs(scale) * query.shape[-1] * entry ** (len(keys) + 1)
    if not limit <= torch.finfo(torch.float32 if query.itemsize < 4 else query.dtype).max / 4:
        raise DataError(
            f"scores can reach {limit:.3g}, beyond {query.dtype}; lower scale or normalise entries"
        )
    plan = plan_tensor_attention(
        limit,
        width=query.shape[-1],
        lengths=(query.shape[2], *(key.shape[2] for key in keys)),
        value_width=values[0].shape[-1],
        heads=max(1, query.shape[0] * query.shape[1]),
        rtol=options.rtol,
        degree=None if method == "exact" else options.degree,
        basis=options.basis,
        max_rank=options.max_rank,
        is_causal=options.is_causal,
    )
    if method == "poly" and not plan.feasible:
        raise RangeError(_say_infeasible(plan, options))
    return plan if method == "auto" else replace(plan, method=method)


def _say_infeasible(plan: Plan, options: _Options) -> str:
    exact = f"the exact path costs {plan.exact_flops:.3g} flops"
    if plan.fit is None:
        return (
            f"method is 'poly' with scores up to S = {plan.score_bound:.4g}; no polynomial in "
            f"float64 stays within rtol {options.rtol:g} of exp there; take 'exact' ({exact})"
        )
    return (
        f"method is 'poly' with scores up to S = {plan.score_bound:.4g}; rtol {options.rtol:g} "
        f"takes degree g = {plan.degree} and rank r = {plan.rank:,}; wanted at most max_rank "
        f"{options.max_rank:,}; raise it or take 'exact' ({exact})"
    )


def _check_entries(query: Tensor, keys: Sequence[Tensor], bound: float) -> None:
    for name, tensor in (("query", query), *((f"keys[{t}]", key) for t, key in enumerate(keys))):
        largest = float(tensor.detach().abs().max()) if tensor.numel() else 0.0
        if largest > bound:
            raise DataError(
                f"{name} has an entry of size {largest:.4g}; wanted at most bound {bound:g}; "
                "the polynomial says nothing beyond it: raise bound, or clip"
            )


def _choose_dtype(dtype: torch.dtype, plan: Plan, rtol: float) -> torch.dtype:
    """At least 32 bits; 64 where a polynomial's terms cancel so far that 32 would show."""
    if dtype == torch.float64:
        return dtype
    if plan.method == "poly" and plan.fit is not None:
        lost = plan.fit.cancellation * torch.finfo(torch.float32).eps
        if lost > rtol / 10:
            return torch.float64
    return torch.float32


def check_tensors(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], is_causal: bool
) -> None:
    """Refuse tensors that do not fit together, or have NaN or infinite entries."""
    sets: tuple[tuple[str, object], ...] = (("keys", keys), ("values", values))
    for name, given in sets:
        if isinstance(given, Tensor) or not isinstance(given, Sequence):
            raise DTypeError(f"{name} is {type(given).__name__}; wanted a tuple of tensors")
    if not keys or len(keys) != len(values):
        raise ShapeError(
            f"got {len(keys)} keys and {len(values)} values; wanted as many of both, at least one"
        )
    named = [("query", query)]
    named += [(f"keys[{t}]", key) for t, key in enumerate(keys)]
    named += [(f"values[{t}]", value) for t, value in enumerate(values)]
    for name, tensor in named:
        _check_tensor(name, tensor, query)
    for t, (key, value) in enumerate(zip(keys, values, strict=True)):
        if key.shape[-1] != query.shape[-1]:
            raise ShapeError(
                f"keys[{t}] has width {key.shape[-1]}; wanted the query's {query.shape[-1]}"
            )
        if value.shape[2] != key.shape[2]:
            raise ShapeError(
                f"values[{t}] has length {value.shape[2]}; wanted that of keys[{t}], {key.shape[2]}"
            )
        if value.shape[-1] != values[0].shape[-1]:
            raise ShapeError(
                f"values[{t}] has width {value.shape[-1]}; wanted that of values[0], "
                f"{values[0].shape[-1]}"
            )
        if is_causal and key.shape[2] != query.shape[2]:
            raise ShapeError(
                f"keys[{t}] has length {key.shape[2]}; with is_causal wanted the query's "
                f"{query.shape[2]}"
            )


def _check_tensor(name: str, tensor: Tensor, query: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise DTypeError(f"{name} is {type(tensor).__name__}; wanted a tensor")
    if tensor.ndim != 4:
        raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; wanted (B, H, length, width)")
    if math.prod(tensor.shape[2:]) == 0:
        raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; wanted a length and a width")
    if tensor.shape[:2] != query.shape[:2]:
        raise ShapeError(
            f"{name} has batch and heads {tuple(tensor.shape[:2])}; wanted the query's "
            f"{tuple(query.shape[:2])}"
        )
    if not tensor.is_floating_point():
        raise DTypeError(f"{name} has dtype {tensor.dtype}; wanted floating-point; convert it")
    if tensor.dtype != query.dtype or tensor.device != query.device:
        raise DTypeError(
            f"{name} is {tensor.dtype} on {tensor.device}; wanted the query's {query.dtype} on "
            f"{query.device}"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise DataError(f"{name} has NaN or infinite entries; clean or mask them first")
