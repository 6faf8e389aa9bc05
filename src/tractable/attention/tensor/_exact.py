"""Exact tensor attention in blocks: an online softmax over tuples of keys, and its gradient.

The first m - 1 key sets are walked together as rows J = (j_1, ..., j_{m-1}); the product of their
keys makes one ordinary key, and the last set is a matrix product. For m = 1 there is one row, of
ones.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tractable._core import note

__all__ = ["Problem", "attend_exactly"]

SCORES = 2**21
"""Scores of a block, by default."""


class Tile(NamedTuple):
    """A block of queries and of rows: what to read, and what to leave out."""

    queries: slice
    places: tuple[Tensor, ...]
    """Index into each of the first m - 1 sets, one entry a row."""
    columns: int
    """How many keys of the last set are read."""
    hidden: Tensor | None
    """(queries, rows, columns), True where a key comes later than the query."""


class Shape(NamedTuple):
    """The lengths, and how they are cut."""

    queries: int
    keys: tuple[int, ...]
    is_causal: bool
    pairs: int
    """Query-row pairs of a block."""

    @property
    def rows(self) -> int:
        """How many tuples the first m - 1 sets have."""
        return math.prod(self.keys[:-1])

    def tiles(self, device: torch.device) -> Iterator[Iterator[Tile]]:
        """Yield, for each block of queries, its tiles."""
        height = max(1, min(self.queries, math.isqrt(self.pairs)))
        width = max(1, self.pairs // height)
        for start in range(0, self.queries, height):
            yield self._row_of_tiles(slice(start, min(start + height, self.queries)), width, device)

    def _row_of_tiles(self, queries: slice, width: int, device: torch.device) -> Iterator[Tile]:
        columns = queries.stop if self.is_causal else self.keys[-1]
        positions = torch.arange(queries.start, queries.stop, device=device)
        for first in range(0, self.rows, width):
            row = torch.arange(first, min(first + width, self.rows), device=device)
            places = []
            for size in reversed(self.keys[:-1]):
                places.append(row % size)
                row = row // size
            hidden = None
            if self.is_causal:
                latest = torch.zeros_like(row)
                for place in places:
                    latest = torch.maximum(latest, place)
                if int(latest.min()) >= queries.stop:
                    continue
                later = torch.arange(columns, device=device) > positions[:, None]
                hidden = later[:, None, :] | (latest > positions[:, None])[:, :, None]
            yield Tile(queries, tuple(reversed(places)), columns, hidden)


class Problem(NamedTuple):
    """What both paths are given, batch and heads in one axis G."""

    query: Tensor
    """(G, n, d)."""
    keys: Sequence[Tensor]
    """Sets of (G, n_t, d)."""
    values: Sequence[Tensor]
    """Sets of (G, n_t, e)."""
    scale: float
    is_causal: bool
    chunk_size: int | None


def attend_exactly(problem: Problem) -> Tensor:
    """Attend to every tuple of keys."""
    query, keys, values, scale, is_causal, chunk_size = problem
    lengths = tuple(key.shape[1] for key in keys)
    # Heads are taken apart where one row of scores of all of them is large.
    group = max(1, min(query.shape[0], SCORES // lengths[-1]))
    pairs = chunk_size or max(1, SCORES // (group * lengths[-1]))
    shape = Shape(query.shape[1], lengths, is_causal, pairs)
    parts = [torch.split(tensor, group) for tensor in (query, *keys, *values)]
    apply: Callable[..., Tensor] = _Exact.apply
    outs = [apply(shape, scale, *part) for part in zip(*parts, strict=True)]
    return outs[0] if len(outs) == 1 else torch.cat(outs)


def _multiply(tensors: Sequence[Tensor], places: Sequence[Tensor], like: Tensor) -> Tensor:
    """Product over sets of the chosen rows; one row of ones without sets."""
    product = torch.ones_like(like[:, :1])
    for tensor, place in zip(tensors, places, strict=True):
        product = product * tensor[:, place]
    return product


def _score(query: Tensor, keys: Sequence[Tensor], tile: Tile, scale: float) -> Tensor:
    """Scores (G, queries, rows, columns) of a tile."""
    rows = _multiply(keys[:-1], tile.places, keys[-1])
    products = (query[:, tile.queries] * scale)[:, :, None] * rows[:, None]
    last = keys[-1][:, : tile.columns]
    scores = _multiply_rows(products, last.mT)
    return scores if tile.hidden is None else scores.masked_fill_(tile.hidden, -math.inf)


def _multiply_rows(tensor: Tensor, matrix: Tensor) -> Tensor:
    """Multiply (G, queries, rows, x) by (G, x, y), as one product a head."""
    heads, queries, rows, _ = tensor.shape
    return (tensor.flatten(1, 2) @ matrix).reshape(heads, queries, rows, -1)


class _Exact(torch.autograd.Function):
    """Exact attention whose backward pass makes the scores again instead of keeping them."""

    @staticmethod
    def forward(ctx: Any, shape: Shape, scale: float, *tensors: Tensor) -> Tensor:
        query, keys, values = _unpack(tensors)
        outs, sums = [], []
        zero = query.new_zeros(())
        scored = 0
        for tiles in shape.tiles(query.device):
            peak, total, out = torch.full_like(query[:, 0, 0], -math.inf)[:, None], zero, zero
            for tile in tiles:
                scores = _score(query, keys, tile, scale)
                scored += scores.numel()
                top = scores.amax((2, 3))
                # The first tile has the first key of every set, which no query is denied.
                new = torch.maximum(peak, top)
                weights = scores.sub_(new[..., None, None]).exp_()
                rows = _multiply(values[:-1], tile.places, values[-1])
                last = values[-1][:, : tile.columns]
                mixed = _multiply_rows(weights, last)
                part = torch.einsum("gire,gre->gie", mixed, rows.expand(-1, mixed.shape[2], -1))
                mass = weights.sum((2, 3))
                shrink = (peak - new).exp()
                total, out = total * shrink + mass, out * shrink[..., None] + part
                peak = new
            outs.append(out / total[..., None])
            sums.append(peak + total.log())
        note("flops", 2 * scored * (query.shape[-1] + values[0].shape[-1]))
        result = torch.cat(outs, dim=1)
        ctx.shape, ctx.scale = shape, scale
        ctx.save_for_backward(result, torch.cat(sums, dim=1), *tensors)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        result, sums, *tensors = ctx.saved_tensors
        query, keys, values = _unpack(tensors)
        grads = [torch.zeros_like(tensor) for tensor in tensors]
        to_query, to_keys, to_values = _unpack(grads)
        shared = (gradient * result).sum(-1)
        scored = 0
        for tiles in ctx.shape.tiles(query.device):
            for tile in tiles:
                at, columns = tile.queries, tile.columns
                scores = _score(query, keys, tile, ctx.scale)
                scored += scores.numel()
                weights = scores.sub_(sums[:, at, None, None]).exp_()
                rows = _multiply(values[:-1], tile.places, values[-1])
                pulled = gradient[:, at, None] * rows[:, None]
                last = values[-1][:, :columns]
                to_values[-1][:, :columns] += weights.flatten(1, 2).mT @ pulled.flatten(1, 2)
                mixed = _multiply_rows(weights, last)
                _share(to_values, values, tile, (mixed * gradient[:, at, None]).sum(1))
                slope = _multiply_rows(pulled, last.mT) - shared[:, at, None, None]
                slope = slope * weights * ctx.scale
                rows = _multiply(keys[:-1], tile.places, keys[-1])
                products = query[:, at, None] * rows[:, None]
                to_keys[-1][:, :columns] += slope.flatten(1, 2).mT @ products.flatten(1, 2)
                moved = _multiply_rows(slope, keys[-1][:, :columns])
                to_query[:, at] += (moved * rows[:, None]).sum(2)
                _share(to_keys, keys, tile, (moved * query[:, at, None]).sum(1))
        # Five products of the forward pass's two sizes: scores again, and two a side.
        note("flops", 2 * scored * 3 * (query.shape[-1] + values[0].shape[-1]))
        return (None, None, *grads)


def _share(grads: Sequence[Tensor], tensors: Sequence[Tensor], tile: Tile, rows: Tensor) -> None:
    """Give the gradient of a product of chosen rows to each of its factors."""
    for t, place in enumerate(tile.places):
        rest = rows
        for other, at in enumerate(tile.places):
            if other != t:
                rest = rest * tensors[other][:, at]
        grads[t].index_add_(1, place, rest)


def _unpack(tensors: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]:
    sets = (len(tensors) - 1) // 2
    return tensors[0], tensors[1 : 1 + sets], tensors[1 + sets :]
