"""The paper's algorithm as it is written, one query block after another."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from tractable.attention.hip._settings import HipSettings, find_regions
from tractable.attention.hip._tree import MODULUS

__all__ = ["choose_blocks_slowly", "reference"]


def reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    settings: HipSettings,
    *,
    scale: float | None = None,
    is_causal: bool = True,
    seed: int = 0,
) -> Tensor:
    """HiP attention in plain loops: the tree for each query block, then a masked softmax.

    Args:
        query, key, value: (B, H, L, d) and (B, H_kv, T, d), without padding.
        settings: how the mask is made.
        scale: factor of the products; d ** -0.5 by default.
        is_causal: whether a query reads no key after its own position.
        seed: of random representatives.

    Returns:
        (B, H, L, d), what `hip_attention` returns up to rounding.
    """
    batch, heads, length, width = query.shape
    total, group = key.shape[2], heads // key.shape[1]
    first_key = torch.zeros(batch, dtype=torch.int64)
    regions = find_regions(settings, length, total, first_key, is_causal)
    allowed = torch.zeros(batch, heads, length, total, dtype=torch.bool)
    for row in range(batch):
        for head in range(heads):
            for block in range(regions.blocks.shape[1]):
                rows = range(block * settings.block_q, min((block + 1) * settings.block_q, length))
                start = int(regions.local_start[row, block])
                candidates = range(settings.num_sink, start)
                kept = choose_blocks_slowly(
                    settings, query[row, head, rows], key[row, head // group], candidates, seed
                )
                allowed[row, head, rows, : min(settings.num_sink, start)] = True
                allowed[row, head, rows, start:] = True
                for chosen in kept:
                    begin = settings.num_sink + chosen * settings.block_k
                    allowed[row, head, rows, begin : min(begin + settings.block_k, start)] = True
    if is_causal:
        allowed &= torch.ones(length, total).tril(total - length).bool()
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    scores = query @ key.mT * (width**-0.5 if scale is None else scale)
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1) @ value


def choose_blocks_slowly(
    settings: HipSettings, query: Tensor, key: Tensor, candidates: range, seed: int = 0
) -> list[int]:
    """The tree for one query block: (rows, d), all keys (T, d) and the candidates' positions."""
    total = -(-len(candidates) // settings.block_k)
    chunks = settings.chunks
    if total <= chunks:
        return list(range(total))
    edges = [(2 * index * total + chunks) // (2 * chunks) for index in range(chunks + 1)]
    spans = list(pairwise(edges))
    sampled = query[range(query.shape[0] - 1, -1, -settings.stride_q)]
    while any(end - begin > 1 for begin, end in spans):
        halves = [half for span in spans for half in _halve(*span)]
        scores = []
        for begin, end in halves:
            block = _represent_slowly(settings.representative, begin, end, seed)
            inside = range(block * settings.block_k, (block + 1) * settings.block_k)
            keys = [candidates[i] for i in inside[:: settings.stride_k] if i < len(candidates)]
            scores.append(float((sampled @ key[keys].T).max()))
        ranked = sorted(range(len(halves)), key=lambda index: (-scores[index], index))
        spans = [halves[index] for index in sorted(ranked[:chunks])]
    return [begin for begin, _ in spans]


def _halve(begin: int, end: int) -> Iterable[tuple[int, int]]:
    middle = (begin + end + 1) // 2
    return [half for half in ((begin, middle), (middle, end)) if half[0] < half[1]]


def _represent_slowly(representative: str, begin: int, end: int, seed: int) -> int:
    if representative == "first":
        return begin
    if representative == "last":
        return end - 1
    if representative == "center":
        return (begin + end - 1) // 2
    drawn = (begin * 2654435761 + end * 40503 + seed) % MODULUS * 48271 % MODULUS
    return begin + drawn % (end - begin)
