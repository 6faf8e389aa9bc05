"""The public functions: attention, its mask, and attention under a given mask."""

from typing import Literal, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._passes import attend, attend_if_dense, check_mask, make_mask
from tractable.attention.hip._settings import (
    Backend,
    HipSettings,
    Representative,
    check_attention,
)

__all__ = ["block_sparse_attention", "hip_attention", "hip_mask"]


@overload
def hip_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    budget: int = ...,
    block_q: int = ...,
    block_k: int = ...,
    stride_q: int = ...,
    stride_k: int = ...,
    num_sink: int = ...,
    window: int = ...,
    representative: Representative = ...,
    is_causal: bool = ...,
    scale: float | None = ...,
    enable_gqa: bool = ...,
    mask: HipMask | None = ...,
    first_key: Tensor | None = ...,
    dense_queries: int | Literal["auto"] = ...,
    generator: torch.Generator | None = ...,
    backend: Backend = ...,
    check_finite: bool = ...,
    return_mask: Literal[False] = ...,
) -> Tensor: ...


@overload
def hip_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    budget: int = ...,
    block_q: int = ...,
    block_k: int = ...,
    stride_q: int = ...,
    stride_k: int = ...,
    num_sink: int = ...,
    window: int = ...,
    representative: Representative = ...,
    is_causal: bool = ...,
    scale: float | None = ...,
    enable_gqa: bool = ...,
    mask: HipMask | None = ...,
    first_key: Tensor | None = ...,
    dense_queries: int | Literal["auto"] = ...,
    generator: torch.Generator | None = ...,
    backend: Backend = ...,
    check_finite: bool = ...,
    return_mask: Literal[True],
) -> tuple[Tensor, HipMask]: ...


def hip_attention(
    query: Float[Tensor, "B H L D"],
    key: Float[Tensor, "B G T D"],
    value: Float[Tensor, "B G T E"],
    *,
    budget: int = 512,
    block_q: int = 32,
    block_k: int = 2,
    stride_q: int = 2,
    stride_k: int = 1,
    num_sink: int = 16,
    window: int = 128,
    representative: Representative = "center",
    is_causal: bool = True,
    scale: float | None = None,
    enable_gqa: bool = False,
    mask: HipMask | None = None,
    first_key: Int[Tensor, "B"] | None = None,
    dense_queries: int | Literal["auto"] = "auto",
    generator: torch.Generator | None = None,
    backend: Backend = "auto",
    check_finite: bool = False,
    return_mask: bool = False,
) -> Float[Tensor, "B H L E"] | tuple[Float[Tensor, "B H L E"], HipMask]:
    """Attend to the keys that a tree of block products finds, the first ones and the near ones.

    The queries are the last L positions of the T keys. Where keys are no more than the budget,
    sink and window together, and for the first `dense_queries` positions, attention is dense.
    Notes `key reads`: keys scored by the tree plus keys attended to, each once for a block of
    `block_q` queries of one head.

    Args:
        query: (B, H, L, d).
        key: (B, G, T, d); fewer heads than the query's with `enable_gqa`.
        value: (B, G, T, e).
        budget: keys that the tree keeps for a block of queries, a multiple of `block_k`.
        block_q: consecutive queries that share one set of keys.
        block_k: consecutive keys that are kept or dropped together.
        stride_q: the tree asks every `stride_q`-th query of a block, its last one among them.
        stride_k: the tree scores every `stride_k`-th key of a block.
        num_sink: first keys, which all queries read.
        window: keys before a block of queries, which all of them read; none if not causal.
        representative: the block that speaks for a chunk of blocks: `center` (the paper's
            theory), `first` or `last` (its drafts), or `random`.
        is_causal: whether a query reads no key after its own position.
        scale: factor of the products, at least zero; d ** -0.5 by default.
        enable_gqa: let H / G heads of the query share one head of the key.
        mask: use this one, made by `hip_mask`, instead of making one; what shapes a mask above
            has no effect then.
        first_key: position of each row's first real key, for padding on the left. Queries before
            it read nothing and give zeros.
        dense_queries: leading positions that attend to everything; `auto` takes ten budgets,
            below which the tree costs as much as it saves. On a GPU it also leaves everything
            dense where the keys are no more than sixteen budgets.
        generator: draws the seed of `random` representatives.
        backend: `numba` (CPU, float32, no gradients), `triton` (CUDA; float32 or 16 bits; heads
            of 64 or 128), `torch`, or the fastest one that can do it.
        check_finite: refuse NaN and infinities, which reads every key. Without it a NaN in a key
            that is read becomes a NaN in the output.
        return_mask: return the mask too.

    Returns:
        (B, H, L, e), or a pair of it and the mask. Gradients flow as under a fixed mask.

    Raises:
        ShapeError: if the tensors do not fit together, or `mask` was made for other lengths.
        DTypeError: for dtypes or devices that differ.
        RangeError: for a budget that is no multiple of `block_k`, or a negative scale.
        DataError: with `check_finite`, for NaN or infinities.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 2, 4096, 32, generator=torch.Generator().manual_seed(0))
        >>> out, mask = hip_attention(x, x, x, budget=64, return_mask=True)
        >>> out.shape == x.shape, mask.density() < 0.2
        (True, True)
    """
    settings = HipSettings(
        budget=budget,
        block_q=block_q,
        block_k=block_k,
        stride_q=stride_q,
        stride_k=stride_k,
        num_sink=num_sink,
        window=window,
        representative=representative,
        dense_queries=dense_queries,
    )
    scale = check_attention(
        query,
        key,
        value,
        scale=scale,
        enable_gqa=enable_gqa,
        is_causal=is_causal,
        check_finite=check_finite,
    )
    if mask is None and not return_mask:
        out = attend_if_dense(
            settings, query, key, value, first_key=first_key, is_causal=is_causal, scale=scale
        )
        if out is not None:
            return out
    if mask is None:
        mask = make_mask(
            settings,
            query,
            key,
            first_key=first_key,
            is_causal=is_causal,
            generator=generator,
            backend=backend,
        )
    else:
        check_mask(mask, query, key.shape[2], is_causal=is_causal)
    out, _ = attend(query, key, value, mask, scale=scale, backend=backend)
    return (out, mask) if return_mask else out


