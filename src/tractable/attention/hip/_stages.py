"""The multi-stage successor of the tree: prune chunks of keys, smaller ones each time."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tractable._core import RangeError, note
from tractable._core.checks import check_integer
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._passes import attend, listens
from tractable.attention.hip._settings import (
    Backend,
    HipSettings,
    Regions,
    check_attention,
    check_first_key,
    find_regions,
)
from tractable.attention.hip._tree import CPU_ELEMENTS, LOWEST, find_rows

__all__ = ["STAGES", "Stage", "hip_pruned_attention"]


class Stage(NamedTuple):
    """One round of pruning.

    Args:
        stride_q: every so many queries of a block are asked, its last one among them.
        chunk: keys of a chunk, a power of two.
        keep: keys that are kept, a multiple of `chunk`.
    """

    stride_q: int
    chunk: int
    keep: int


STAGES = (Stage(4, 256, 32768), Stage(4, 32, 8192), Stage(1, 8, 2048))
"""The successor's default: 32,768, then 8,192, then 2,048 keys."""


def hip_pruned_attention(
    query: Float[Tensor, "B H L D"],
    key: Float[Tensor, "B G T D"],
    value: Float[Tensor, "B G T E"],
    *,
    stages: Sequence[Stage] = STAGES,
    block_q: int = 64,
    num_sink: int = 256,
    window: int = 1024,
    scale: float | None = None,
    enable_gqa: bool = False,
    first_key: Int[Tensor, "B"] | None = None,
    backend: Backend = "auto",
    return_mask: bool = False,
) -> Float[Tensor, "B H L E"] | tuple[Float[Tensor, "B H L E"], HipMask]:
    """Attend causally to the keys that rounds of pruning leave, the first ones and the near ones.

    Each round cuts what is left into smaller chunks. A chunk is scored by one key, to which a
    descent by halves leads (the better of both halves' first keys), and by the largest product
    with the sampled queries of all heads that share the key head; the best chunks stay. The first
    round scores a key of every chunk, so the cost grows with L T / chunk: not as T log T.

    Source: Heejun Lee, Geon Park, Jaduk Suh and Sung Ju Hwang, "InfiniteHiP", 2025,
    https://arxiv.org/abs/2502.08910; without its extension of positions, offloading and rounds
    that are refreshed less often than others.

    Notes `key reads` as `hip_attention` does.

    Args:
        query, key, value, scale, enable_gqa, first_key, backend, return_mask: as in
            `hip_attention`.
        stages: the rounds; each chunk a divisor of the one before, keys kept not growing.
        block_q: consecutive queries that share one set of keys.
        num_sink: first keys, which all queries read.
        window: keys before a block of queries, which all of them read.

    Returns:
        (B, H, L, e), or a pair of it and the mask.

    Raises:
        ShapeError, DTypeError: as `hip_attention`.
        RangeError: for stages that do not fit together.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 2, 2048, 32, generator=torch.Generator().manual_seed(0))
        >>> stages = [Stage(4, 32, 256), Stage(1, 8, 64)]
        >>> hip_pruned_attention(x, x, x, stages=stages, num_sink=8, window=64).shape
        torch.Size([1, 2, 2048, 32])
    """
    _check_stages(stages)
    last = stages[-1]
    settings = HipSettings(
        budget=last.keep,
        block_q=block_q,
        block_k=last.chunk,
        num_sink=num_sink,
        window=window,
        dense_queries=0,
    )
    scale = check_attention(query, key, value, scale=scale, enable_gqa=enable_gqa, is_causal=True)
    length, total = query.shape[2], key.shape[2]
    begin = check_first_key(first_key, query.shape[0], total, query.device)
    regions = find_regions(settings, length, total, begin, True)
    indices, reads = _prune(settings, stages, query.detach(), key.detach(), regions)
    if listens():
        note("key reads", reads)
    group = query.shape[1] // key.shape[1]
    indices = indices.repeat_interleave(group, 1).to(torch.int32)
    mask = HipMask(
        indices=indices,
        counts=(indices >= 0).sum(-1, dtype=torch.int32),
        local_start=regions.local_start,
        first_key=begin,
        query_length=length,
        key_length=total,
        block_q=block_q,
        block_k=last.chunk,
        num_sink=num_sink,
        window=window,
    )
    out, _ = attend(query, key, value, mask, scale=scale, backend=backend)
    return (out, mask) if return_mask else out


