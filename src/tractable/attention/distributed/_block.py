"""Attention between two shards in tiles, forward and backward, with sums that can be merged."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tractable._core import note
from tractable.attention.distributed._layout import Span

__all__ = ["Pull", "Running", "Shard", "Tiling", "differentiate", "merge", "widen"]


def widen(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums: at least 32 bits."""
    return torch.promote_types(dtype, torch.float32)


class Tiling(NamedTuple):
    """How scores are made: their factor, their mask, and the side of a tile."""

    scale: float
    is_causal: bool
    side: int

    def tiles(
        self, asked: Sequence[Span], read: Sequence[Span], device: torch.device
    ) -> Iterator[tuple[slice, slice, Bool[Tensor, "q k"] | None]]:
        """Yield rows of queries, rows of keys and a mask, True where hidden; the rest is skipped.

        Rows in no span are padding and never touched.
        """
        for query in _cut(asked, self.side):
            rows = slice(query.row, query.row + query.size)
            for key in _cut(read, self.side):
                if self.is_causal and key.start >= query.stop:
                    continue
                hidden = None
                if self.is_causal and key.stop - 1 > query.start:
                    places = torch.arange(key.start, key.stop, device=device)
                    own = torch.arange(query.start, query.stop, device=device)
                    hidden = places > own[:, None]
                yield rows, slice(key.row, key.row + key.size), hidden


def _cut(spans: Sequence[Span], side: int) -> Iterator[Span]:
    for span in spans:
        for start in range(span.start, span.stop, side):
            row = span.row + start - span.start
            yield Span(row, start, min(start + side, span.stop))


class Shard(NamedTuple):
    """Keys and values of one rank side by side, as they travel."""

    packed: Float[Tensor, "B G rows d+e"]
    width: int
    """Of keys."""
    spans: Sequence[Span]

    @classmethod
    def pack(cls, key: Tensor, value: Tensor, spans: Sequence[Span]) -> "Shard":
        """Copy both into one tensor."""
        return cls(torch.cat((key, value), -1), key.shape[-1], spans)

    def tile(self, rows: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values of some rows, in the dtype of sums."""
        part = self.packed[:, :, rows].to(dtype)
        return part[..., : self.width], part[..., self.width :]


class Running:
    """A softmax that is still being summed: rows of queries that have seen some keys.

    Args:
        query: (B, G, R, rows, d), R query heads for each of G key heads.
        width: of values.
        spans: the positions of the rows.
    """

    def __init__(self, query: Tensor, width: int, spans: Sequence[Span]) -> None:
        """Start with no key seen."""
        self.query, self.spans = query, spans
        dtype = widen(query.dtype)
        self.out = query.new_zeros(*query.shape[:-1], width, dtype=dtype)
        self.total = query.new_zeros(query.shape[:-1], dtype=dtype)
        self.peak = torch.full_like(self.total, -torch.inf)

    def absorb(self, shard: Shard, tiling: Tiling) -> None:
        """See the keys of a shard, tile by tile."""
        scored = 0
        for rows, columns, hidden in tiling.tiles(self.spans, shard.spans, self.query.device):
            key, value = shard.tile(columns, self.out.dtype)
            query = self.query[..., rows, :].to(self.out.dtype) * tiling.scale
            scores = torch.einsum("bgrqd,bgkd->bgrqk", query, key)
            scored += scores.numel()
            if hidden is not None:
                scores.masked_fill_(hidden, -torch.inf)
            old = self.peak[..., rows]
            new = torch.maximum(old, scores.amax(-1))
            # A row that has seen no key yet stays at zero instead of -inf - -inf.
            level = torch.where(new == -torch.inf, 0.0, new)
            weights = scores.sub_(level[..., None]).exp_()
            shrink = (old - level).exp_()
            self.total[..., rows] = self.total[..., rows] * shrink + weights.sum(-1)
            mixed = torch.einsum("bgrqk,bgke->bgrqe", weights, value)
            self.out[..., rows, :] = self.out[..., rows, :] * shrink[..., None] + mixed
            self.peak[..., rows] = new
        note("flops", 2 * scored * shard.packed.shape[-1])

    def finish(self) -> tuple[Tensor, Tensor]:
        """Return the output and the logarithm of the softmax's sum, -inf where no key was seen."""
        lse = self.peak + self.total.log()
        empty = self.total == 0
        self.out /= torch.where(empty, 1.0, self.total)[..., None]
        return self.out, torch.where(empty, -torch.inf, lse)


def merge(
    one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]
) -> tuple[Float[Tensor, "... e"], Float[Tensor, "..."]]:
    """Merge outputs and log-sums over two disjoint sets of keys, either of which may be empty."""
    lse = torch.logaddexp(one[1], two[1])
    # By the difference, which large log-sums keep where their sum does not.
    ahead = torch.where(lse == -torch.inf, 0.0, one[1] - two[1])[..., None]
    return one[0] * ahead.sigmoid() + two[0] * (-ahead).sigmoid(), lse


class Pull(NamedTuple):
    """What the backward pass knows of a shard's queries."""

    query: Float[Tensor, "B G R rows d"]
    grad_out: Float[Tensor, "B G R rows e"]
    lse: Float[Tensor, "B G R rows"]
    gained: Float[Tensor, "B G R rows"]
    """Sum of the output times its gradient, less the gradient of lse."""
    spans: Sequence[Span]


def differentiate(pull: Pull, shard: Shard, tiling: Tiling, to_query: Tensor) -> Tensor:
    """Add to the queries' gradient and return that of the shard, both in the dtype of sums."""
    dtype = to_query.dtype
    to_shard = torch.zeros_like(shard.packed, dtype=dtype)
    scored, width = 0, shard.width
    for rows, columns, hidden in tiling.tiles(pull.spans, shard.spans, to_query.device):
        key, value = shard.tile(columns, dtype)
        query = pull.query[..., rows, :].to(dtype) * tiling.scale
        grad = pull.grad_out[..., rows, :].to(dtype)
        scores = torch.einsum("bgrqd,bgkd->bgrqk", query, key)
        scored += scores.numel()
        weights = scores.sub_(pull.lse[..., rows, None]).exp_()
        if hidden is not None:
            weights.masked_fill_(hidden, 0.0)
        to_shard[:, :, columns, width:] += torch.einsum("bgrqk,bgrqe->bgke", weights, grad)
        slope = torch.einsum("bgrqe,bgke->bgrqk", grad, value)
        slope.sub_(pull.gained[..., rows, None]).mul_(weights)
        to_shard[:, :, columns, :width] += torch.einsum("bgrqk,bgrqd->bgkd", slope, query)
        to_query[..., rows, :] += torch.einsum("bgrqk,bgkd->bgrqd", slope, key) * tiling.scale
    # Scores and their slope again, and two products a side.
    note("flops", 2 * scored * (2 * shard.packed.shape[-1] + width))
    return to_shard
