"""The tree on the GPU: Triton kernels behind a custom operator of torch, on pages or without.

The operator has a fake, so `torch.compile` keeps it in one graph, and nothing here reads a number
back from the device, so it can be captured in a CUDA graph (counting key reads is the exception).
"""

from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch's CUDA wheels
from jaxtyping import Int
from torch import Tensor

from tractable.attention._kernels import hip_tree
from tractable.attention.hip._passes import listens
from tractable.attention.hip._settings import HipSettings, Regions

__all__ = ["PageTable", "choose_blocks", "with_rows"]

RULES = {"center": 0, "first": 1, "last": 2, "random": 3}
ENTRIES = 2**27
"""Chunks of the tree held at once, over all query blocks: 28 bytes each."""
FEW = 512
"""Query blocks that leave the device idle, as in decoding."""
PROGRAMS = 8192
"""Programs that the tree aims at where query blocks are few."""
PARTS = 128
"""Programs that share the selection where query blocks are few: one for each multiprocessor."""


class TreeTiles(NamedTuple):
    """How the tree's kernel is cut: halves of a tile, warps, depth of its pipeline."""

    halves: int
    warps: int
    stages: int


TREE = TreeTiles(64, 2, 2)


class PageTable:
    """How many positions there are, and the pages that they are in, if in pages."""

    def __init__(self, key: Tensor, pages: Tensor | None) -> None:
        """Without pages the kernels are handed the keys, which they do not look at as a table."""
        self.page = 0 if pages is None else key.shape[2]
        self.total = key.shape[2] if pages is None else pages.shape[1] * self.page
        self.pages = key if pages is None else pages.contiguous()


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
    counting = listens()
    indices, counts, reads = _choose(
        with_rows(query),
        with_rows(key),
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


def with_rows(tensor: Tensor) -> Tensor:
    """Copy a tensor whose rows are not contiguous; any other strides are served."""
    return tensor if tensor.stride(3) == 1 else tensor.contiguous()


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
    table = PageTable(key, pages)
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
