"""The GPU path: the tree and the sparse pass as Triton kernels behind custom operators of torch.

The operators have fakes, so `torch.compile` keeps them in one graph, and nothing here reads a
number back from the device, so both passes can be captured in a CUDA graph (counting key reads
is the exception).
"""

from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch's CUDA wheels
from jaxtyping import Int
from torch import Tensor

from tractable._core.counting import listening
from tractable.attention._kernels import hip_attend, hip_tree
from tractable.attention.hip._gradient import differentiate
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._settings import HipSettings, Regions

__all__ = ["attend_sparse", "choose_blocks"]

RULES = {"center": 0, "first": 1, "last": 2, "random": 3}
ENTRIES = 2**27
"""Chunks of the tree held at once, over all query blocks: 28 bytes each."""
LOG2_E = 1.4426950408889634
SPLITS = 4096
"""Programs that decoding aims at, of one warp each: some thirty for each multiprocessor."""
SPLIT_KEYS = 32
"""Keys that one program of decoding holds at once."""
SPLIT_WARPS, SPLIT_STAGES = 1, 3
FEW = 512
"""Query blocks that leave the device idle, as in decoding."""
PROGRAMS = 8192
"""Programs that the tree aims at where query blocks are few."""
PARTS = 128
"""Programs that share the selection where query blocks are few: one for each multiprocessor."""


class Tiles(NamedTuple):
    """How the prefill kernel is cut: queries and keys of a tile, warps, depth of its pipeline."""

    rows: int
    keys: int
    warps: int
    stages: int


class TreeTiles(NamedTuple):
    """How the tree's kernel is cut: halves of a tile, warps, depth of its pipeline."""

    halves: int
    warps: int
    stages: int


TREE = TreeTiles(64, 2, 2)


def choose_blocks(
    settings: HipSettings,
    query: Tensor,
    key: Tensor,
    regions: Regions,
    seed: int,
    *,
    pages: Int[Tensor, "B M"] | None = None,
) -> tuple[Int[Tensor, "B H N C"], Int[Tensor, "B H N"], int]:
    """Run the tree for all query blocks; as `_tree.choose_blocks`, or on keys in pages.

    Keys scored are counted only when somebody listens: reading the count waits for the device.
    """
    counting = not torch.compiler.is_compiling() and listening()
    indices, counts, reads = _choose(
        _with_rows(query),
        _with_rows(key),
        pages,
        regions.first_key,
        regions.first_query,
        regions.local_start,
        regions.blocks,
        settings.chunks,
        settings.block_q,
        settings.block_k,
        settings.stride_q,
        settings.stride_k,
        settings.num_sink,
        RULES[settings.representative],
        seed,
        counting,
    )
    return indices, counts, int(reads.sum()) if counting else 0


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
        _with_rows(query),
        _with_rows(key),
        _with_rows(value),
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


def _with_rows(tensor: Tensor) -> Tensor:
    """Copy a tensor whose rows are not contiguous; any other strides are served."""
    return tensor if tensor.stride(3) == 1 else tensor.contiguous()


class _Table:
    """How many positions there are, and the pages that they are in, if in pages."""

    def __init__(self, key: Tensor, pages: Tensor | None) -> None:
        """Without pages the kernels are handed the keys, which they do not look at as a table."""
        self.page = 0 if pages is None else key.shape[2]
        self.total = key.shape[2] if pages is None else pages.shape[1] * self.page
        self.pages = key if pages is None else pages


