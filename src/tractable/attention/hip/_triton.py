"""The sparse pass on the GPU: Triton kernels behind custom operators of torch, with gradients.

The operators have fakes, so `torch.compile` keeps them in one graph, and nothing here reads a
number back from the device, so the pass can be captured in a CUDA graph.
"""

from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch's CUDA wheels
from jaxtyping import Int
from torch import Tensor

from tractable.attention._kernels import hip_attend
from tractable.attention.hip._gradient import differentiate
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._triton_tree import PageTable, with_rows

__all__ = ["attend_sparse"]

LOG2_E = 1.4426950408889634
SPLITS = 4096
"""Programs that decoding aims at, of one warp each: some thirty for each multiprocessor."""
SPLIT_KEYS = 32
"""Keys that one program of decoding holds at once."""
SPLIT_WARPS, SPLIT_STAGES = 1, 3


class Tiles(NamedTuple):
    """How the prefill kernel is cut: queries and keys of a tile, warps, depth of its pipeline."""

    rows: int
    keys: int
    warps: int
    stages: int


def attend_sparse(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: HipMask,
    scale: float,
    *,
    pages: Int[Tensor, "B M"] | None = None,
) -> tuple[Tensor, Tensor]:
    """Attend over a mask's keys; as `_sparse.attend_sparse`, or on keys in pages."""
    out, lse = _attend(
        with_rows(query),
        with_rows(key),
        with_rows(value),
        pages,
        mask.indices,
        mask.counts,
        mask.local_start,
        mask.first_key,
        mask.block_q,
        mask.block_k,
        mask.num_sink,
        mask.is_causal,
        scale,
    )
    return out, lse


@torch.library.custom_op("tractable::hip_attend", mutates_args=())
def _attend(  # noqa: PLR0917 - an operator's arguments are plain
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pages: Tensor | None,
    indices: Tensor,
    counts: Tensor,
    local_start: Tensor,
    first_key: Tensor,
    block_q: int,
    block_k: int,
    num_sink: int,
    is_causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    indices, counts = indices.contiguous(), counts.contiguous()
    local_start, first_key = local_start.contiguous(), first_key.contiguous()
    chosen = (indices, counts, local_start, first_key)
    table = PageTable(key, pages)
    out, lse = _make_output(query, value)
    if query.shape[2] == 1:
        _attend_one(query, key, value, table, chosen, out, lse, block_k, num_sink, scale * LOG2_E)
        return out, lse
    tiles = _find_tiles(query, value, block_q)
    batch, heads, length, width = query.shape
    blocks, chunks = indices.shape[2:]
    grid = (batch * heads * blocks, triton.cdiv(min(block_q, length), tiles.rows))
    hip_attend.attend_blocks[grid](
        query,
        key,
        value,
        out,
        lse,
        *chosen,
        *query.stride()[:3],
        *key.stride()[:3],
        *value.stride()[:3],
        table.pages,
        table.pages.stride(0),
        heads,
        heads // key.shape[1],
        blocks,
        chunks,
        length,
        table.total,
        num_sink,
        block_q,
        scale * LOG2_E,
        BLOCK_K=block_k,
        IS_CAUSAL=is_causal,
        ROWS=tiles.rows,
        KEYS=tiles.keys,
        WIDTH=width,
        VALUE_WIDTH=value.shape[3],
        PAGE=table.page,
        PRECISION="ieee",
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )
    return out, lse


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    return _make_output(query, value)


def _make_output(query: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    shape = query.shape[:3]
    out = query.new_empty((*shape, value.shape[3]))
    return out, query.new_empty(shape, dtype=torch.float32)


def _find_tiles(query: Tensor, value: Tensor, block_q: int) -> Tiles:
    """Tiles that fit the shared memory and suit the tensor cores."""
    rows = min(128, max(16, triton.next_power_of_2(min(block_q, query.shape[2]))))
    if query.dtype == torch.float32:
        return Tiles(min(rows, 64), 32, 4, 2)
    return Tiles(rows, 32 if rows == 128 else 64, 4, 3)


def _attend_one(  # noqa: PLR0917 - an operator's arguments are plain
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: PageTable,
    chosen: tuple[Tensor, ...],
    out: Tensor,
    lse: Tensor,
    block_k: int,
    num_sink: int,
    scale: float,
) -> None:
    """Decode: share each query's keys out over programs and merge."""
    batch, heads, _, width = query.shape
    places, chunks = batch * heads, chosen[0].shape[3]
    # Enough programs to fill the device, each with a tile of keys or more where all are kept.
    most = triton.cdiv(chunks * block_k + num_sink + SPLIT_KEYS, SPLIT_KEYS)
    splits = min(triton.cdiv(SPLITS, places), max(most, 16), 256)
    parts = query.new_empty((places, splits, value.shape[3]), dtype=torch.float32)
    logs = query.new_empty((places, splits), dtype=torch.float32)
    hip_attend.attend_split[(places, splits)](
        query,
        key,
        value,
        parts,
        logs,
        *chosen,
        *query.stride()[:2],
        *key.stride()[:3],
        *value.stride()[:3],
        table.pages,
        table.pages.stride(0),
        heads,
        heads // key.shape[1],
        chunks,
        table.total,
        num_sink,
        scale,
        splits,
        BLOCK_K=block_k,
        KEYS=SPLIT_KEYS,
        WIDTH=width,
        VALUE_WIDTH=value.shape[3],
        PAGE=table.page,
        num_warps=SPLIT_WARPS,
        num_stages=SPLIT_STAGES,
    )
    hip_attend.merge_splits[(places,)](
        parts,
        logs,
        out,
        lse,
        splits,
        SPLITS=triton.next_power_of_2(splits),
        VALUE_WIDTH=value.shape[3],
        num_warps=4,
    )


@torch.library.custom_op("tractable::hip_attend_backward", mutates_args=())
def _attend_backward(  # noqa: PLR0917 - an operator's arguments are plain
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    grad_out: Tensor,
    grad_lse: Tensor,
    indices: Tensor,
    counts: Tensor,
    local_start: Tensor,
    first_key: Tensor,
    block_q: int,
    block_k: int,
    num_sink: int,
    is_causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    mask = HipMask(
        indices=indices,
        counts=counts,
        local_start=local_start,
        first_key=first_key,
        query_length=query.shape[2],
        key_length=key.shape[2],
        block_q=block_q,
        block_k=block_k,
        num_sink=num_sink,
        window=0,
        is_causal=is_causal,
    )
    # The softmax's own gradient: what each weight gains over the mean gain of its query.
    gained = (grad_out.float() * out.float()).sum(-1) - grad_lse.float()
    return differentiate(query, key, value, mask, scale, lse, grad_out, gained)


@_attend_backward.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(x.new_empty(x.shape) for x in (query, key, value))  # type: ignore[return-value]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:3], *output, *inputs[4:8])
    ctx.options = inputs[8:]


def _differentiate(ctx: Any, grad_out: Tensor, grad_lse: Tensor) -> tuple[Tensor | None, ...]:
    query, key, value, out, lse, *chosen = ctx.saved_tensors
    grads = torch.ops.tractable.hip_attend_backward(
        query, key, value, out, lse, grad_out, grad_lse, *chosen, *ctx.options
    )
    return (*grads, *[None] * 10)


_attend.register_autograd(_differentiate, setup_context=_remember)
