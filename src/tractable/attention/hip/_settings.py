"""The numbers that shape a mask, checked in one place, and the regions of keys they define."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer, check_number

__all__ = [
    "Backend",
    "HipSettings",
    "Regions",
    "Representative",
    "check_attention",
    "check_first_key",
    "find_regions",
    "is_all_dense",
]

Representative = Literal["center", "first", "last", "random"]
Backend = Literal["auto", "torch", "numba", "triton"]

DENSE_UNTIL = 10
"""Budgets of positions for which the tree costs as much as it saves: p = 3 (log2(p / 2k) + 1) k."""

DENSE_UNTIL_ON_GPU = 16
"""Budgets of keys up to which a GPU is faster when it attends to all: launches cost there."""


@dataclass(frozen=True, kw_only=True)
class HipSettings:
    """How a mask is made; the arguments are those of `hip_attention`."""

    budget: int = 512
    block_q: int = 32
    block_k: int = 2
    stride_q: int = 2
    stride_k: int = 1
    num_sink: int = 16
    window: int = 128
    representative: Representative = "center"
    dense_queries: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers that describe no mask."""
        for name in ("budget", "block_q", "block_k", "stride_q", "stride_k"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("num_sink", "window"):
            check_integer(name, getattr(self, name), low=0)
        if self.budget < self.block_k or self.budget % self.block_k:
            raise RangeError(
                f"budget is {self.budget} and block_k {self.block_k}; wanted the budget to be a "
                f"multiple of block_k, such as {max(1, self.budget // self.block_k) * self.block_k}"
            )
        if self.representative not in get_args(Representative):
            raise RangeError(
                f"representative is {self.representative!r}; wanted one of "
                f"{', '.join(get_args(Representative))}"
            )
        if self.dense_queries != "auto":
            check_integer("dense_queries", self.dense_queries, low=0)

    @property
    def chunks(self) -> int:
        """How many chunks of keys the tree tracks, and so how many blocks it keeps."""
        return self.budget // self.block_k

    @property
    def dense_positions(self) -> int:
        """How many leading positions attend to everything."""
        if self.dense_queries == "auto":
            return DENSE_UNTIL * self.budget
        return int(self.dense_queries)


@dataclass(frozen=True)
class Regions:
    """Where each block of queries may look.

    Args:
        first_key: position of each row's first real key.
        first_query: index of each row's first query that is no padding.
        local_start: where the keys begin that all queries of a block read.
        blocks: how many key blocks lie between the sink and `local_start`.
    """

    first_key: Int[Tensor, "B"]
    first_query: Int[Tensor, "B"]
    local_start: Int[Tensor, "B N"]
    blocks: Int[Tensor, "B N"]


def find_regions(
    settings: HipSettings,
    query_length: int,
    key_length: int,
    first_key: Int[Tensor, "B"],
    is_causal: bool,
    *,
    dense: bool = False,
) -> Regions:
    """Cut each query block's keys into sink, candidates and local keys; all local if `dense`."""
    device = first_key.device
    count = -(-query_length // settings.block_q)
    rows = torch.arange(count, device=device) * settings.block_q
    positions = (key_length - query_length + rows)[None, :]
    first = first_key[:, None].to(torch.int64)
    sink_end = first + settings.num_sink
    if is_causal:
        local_start = torch.maximum(sink_end, positions + 1 - settings.window)
    else:
        local_start = torch.full_like(sink_end, key_length).expand(-1, count)
    if dense:
        local_start = first.expand(-1, count)
    if is_causal:
        early = positions < first + settings.dense_positions
        local_start = torch.where(early, first, local_start)
        first_query = (first_key - (key_length - query_length)).clamp(min=0)
    else:
        first_query = torch.zeros_like(first_key)
    blocks = (local_start - sink_end).clamp(min=0).add(settings.block_k - 1) // settings.block_k
    return Regions(first_key, first_query, local_start, blocks)


def is_all_dense(
    settings: HipSettings, key_length: int, is_causal: bool, device: torch.device
) -> bool:
    """Whether every query attends to everything, as far as the lengths alone can tell."""
    dense = settings.dense_positions
    if settings.dense_queries == "auto" and device.type == "cuda":
        dense = DENSE_UNTIL_ON_GPU * settings.budget
    short = key_length <= settings.budget + settings.window + settings.num_sink
    return short or (is_causal and key_length <= dense)


def check_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float | None,
    enable_gqa: bool,
    is_causal: bool,
    check_finite: bool = False,
) -> float:
    """Refuse tensors that do not fit together; return the scale."""
    named = {"query": query, "key": key, "value": value}
    for name, tensor in named.items():
        if tensor.ndim != 4:
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; wanted (B, H, length, d)")
        if 0 in tensor.shape:
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; wanted no empty axis")
        if not tensor.is_floating_point():
            raise DTypeError(f"{name} has dtype {tensor.dtype}; wanted a floating-point tensor")
        if tensor.dtype != query.dtype or tensor.device != query.device:
            raise DTypeError(
                f"{name} is {tensor.dtype} on {tensor.device} and query {query.dtype} on "
                f"{query.device}; wanted one dtype and device"
            )
        if check_finite and not torch.isfinite(tensor).all():
            raise DataError(f"{name} has NaN or infinite entries; clean or mask them first")
    if key.shape[:3] != value.shape[:3]:
        raise ShapeError(
            f"key has shape {tuple(key.shape)} and value {tuple(value.shape)}; wanted equal "
            "batch, heads and length"
        )
    if key.shape[0] != query.shape[0] or key.shape[3] != query.shape[3]:
        raise ShapeError(
            f"query has shape {tuple(query.shape)} and key {tuple(key.shape)}; wanted equal batch "
            "and width"
        )
    _check_heads(query.shape[1], key.shape[1], enable_gqa)
    if is_causal and query.shape[2] > key.shape[2]:
        raise ShapeError(
            f"query has {query.shape[2]} positions and key {key.shape[2]}; with is_causal the "
            "queries are the last positions of the keys, so wanted no more queries than keys"
        )
    if scale is None:
        return 1.0 / math.sqrt(query.shape[3])
    return check_number("scale", scale, low=0.0)


def check_first_key(
    first_key: Tensor | None, batch: int, key_length: int, device: torch.device
) -> Int[Tensor, "B"]:
    """Return the first real key of each row as integers, zero without padding."""
    if first_key is None:
        return torch.zeros(batch, dtype=torch.int64, device=device)
    if first_key.shape != (batch,) or first_key.is_floating_point():
        raise ShapeError(
            f"first_key has shape {tuple(first_key.shape)} and dtype {first_key.dtype}; wanted "
            f"({batch},) integers, one a row of the batch"
        )
    first_key = first_key.to(device=device, dtype=torch.int64)
    outside = (first_key < 0) | (first_key >= key_length)
    if bool(outside.any()):
        raise RangeError(
            f"first_key is {first_key.tolist()}; wanted 0 to {key_length - 1}, the position of "
            "each row's first real key"
        )
    return first_key


def _check_heads(heads: int, key_heads: int, enable_gqa: bool) -> None:
    if heads == key_heads:
        return
    if not enable_gqa:
        raise ShapeError(
            f"query has {heads} heads and key {key_heads}; wanted as many, or enable_gqa=True"
        )
    if heads % key_heads:
        raise ShapeError(
            f"query has {heads} heads and key {key_heads}; wanted a multiple of the key's heads"
        )