def _check_stages(stages: Sequence[Stage]) -> None:
    if not stages:
        raise RangeError("stages is empty; wanted one or more")
    for stage in stages:
        for name, number in stage._asdict().items():
            check_integer(name, number, low=1)
        if stage.chunk & (stage.chunk - 1) or stage.keep % stage.chunk:
            raise RangeError(
                f"{stage} has chunks of {stage.chunk} keys and keeps {stage.keep}; wanted a power "
                "of two, and a multiple of it"
            )
    for one, other in pairwise(stages):
        if one.chunk % other.chunk or one.keep < other.keep:
            raise RangeError(
                f"{other} follows {one}; wanted chunks that divide the ones before, and no more "
                "keys than before"
            )


def _prune(
    settings: HipSettings, stages: Sequence[Stage], query: Tensor, key: Tensor, regions: Regions
) -> tuple[Int[Tensor, "B G N C"], int]:
    """Ids of the kept chunks, ascending and padded with -1, and how many keys were scored."""
    batch, groups = key.shape[:2]
    blocks = regions.blocks.shape[1]
    rows = torch.arange(batch * groups * blocks, device=key.device)
    first = -(-int(regions.blocks.max()) * settings.block_k // stages[0].chunk)
    most = max(first, *(one.keep // other.chunk for one, other in pairwise(stages)), 1)
    limit = CPU_ELEMENTS if key.device.type == "cpu" else 16 * CPU_ELEMENTS
    at_once = max(1, limit // (most * key.shape[3]))
    pieces, reads = [], 0
    for which in torch.split(rows, at_once):
        kept, read = _prune_rows(settings, stages, query, key, regions, which)
        pieces.append(torch.nn.functional.pad(kept, (0, settings.chunks - kept.shape[1]), value=-1))
        reads += read
    return torch.cat(pieces).view(batch, groups, blocks, -1), reads


def _prune_rows(  # noqa: PLR0917 - the tensors and where to look
    settings: HipSettings,
    stages: Sequence[Stage],
    query: Tensor,
    key: Tensor,
    regions: Regions,
    which: Int[Tensor, "R"],
) -> tuple[Int[Tensor, "R C"], int]:
    """Run all rounds for some query blocks of key heads."""
    blocks, groups, heads = regions.blocks.shape[1], key.shape[1], query.shape[1]
    group = heads // groups
    block, owner, batch = which % blocks, which // blocks % groups, which // (blocks * groups)
    begin = regions.first_key[batch] + settings.num_sink
    room = (regions.local_start[batch, block] - begin).clamp(min=0)
    chunks = -(-int(room.max()) // stages[0].chunk)
    start = torch.arange(chunks, device=key.device) * stages[0].chunk
    start = start.expand(len(which), -1)
    reads, size = 0, stages[0].chunk
    for stage in stages:
        parts = torch.arange(0, size, stage.chunk, device=key.device)
        # Chunks that begin at the end of the room or later are none; they are chosen last.
        start, size = (start[..., None] + parts).flatten(1), stage.chunk
        of_head = [(batch * heads + owner * group + i) * blocks + block for i in range(group)]
        asked = replace(settings, stride_q=stage.stride_q)
        found = [find_rows(asked, query, key, regions, rows) for rows in of_head]
        queries = torch.cat([rows.query for rows in found], 1)
        score, read = _score(queries, key, (batch, owner, begin), start, room, size)
        reads += read
        best = score.argsort(dim=1, descending=True, stable=True)[:, : stage.keep // size]
        start = start.gather(1, best.sort(dim=1)[0])
    return torch.where(start < room[:, None], start // size, -1), reads


def _score(  # noqa: PLR0917 - the tensors and where to look
    queries: Tensor,
    key: Tensor,
    where: tuple[Int[Tensor, "R"], Int[Tensor, "R"], Int[Tensor, "R"]],
    start: Int[Tensor, "R M"],
    room: Int[Tensor, "R"],
    size: int,
) -> tuple[Tensor, int]:
    """Score chunks of `size` keys by the key that a descent by halves ends at.

    `where` has the batch row, key head and first candidate of each row.
    """
    reads = 0
    batch, owner, begin = (part[:, None] for part in where)

    def product(place: Tensor) -> Tensor:
        nonlocal reads
        real = place < room[:, None]
        reads += int(real.sum())
        found = key[batch, owner, torch.where(real, begin + place, 0)]
        wide = torch.promote_types(key.dtype, torch.float32)
        products = torch.einsum("rsd,rmd->rsm", queries.to(wide), found.to(wide))
        products = products.nan_to_num(nan=LOWEST).clamp(min=LOWEST).amax(1)
        return products.masked_fill(~real, -torch.inf)

    place, score = start, product(start)
    while size > 1:
        size //= 2
        other = product(place + size)
        is_better = other > score
        place, score = torch.where(is_better, place + size, place), torch.maximum(score, other)
    return score, reads
