"""The two passes, whichever implementation does them: make a mask, attend under it."""

from collections.abc import Callable

import torch
from torch import Tensor

from tractable._core import ShapeError, note
from tractable._core.counting import listening
from tractable.attention.hip import _sparse
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._paths import find_path
from tractable.attention.hip._settings import (
    Backend,
    HipSettings,
    check_first_key,
    find_regions,
    is_all_dense,
)

__all__ = ["attend", "attend_if_dense", "check_mask", "choose_mask", "listens", "make_mask"]


def make_mask(
    settings: HipSettings,
    query: Tensor,
    key: Tensor,
    *,
    first_key: Tensor | None,
    is_causal: bool = True,
    generator: torch.Generator | None = None,
    backend: Backend = "auto",
) -> HipMask:
    """Make the mask, an all-dense one where that is no dearer."""
    begin = check_first_key(first_key, query.shape[0], key.shape[2], query.device)
    path = find_path(backend, query, key, grad=False)
    return choose_mask(
        settings,
        query,
        key,
        path.choose_blocks,
        begin,
        is_causal=is_causal,
        generator=generator,
    )


def choose_mask(
    settings: HipSettings,
    query: Tensor,
    key: Tensor,
    choose_blocks: Callable[..., tuple[Tensor, Tensor, int]],
    begin: Tensor,
    *,
    is_causal: bool = True,
    generator: torch.Generator | None = None,
    pages: Tensor | None = None,
) -> HipMask:
    """Make the mask with one implementation of the tree, of keys in pages if those are given."""
    length, total = query.shape[2], key.shape[2] * (1 if pages is None else pages.shape[1])
    dense = is_all_dense(settings, total, is_causal, key.device)
    regions = find_regions(settings, length, total, begin, is_causal, dense=dense)
    seed = 0
    if settings.representative == "random":
        seed = int(torch.randint(2**31, (1,), generator=generator))
    paged = {} if pages is None else {"pages": pages}
    query, key = query.detach(), key.detach()
    indices, counts, reads = choose_blocks(settings, query, key, regions, seed, **paged)
    if listens():
        note("key reads", reads)
    return HipMask(
        indices=indices,
        counts=counts,
        local_start=regions.local_start,
        first_key=begin,
        query_length=length,
        key_length=total,
        block_q=settings.block_q,
        block_k=settings.block_k,
        num_sink=settings.num_sink,
        window=settings.window,
        is_causal=is_causal,
    )


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: HipMask,
    *,
    scale: float,
    backend: Backend,
    dense: bool = True,
) -> tuple[Tensor, Tensor]:
    """Attend under a mask; one that keeps everything goes to torch's own dense attention.

    Dense attention has no logarithms of sums: that tensor is empty then. The path on the GPU
    does such a mask itself rather than wait for the device to tell.
    """
    if listens():
        note("key reads", mask.key_reads())
    path = find_path(backend, query, key, value, grad=_sparse.needs_grad(query, key, value))
    dense = dense and not path.waits_for_nothing
    if dense and bool((mask.local_start == mask.first_key[:, None]).all()):
        first_key = mask.first_key if bool(mask.first_key.any()) else None
        out = _sparse.attend_dense(
            query, key, value, first_key=first_key, is_causal=mask.is_causal, scale=scale
        )
        return out, out.new_empty(0)
    out, lse = path.attend_sparse(query, key, value, mask, scale)
    return out, lse


def listens() -> bool:
    """Whether cost is counted; a compiled graph counts none."""
    return not torch.compiler.is_compiling() and listening()


def attend_if_dense(
    settings: HipSettings,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    first_key: Tensor | None,
    is_causal: bool,
    scale: float,
) -> Tensor | None:
    """Attend to everything on a GPU if the lengths tell so, without asking the device.

    Returns:
        The output; None where a mask is needed, or counted.
    """
    if not query.is_cuda or listens():
        return None
    if not is_all_dense(settings, key.shape[2], is_causal, key.device):
        return None
    if first_key is not None:
        first_key = check_first_key(first_key, query.shape[0], key.shape[2], query.device)
    return _sparse.attend_dense(
        query, key, value, first_key=first_key, is_causal=is_causal, scale=scale
    )


def check_mask(mask: HipMask, query: Tensor, total: int, *, is_causal: bool) -> None:
    """Refuse a mask that was made for other lengths."""
    wanted = (query.shape[0], query.shape[1], query.shape[2], total, is_causal)
    got = (*mask.indices.shape[:2], mask.query_length, mask.key_length, mask.is_causal)
    if wanted != got:
        raise ShapeError(
            f"mask was made for (batch, heads, queries, keys, causal) = {tuple(got)} and the call "
            f"has {wanted}; make it again with hip_mask"
        )