@torch.library.custom_op("tractable::hip_choose", mutates_args=())
def _choose(  # noqa: PLR0917 - an operator's arguments are plain
    query: Tensor,
    key: Tensor,
    pages: Tensor | None,
    first_key: Tensor,
    first_query: Tensor,
    local_start: Tensor,
    totals: Tensor,
    chunks: int,
    block_q: int,
    block_k: int,
    stride_q: int,
    stride_k: int,
    num_sink: int,
    rule: int,
    seed: int,
    counting: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, heads, length, width = query.shape
    blocks = totals.shape[1]
    rows = batch * heads * blocks
    indices, counts, reads = _make_choice(query, totals, chunks)
    reads.zero_()
    at_once = min(rows, max(1, ENTRIES // chunks))
    spare = torch.empty(3, at_once, chunks, dtype=torch.int32, device=query.device)
    held = torch.empty(2, at_once, chunks, dtype=torch.float32, device=query.device)
    scores = torch.empty(at_once, 2 * chunks, dtype=torch.float32, device=query.device)
    flat, flat_counts = indices.view(rows, chunks), counts.view(rows)
    halves = min(TREE.halves, triton.next_power_of_2(max(2 * chunks, 16)))
    tiles = triton.cdiv(2 * chunks, halves)
    share = triton.cdiv(tiles, min(tiles, triton.cdiv(PROGRAMS, rows)))
    samples = max(16, triton.next_power_of_2(-(-min(block_q, length) // stride_q)))
    every = triton.next_power_of_2(chunks)
    warps = min(8, max(1, every // 512))
    parts = min(every // 256, PARTS // rows) if rows < FEW and every > 256 else 1
    part = every // triton.next_power_of_2(max(parts, 1))
    table = _Table(key, pages)
    longest = -(-max(-(-(table.total - num_sink) // block_k), 1) // chunks)
    depths = (longest - 1).bit_length()
    active = torch.zeros(depths + 1, rows, dtype=torch.int32, device=query.device)
    totals, first_key = totals.contiguous(), first_key.contiguous()
    first_query, local_start = first_query.contiguous(), local_start.contiguous()
    for begin in range(0, rows, at_once):
        taken = min(at_once, rows - begin)
        busy = active[:, begin : begin + taken]
        # Each round writes where the next one reads; the last one writes the answer.
        sides = [(flat[begin : begin + taken], spare[0], held[0]), (spare[1], spare[2], held[1])]
        starts, ends, scored = sides[depths % 2]
        hip_tree.start_chunks[(taken,)](
            totals,
            starts,
            ends,
            flat_counts[begin : begin + taken],
            busy[0],
            begin,
            heads,
            blocks,
            chunks,
            CHUNKS=every,
            IS_WIDE=chunks > 2**14 - 1,
            num_warps=warps,
        )
        for depth in range(depths):
            starts, ends, scored = sides[(depths - depth) % 2]
            hip_tree.score_halves[(taken, triton.cdiv(tiles, share))](
                query,
                key,
                starts,
                ends,
                scored,
                busy[depth],
                scores,
                reads[begin : begin + taken],
                first_key,
                first_query,
                local_start,
                *query.stride()[:3],
                *key.stride()[:3],
                table.pages,
                table.pages.stride(0),
                heads,
                heads // key.shape[1],
                blocks,
                length,
                begin,
                chunks,
                share,
                depth,
                block_q,
                block_k,
                stride_q,
                stride_k,
                num_sink,
                seed,
                RULE=rule,
                COUNT=counting,
                HALVES=halves,
                SAMPLES=samples,
                OFFSETS=-(-block_k // stride_k),
                WIDTH=width,
                PAGE=table.page,
                PRECISION="ieee",
                num_warps=TREE.warps,
                num_stages=TREE.stages if query.dtype != torch.float32 else 2,
            )
            hip_tree.keep_best[(taken, every // part)](
                starts,
                ends,
                busy[depth],
                scores,
                *sides[(depths - depth - 1) % 2],
                busy[depth + 1],
                chunks,
                CHUNKS=every,
                PART=part,
                IS_WIDE=part > 2**14 - 1,
                num_warps=warps,
            )
    return indices, counts, reads


@_choose.register_fake
def _(query: Tensor, key: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _make_choice(query, others[4], others[5])


def _make_choice(query: Tensor, totals: Tensor, chunks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Room for the tree's answer: indices, counts and reads of each query block."""
    batch, heads = query.shape[:2]
    blocks = totals.shape[1]
    indices = query.new_empty((batch, heads, blocks, chunks), dtype=torch.int32)
    counts = query.new_empty((batch, heads, blocks), dtype=torch.int32)
    return indices, counts, query.new_empty((batch * heads * blocks,), dtype=torch.int64)


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
    table = _Table(key, pages)
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
    table: "_Table",
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
