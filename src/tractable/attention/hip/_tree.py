"""The hierarchical choice of key blocks, in torch: any device, any floating-point type."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tractable.attention.hip._settings import HipSettings, Regions

__all__ = ["CPU_ELEMENTS", "LOWEST", "MODULUS", "choose_blocks", "find_rows"]

LOWEST = -3.0e38
"""Score of a half whose products are all NaN or minus infinity: below others, above empty."""

MODULUS = 2**31 - 1
"""Of the generator that draws random representatives from a chunk's ends."""

CPU_ELEMENTS = 2**23


@dataclass(frozen=True)
class _Rows:
    """Query blocks of all heads, flat: where each one's candidate keys and heads are."""

    batch: Int[Tensor, "R"]
    key_head: Int[Tensor, "R"]
    begin: Int[Tensor, "R"]
    stop: Int[Tensor, "R"]
    query: Tensor
    """The sampled queries, (R, S, d)."""

    def take(self, which: Int[Tensor, "S"]) -> "_Rows":
        """Return some of the rows."""
        return _Rows(
            self.batch[which],
            self.key_head[which],
            self.begin[which],
            self.stop[which],
            self.query[which],
        )


def choose_blocks(
    settings: HipSettings, query: Tensor, key: Tensor, regions: Regions, seed: int
) -> tuple[Int[Tensor, "B H N C"], Int[Tensor, "B H N"], int]:
    """Run the tree for all query blocks.

    Returns:
        Ids of kept blocks (ascending, padded with -1), how many, and keys scored.
    """
    batch, heads = query.shape[:2]
    blocks, chunks, device = regions.blocks.shape[1], settings.chunks, query.device
    totals = regions.blocks[:, None, :].expand(batch, heads, blocks).reshape(-1)
    every = torch.arange(chunks, device=device)[None, :]
    keeps_all = (totals <= chunks)[:, None] & (every < totals[:, None])
    indices = torch.where(keeps_all, every, -1).to(torch.int32)
    limit = CPU_ELEMENTS if device.type == "cpu" else 16 * CPU_ELEMENTS
    at_once = max(1, limit // (2 * settings.budget * key.shape[3]))
    reads = 0
    for which in torch.split((totals > chunks).nonzero()[:, 0], at_once):
        rows = find_rows(settings, query, key, regions, which)
        chosen, read = _descend(settings, rows, key, totals[which], seed)
        indices[which] = chosen.to(torch.int32)
        reads += read
    counts = totals.clamp(max=chunks).to(torch.int32)
    shape = (batch, heads, blocks)
    return indices.view(*shape, chunks), counts.view(shape), reads


def find_rows(
    settings: HipSettings,
    query: Tensor,
    key: Tensor,
    regions: Regions,
    which: Int[Tensor, "R"],
) -> _Rows:
    """Where each query block's candidate keys are, and its sampled queries."""
    blocks, heads = regions.blocks.shape[1], query.shape[1]
    block, head, batch = which % blocks, which // blocks % heads, which // (blocks * heads)
    length = query.shape[2]
    last = ((block + 1) * settings.block_q).clamp(max=length) - 1
    steps = torch.arange(0, settings.block_q, settings.stride_q, device=which.device)
    # Counted back from the last query: the latest one always has a say. A block at the padding's
    # edge samples its last query again in the place of padding.
    sampled = last[:, None] - steps
    first = torch.maximum(block * settings.block_q, regions.first_query[batch])
    sampled = torch.where(sampled < first[:, None], last[:, None], sampled)
    return _Rows(
        batch,
        head // (heads // key.shape[1]),
        regions.first_key[batch] + settings.num_sink,
        regions.local_start[batch, block],
        query[batch[:, None], head[:, None], sampled],
    )


def _descend(
    settings: HipSettings, rows: _Rows, key: Tensor, totals: Int[Tensor, "R"], seed: int
) -> tuple[Int[Tensor, "R C"], int]:
    """Halve chunks and keep the best halves until each holds one block."""
    chunks = settings.chunks
    edges = torch.arange(chunks + 1, device=key.device)[None, :]
    edges = (2 * edges * totals[:, None] + chunks) // (2 * chunks)
    begin, end = edges[:, :-1].clone(), edges[:, 1:].clone()
    reads = 0
    while True:
        active = ((end - begin) > 1).any(1).nonzero()[:, 0]
        if active.numel() == 0:
            return begin, reads
        lower, upper = begin[active], end[active]
        middle = (lower + upper + 1) // 2
        lower, upper = (
            torch.stack((lower, middle), 2).flatten(1),
            torch.stack((middle, upper), 2).flatten(1),
        )
        scores, read = _score(settings, rows.take(active), key, begin=lower, end=upper, seed=seed)
        reads += read
        best = scores.argsort(dim=1, descending=True, stable=True)[:, :chunks].sort(dim=1)[0]
        begin[active] = lower.gather(1, best)
        end[active] = upper.gather(1, best)


def _score(
    settings: HipSettings,
    rows: _Rows,
    key: Tensor,
    *,
    begin: Int[Tensor, "R M"],
    end: Int[Tensor, "R M"],
    seed: int,
) -> tuple[Tensor, int]:
    """Score each half by its representative block: the largest product with a sampled query."""
    block = _represent(settings, begin, end, seed)
    offsets = torch.arange(0, settings.block_k, settings.stride_k, device=key.device)
    position = rows.begin[:, None, None] + block[..., None] * settings.block_k + offsets
    inside = (position < rows.stop[:, None, None]) & (begin < end)[..., None]
    position = torch.where(inside, position, 0)
    gathered = key[rows.batch[:, None, None], rows.key_head[:, None, None], position]
    wide = torch.promote_types(key.dtype, torch.float32)
    products = torch.einsum("rsd,rmkd->rsmk", rows.query.to(wide), gathered.to(wide))
    products = products.nan_to_num(nan=LOWEST).clamp(min=LOWEST).amax(1)
    return products.masked_fill(~inside, -torch.inf).amax(2), int(inside.sum())


def _represent(
    settings: HipSettings, begin: Int[Tensor, "R M"], end: Int[Tensor, "R M"], seed: int
) -> Int[Tensor, "R M"]:
    """The block that speaks for a half [begin, end); anything inside for an empty one."""
    if settings.representative == "first":
        return begin
    if settings.representative == "last":
        return torch.maximum(end - 1, begin)
    if settings.representative == "center":
        return torch.maximum((begin + end - 1) // 2, begin)
    drawn = (begin * 2654435761 + end * 40503 + seed) % MODULUS * 48271 % MODULUS
    return begin + drawn % (end - begin).clamp(min=1)
