"""Tensor attention by a polynomial of the scores: sums over each key set alone, then a product.

A score is a sum over coordinates of products, so a polynomial of it is a sum of monomials, and
the sum over tuples of keys of one monomial is the product of the sums over each set.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tractable._core import note
from tractable.attention.tensor._exact import Problem
from tractable.attention.tensor._plan import count_poly
from tractable.attention.tensor._polynomial import Fit, monomial_weights, stack_monomials

__all__ = ["attend_by_polynomial"]

ENTRIES = 2**21
"""Monomials of a block, by default."""
FEWEST_ROWS = 16
CAUSAL_ROWS = 32


class _Sums(NamedTuple):
    """The problem once balanced, values with a last column of ones, and how to cut it."""

    query: Tensor
    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    weights: Tensor
    degree: int
    chunk: int


def attend_by_polynomial(problem: Problem, fit: Fit) -> Tensor:
    """Attend to every tuple of keys, weighted by the polynomial instead of exp."""
    query, keys, values, scale, is_causal, chunk_size = problem
    query, keys = _balance(query * scale, keys)
    values = [torch.cat([value, torch.ones_like(value[..., :1])], dim=-1) for value in values]
    table = monomial_weights(query.shape[-1], fit.coefficients)
    weights = torch.from_numpy(table).to(query)[:, None]
    heads, length, out = query.shape[0], query.shape[1], values[0].shape[-1]
    row = heads * len(weights) * (out if is_causal else 1)
    # A causal block holds running sums of every monomial; others are one product, and want rows.
    most = min(CAUSAL_ROWS, ENTRIES // row) if is_causal else max(FEWEST_ROWS, ENTRIES // row)
    chunk = chunk_size or max(1, most)
    attend = _attend_causally if is_causal else _attend_to_all
    sums = attend(_Sums(query, keys, values, weights, fit.degree, chunk))
    lengths = (length, *(key.shape[1] for key in keys))
    note("flops", count_poly(heads, lengths, len(weights), out - 1, is_causal))
    return sums[..., :-1] / sums[..., -1:]


def _balance(query: Tensor, keys: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Divide each coordinate of the keys by its largest entry and give the factor to the query.

    Scores stay as they are, no monomial of a key is above 1, and none of a query above the
    score's: nothing overflows, however uneven queries and keys are.
    """
    balanced = []
    for key in keys:
        largest = key.detach().abs().amax(dim=1, keepdim=True)
        largest = torch.where(largest > 0, largest, torch.ones_like(largest))
        balanced.append(key / largest)
        query = query * largest
    return query, balanced


def _recompute(function: Callable[..., Any], *tensors: Tensor) -> Any:
    """Call; where gradients are wanted, keep no monomials but make them again."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return checkpoint(function, *tensors, use_reentrant=False, preserve_rng_state=False)
    return function(*tensors)


def _gather(degree: int, key: Tensor, value: Tensor) -> Tensor:
    return stack_monomials(key.mT, degree) @ value


def _answer(degree: int, query: Tensor, state: Tensor) -> Tensor:
    return stack_monomials(query.mT, degree).mT @ state


def _attend_to_all(sums: _Sums) -> Tensor:
    query, keys, values, state, degree, chunk = sums
    for key, value in zip(keys, values, strict=True):
        blocks = zip(torch.split(key, chunk, 1), torch.split(value, chunk, 1), strict=True)
        total: Any = 0
        for block in blocks:
            total = total + _recompute(partial(_gather, degree), *block)
        state = state * total
    answer = partial(_answer, degree)
    return torch.cat(
        [_recompute(answer, block, state) for block in torch.split(query, chunk, 1)], dim=1
    )


def _attend_causally(problem: _Sums) -> Tensor:
    query, keys, values, weights, degree, chunk = problem
    heads, out = query.shape[0], values[0].shape[-1]
    states = [query.new_zeros(heads, len(weights), out) for _ in keys]
    blocks = zip(
        *(torch.split(tensor, chunk, 1) for tensor in (query, *keys, *values)), strict=True
    )
    sums = []
    for block in blocks:
        part, *states = _recompute(partial(_step, degree, len(keys)), weights, *states, *block)
        sums.append(part)
    return torch.cat(sums, dim=1)


def _step(degree: int, sets: int, weights: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Sums up to each row of a block, their product, and what goes on to the next block."""
    states, (query, *rest) = tensors[:sets], tensors[sets:]
    product = query.new_ones(())
    carried = []
    for state, key, value in zip(states, rest[:sets], rest[sets:], strict=True):
        monomials = stack_monomials(key.mT, degree).mT
        running = (monomials[..., None] * value[:, :, None]).cumsum(1) + state[:, None]
        carried.append(running[:, -1])
        product = product * running
    asked = stack_monomials(query.mT, degree).mT * weights[:, 0]
    return (asked[:, :, None] @ product).squeeze(2), *carried
