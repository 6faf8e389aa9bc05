"""HiP attention over keys and values that lie in pages of one pool."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tractable._core import DataError, DTypeError, ShapeError, note
from tractable.attention.hip._attention import hip_attention
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._passes import check_mask, choose_mask, listens
from tractable.attention.hip._paths import find_path
from tractable.attention.hip._settings import Backend, HipSettings, check_attention
from tractable.attention.hip._sparse import needs_grad

__all__ = ["PagedCache", "hip_paged_attention"]


@dataclass(frozen=True)
class PagedCache:
    """Keys and values in pages, and in which pages the tokens of each row are.

    Token t of row b lies in page `table[b, t // S]` at place `t % S`. Rows may have other lengths,
    share pages and lie in any order. `table` and `lengths` may change in place between calls, a
    captured CUDA graph included.

    Args:
        key: (P, G, S, d), P pages of S tokens.
        value: (P, G, S, e).
        table: (B, M) page of each M-th part of a row; entries past a row's length are not read.
        lengths: (B,) tokens of each row, at most M S.

    Raises:
        ShapeError: if the tensors do not fit together.
        DTypeError: if table or lengths are no integers, or lie on another device.
    """

    key: Float[Tensor, "P G S D"]
    value: Float[Tensor, "P G S E"]
    table: Int[Tensor, "B M"]
    lengths: Int[Tensor, "B"]

    def __post_init__(self) -> None:
        """Refuse shapes that hold no cache; `check` looks at the numbers."""
        same = self.key.ndim == 4 and self.key.shape[:3] == self.value.shape[:3]
        if not same or 0 in self.key.shape:
            raise ShapeError(
                f"key has shape {tuple(self.key.shape)} and value {tuple(self.value.shape)}; "
                "wanted (pages, heads, page size, width), equal but for the width, none empty"
            )
        if self.table.ndim != 2 or self.lengths.shape != self.table.shape[:1]:
            raise ShapeError(
                f"table has shape {tuple(self.table.shape)} and lengths "
                f"{tuple(self.lengths.shape)}; wanted (B, M) and (B,)"
            )
        for name, tensor in (("table", self.table), ("lengths", self.lengths)):
            if tensor.is_floating_point() or tensor.device != self.key.device:
                raise DTypeError(
                    f"{name} is {tensor.dtype} on {tensor.device}; wanted integers on "
                    f"{self.key.device}, where the keys are"
                )

    @property
    def capacity(self) -> int:
        """Tokens that a row can hold."""
        return self.table.shape[1] * self.key.shape[2]

    @property
    def first_key(self) -> Int[Tensor, "B"]:
        """Where each row begins if all end at `capacity`, as with padding on the left."""
        return (self.capacity - self.lengths.to(torch.int64)).clamp(min=0)

    def check(self) -> None:
        """Look at the numbers, which waits for the device.

        Raises:
            DataError: for a length that is no 1 to `capacity`, or a page that is none of the pool.
        """
        lengths = self.lengths.tolist()
        if not all(1 <= length <= self.capacity for length in lengths):
            raise DataError(f"lengths are {lengths}; wanted 1 to {self.capacity} tokens each")
        begins = torch.arange(self.table.shape[1], device=self.table.device) * self.key.shape[2]
        used = self.table[begins[None, :] < self.lengths[:, None]]
        pages = self.key.shape[0]
        if bool(((used < 0) | (used >= pages)).any()):
            raise DataError(
                f"table holds pages {int(used.min())} to {int(used.max())} where tokens are; "
                f"wanted 0 to {pages - 1}"
            )

    def gather(self) -> tuple[Float[Tensor, "B G T D"], Float[Tensor, "B G T E"]]:
        """Copy all rows to contiguous keys and values that end at `capacity`."""
        token = torch.arange(self.capacity, device=self.table.device) - self.first_key[:, None]
        token, size = token.clamp(min=0), self.key.shape[2]
        page = self.table.to(torch.int64).gather(1, token // size)
        key, value = (x[page, :, token % size].transpose(1, 2) for x in (self.key, self.value))
        return key, value


def hip_paged_attention(
    query: Float[Tensor, "B H L D"],
    cache: PagedCache,
    *,
    mask: HipMask | None = None,
    scale: float | None = None,
    generator: torch.Generator | None = None,
    backend: Backend = "auto",
    return_mask: bool = False,
    **options: int | str,
) -> Float[Tensor, "B H L E"] | tuple[Float[Tensor, "B H L E"], HipMask]:
    """Attend to a paged cache as `hip_attention` does to the same rows padded on the left.

    The queries are the last L tokens of each row. On a GPU the kernels follow the table, wait for
    nothing and can be captured in a CUDA graph that serves rows as they grow; elsewhere the rows
    are copied together first. A mask may serve some steps: its local keys grow by new tokens.

    Args:
        query: (B, H, L, d).
        cache: the keys and values, the queries' own included.
        mask: one that an earlier call returned for these rows and as many queries.
        scale: factor of the products, at least zero; d ** -0.5 by default.
        generator: draws the seed of `random` representatives.
        backend: as in `hip_attention`.
        return_mask: return the mask too.
        options: what shapes a mask in `hip_attention`: `budget`, `window` and so on.

    Returns:
        (B, H, L, e), or a pair of it and the mask. Queries before a row's first token give zeros.

    Raises:
        ShapeError: if query, cache and mask do not fit together.
        DataError: off the GPU path, for lengths or pages out of range; see `PagedCache.check`.

    Example:
        >>> import torch
        >>> pool = torch.randn(9, 2, 16, 64)
        >>> table = torch.tensor([[3, 1, 8, 0], [2, 4, 5, 6]])
        >>> cache = PagedCache(pool, pool, table, torch.tensor([50, 64]))
        >>> hip_paged_attention(torch.randn(2, 4, 1, 64), cache, budget=16).shape
        torch.Size([2, 4, 1, 64])
    """
    key, value = cache.key, cache.value
    if query.shape[0] != cache.table.shape[0]:
        raise ShapeError(f"query has {query.shape[0]} rows and the cache {cache.table.shape[0]}")
    if mask is not None:
        mask = mask.move_to(cache.first_key)
    path = find_path(backend, query, key, value, grad=False)
    if needs_grad(query, key, value) or not path.waits_for_nothing:
        cache.check()
        key, value = cache.gather()
        out: Tensor | tuple[Tensor, HipMask] = hip_attention(
            query,
            key,
            value,
            enable_gqa=True,
            mask=mask,
            first_key=cache.first_key,
            scale=scale,
            generator=generator,
            backend=backend,
            return_mask=return_mask,  # type: ignore[call-overload]  # either form
            **options,
        )
        return out
    settings = HipSettings(**options)  # type: ignore[arg-type]  # checked there
    rows = [pool[:1].expand(len(query), -1, -1, -1) for pool in (key, value)]
    scale = check_attention(query, *rows, scale=scale, enable_gqa=True, is_causal=False)
    if mask is None:
        mask = choose_mask(
            settings,
            query,
            key,
            path.choose_blocks,
            cache.first_key,
            generator=generator,
            pages=cache.table,
        )
    else:
        check_mask(mask, query, cache.capacity, is_causal=True)
    if listens():
        note("key reads", mask.key_reads())
    out, _ = path.attend_sparse(query, key, value, mask, scale, pages=cache.table)
    return (out, mask) if return_mask else out