def hip_mask(
    query: Float[Tensor, "B H L D"],
    key: Float[Tensor, "B G T D"],
    *,
    is_causal: bool = True,
    enable_gqa: bool = False,
    first_key: Int[Tensor, "B"] | None = None,
    generator: torch.Generator | None = None,
    backend: Backend = "auto",
    **options: int | str,
) -> HipMask:
    """Choose the keys that each block of queries reads.

    Notes `key reads`: keys scored by the tree, each once for a block of queries.

    Args:
        query, key: as in `hip_attention`.
        is_causal, enable_gqa, first_key, generator, backend: as in `hip_attention`.
        options: what else shapes a mask there: `budget`, `block_q`, `block_k`, `stride_q`,
            `stride_k`, `num_sink`, `window`, `representative`, `dense_queries`.

    Returns:
        The mask.

    Raises:
        ShapeError: if the tensors do not fit together.
        RangeError: for options out of their range.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 1, 2048, 16, generator=torch.Generator().manual_seed(0))
        >>> mask = hip_mask(x, x, budget=64, dense_queries=0)
        >>> mask.indices.shape
        torch.Size([1, 1, 64, 32])
    """
    settings = HipSettings(**options)  # type: ignore[arg-type]  # checked there
    check_attention(query, key, key, scale=None, enable_gqa=enable_gqa, is_causal=is_causal)
    return make_mask(
        settings,
        query,
        key,
        first_key=first_key,
        is_causal=is_causal,
        generator=generator,
        backend=backend,
    )


@overload
def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: HipMask,
    scale: float | None = ...,
    *,
    return_lse: Literal[False] = ...,
    backend: Backend = ...,
) -> Tensor: ...


@overload
def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: HipMask,
    scale: float | None = ...,
    *,
    return_lse: Literal[True],
    backend: Backend = ...,
) -> tuple[Tensor, Tensor]: ...


def block_sparse_attention(
    query: Float[Tensor, "B H L D"],
    key: Float[Tensor, "B G T D"],
    value: Float[Tensor, "B G T E"],
    mask: HipMask,
    scale: float | None = None,
    *,
    return_lse: bool = False,
    backend: Backend = "auto",
) -> Float[Tensor, "B H L E"] | tuple[Float[Tensor, "B H L E"], Float[Tensor, "B H L"]]:
    """Attend to the keys of a mask, with an exact softmax over them.

    Notes `key reads`: keys attended to, each once for a block of queries.

    Args:
        query, key, value: as in `hip_attention`; fewer key heads need no flag here.
        mask: made for the same lengths by `hip_mask`.
        scale: factor of the products, at least zero; d ** -0.5 by default.
        return_lse: return the logarithm of each softmax's sum too, minus infinity for a query
            that reads nothing.
        backend: as in `hip_attention`.

    Returns:
        (B, H, L, e), or a pair of it and (B, H, L).

    Raises:
        ShapeError: if the tensors do not fit together, or the mask was made for other lengths.
    """
    scale = check_attention(
        query, key, value, scale=scale, enable_gqa=True, is_causal=mask.is_causal
    )
    check_mask(mask, query, key.shape[2], is_causal=mask.is_causal)
    out, lse = attend(query, key, value, mask, scale=scale, backend=backend, dense=False)
    return (out, lse) if return_lse else out
