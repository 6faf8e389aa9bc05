"""The fast CPU path: compiled loops over query blocks, spread over threads.

The loops release the interpreter's lock, so plain threads share the work. Arrays are indexed
rather than sliced in the inner loops, since a slice counts references, and threads that count on
one array wait for each other.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tractable.attention.hip._compiled_sparse import attend_blocks
from tractable.attention.hip._compiled_tree import choose_in_blocks
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._settings import HipSettings, Regions

__all__ = ["attend_sparse", "choose_blocks"]

SMALL = 2**23
"""Products below which one thread is faster than several."""
RULES = {"center": 0, "first": 1, "last": 2, "random": 3}


def choose_blocks(
    settings: HipSettings, query: Tensor, key: Tensor, regions: Regions, seed: int
) -> tuple[Tensor, Tensor, int]:
    """Run the tree for all query blocks; as `_tree.choose_blocks`."""
    batch, heads = query.shape[:2]
    blocks, chunks = regions.blocks.shape[1], settings.chunks
    total = batch * heads * blocks
    indices = np.full((total, chunks), -1, dtype=np.int32)
    counts, reads = np.zeros(total, dtype=np.int32), np.zeros(total, dtype=np.int64)
    arguments = (
        _to_numpy(query),
        _to_numpy(key),
        _to_numpy(regions.first_key),
        _to_numpy(regions.first_query),
        _to_numpy(regions.local_start),
        _to_numpy(regions.blocks),
        chunks,
        settings.block_q,
        settings.block_k,
        settings.stride_q,
        settings.stride_k,
        settings.num_sink,
        RULES[settings.representative],
        seed,
        indices,
        counts,
        reads,
    )
    sampled = -(-min(settings.block_q, query.shape[2]) // settings.stride_q)
    _share_out(
        choose_in_blocks, arguments, total, total * settings.budget * 16 * sampled * query.shape[3]
    )
    shape = (batch, heads, blocks)
    chosen = torch.from_numpy(indices).view(*shape, chunks)
    return chosen, torch.from_numpy(counts).view(shape), int(reads.sum())


def attend_sparse(
    query: Tensor, key: Tensor, value: Tensor, mask: HipMask, scale: float
) -> tuple[Tensor, Tensor]:
    """Attend over a mask's keys; as `_sparse.attend_sparse`, without gradients."""
    batch, heads, length, _ = query.shape
    blocks = mask.indices.shape[2]
    out = np.zeros((batch, heads, length, value.shape[3]), dtype=np.float32)
    lse = np.full((batch, heads, length), -np.inf, dtype=np.float32)
    arguments = (
        _to_numpy(query),
        _to_numpy(key),
        _to_numpy(value),
        _to_numpy(mask.indices),
        _to_numpy(mask.counts),
        _to_numpy(mask.first_key),
        _to_numpy(mask.local_start),
        mask.block_q,
        mask.block_k,
        mask.num_sink,
        mask.is_causal,
        np.float32(scale),
        out,
        lse,
    )
    width = mask.indices.shape[3] * mask.block_k + mask.window + mask.num_sink
    work = batch * heads * length * width * (query.shape[3] + value.shape[3])
    _share_out(attend_blocks, arguments, batch * heads * blocks, work)
    return torch.from_numpy(out), torch.from_numpy(lse)


def _to_numpy(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def _share_out(function: Any, arguments: tuple[Any, ...], total: int, work: int) -> None:
    """Call `function(*arguments, start, stop)` over [0, total), in torch's number of threads."""
    workers = min(torch.get_num_threads(), total)
    if workers <= 1 or work < SMALL:
        function(*arguments, 0, total)
        return
    pieces = min(total, workers * 16)
    edges = [total * piece // pieces for piece in range(pieces + 1)]
    with ThreadPoolExecutor(workers) as pool:
        # Later blocks take longer: they are handed out first.
        spans = list(pairwise(edges))[::-1]
        for done in [pool.submit(function, *arguments, *span) for span in spans]:
            done.result()
