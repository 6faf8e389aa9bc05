"""Who sends what when: a ring, a mesh that gathers rows and columns, and an exchange of heads.

Each is a pair of functions. The forward one returns the output, the log-sums and what the backward
one wants to be given again; neither keeps scores. Query tensors have five axes (B, G, R, rows, d),
R query heads for each of G key heads.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tractable.attention.distributed._block import (
    Pull,
    Running,
    Shard,
    Tiling,
    differentiate,
    merge,
)
from tractable.attention.distributed._layout import Layout, Span
from tractable.attention.distributed._ranks import Pending, Ranks

__all__ = ["Done", "Task", "run_backward", "run_forward"]


class Task(NamedTuple):
    """Everything but the tensors."""

    ranks: Ranks
    layout: Layout
    algorithm: str
    mesh: tuple[int, int]
    """Rows and columns of ranks; only a mesh reads it."""
    tiling: Tiling
    wants_lse: bool

    @property
    def rows(self) -> range:
        """The ranks whose queries this rank gathers on a mesh."""
        first = self.ranks.rank // self.mesh[1] * self.mesh[1]
        return range(first, first + self.mesh[1])

    @property
    def columns(self) -> range:
        """The ranks whose keys this rank gathers on a mesh."""
        return range(self.ranks.rank % self.mesh[1], self.ranks.size, self.mesh[1])

    @property
    def everyone(self) -> range:
        """All ranks."""
        return range(self.ranks.size)

    @property
    def everything(self) -> list[Span]:
        """What all ranks hold, their rows below each other."""
        return [
            Span(rank * self.layout.rows + span.row, span.start, span.stop)
            for rank in self.everyone
            for span in self.layout.spans(rank)
        ]


class Done(NamedTuple):
    """What a forward pass gives."""

    out: Tensor
    lse: Tensor
    saved: tuple[Tensor, ...]
    """query, key, value, out, lse for the backward pass; whole heads where these were exchanged."""


def run_forward(task: Task, query: Tensor, key: Tensor, value: Tensor) -> Done:
    """Attend by the schedule that the task names."""
    if task.algorithm == "ring":
        return _ring_forward(task, query, key, value)
    if task.algorithm == "ulysses":
        return _heads_forward(task, query, key, value)
    return _mesh_forward(task, query, key, value)


def run_backward(
    task: Task, saved: Sequence[Tensor], grad_out: Tensor, grad_lse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value, in the dtype of sums."""
    query, key, value, out, lse = saved
    if task.algorithm == "ulysses":
        grad_out = _split_heads(task, grad_out)
        grad_lse = _split_heads(task, grad_lse[..., None])[..., 0] if task.wants_lse else grad_lse
    gained = (grad_out.to(out.dtype) * out).sum(-1)
    if task.wants_lse:
        gained = gained - grad_lse
    spans = task.everything if task.algorithm == "ulysses" else task.layout.spans(task.ranks.rank)
    pull = Pull(query, grad_out, lse, gained, spans)
    if task.algorithm == "ring":
        return _ring_backward(task, pull, key, value)
    if task.algorithm == "ulysses":
        return _heads_backward(task, pull, key, value)
    return _mesh_backward(task, pull, key, value)


def _ring_forward(task: Task, query: Tensor, key: Tensor, value: Tensor) -> Done:
    """Keys and values travel round the ring; each is seen while the next is under way."""
    ranks, spans = task.ranks, task.layout.spans
    running = Running(query, value.shape[-1], spans(ranks.rank))
    held = Shard.pack(key, value, spans(ranks.rank))
    for step in range(ranks.size):
        coming = None
        if step < ranks.size - 1:
            coming = ranks.start_shift(held.packed, 1, task.everyone)
        running.absorb(held, task.tiling)
        if coming is not None:
            source = (ranks.rank - step - 1) % ranks.size
            held = Shard(coming.wait(), held.width, spans(source))
    out, lse = running.finish()
    return Done(out, lse, (query, key, value, out, lse))


def _ring_backward(
    task: Task, pull: Pull, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The same round again; a shard's gradient travels one hop behind it and ends at home."""
    ranks, spans = task.ranks, task.layout.spans
    to_query = torch.zeros_like(pull.query, dtype=pull.lse.dtype)
    held = Shard.pack(key, value, spans(ranks.rank))
    carried: Pending | None = None
    to_shard = held.packed
    for step in range(ranks.size):
        coming = None
        if step < ranks.size - 1:
            coming = ranks.start_shift(held.packed, 1, task.everyone)
        to_shard = differentiate(pull, held, task.tiling, to_query)
        if carried is not None:
            to_shard += carried.wait()
        if ranks.size > 1:
            carried = ranks.start_shift(to_shard, 1, task.everyone)
        if coming is not None:
            source = (ranks.rank - step - 1) % ranks.size
            held = Shard(coming.wait(), held.width, spans(source))
    if carried is not None:
        to_shard = carried.wait()
    return to_query, to_shard[..., : held.width], to_shard[..., held.width :]


def _mesh_forward(task: Task, query: Tensor, key: Tensor, value: Tensor) -> Done:
    """Gather queries along a row and keys along a column, attend, and merge along the row."""
    running = _attend_on_mesh(task, query, key, value)
    ranks = task.ranks
    if len(running) == 1:
        out, lse = running[0].finish()
        return Done(out, lse, (query, key, value, out, lse))
    parts = []
    while running:
        out, lse = running.pop(0).finish()
        parts.append(torch.cat((out, lse[..., None]), -1))
    mine, *others = ranks.scatter(parts, task.rows)
    merged = _take_apart(mine)
    for part in others:
        merged = merge(merged, _take_apart(part))
    return Done(*merged, (query, key, value, *merged))


def _attend_on_mesh(task: Task, query: Tensor, key: Tensor, value: Tensor) -> list[Running]:
    """Return the sums of each rank of the row over the keys of this column."""
    ranks, spans = task.ranks, task.layout.spans
    queries = ranks.gather(query, task.rows)
    packed = ranks.gather(Shard.pack(key, value, ()).packed, task.columns)
    running = [
        Running(part, value.shape[-1], spans(rank))
        for rank, part in zip(task.rows, queries, strict=True)
    ]
    for rank, part in zip(task.columns, packed, strict=True):
        shard = Shard(part, key.shape[-1], spans(rank))
        for each in running:
            each.absorb(shard, task.tiling)
    return running


def _take_apart(part: Tensor) -> tuple[Tensor, Tensor]:
    return part[..., :-1], part[..., -1]


def _mesh_backward(
    task: Task, pull: Pull, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gather the same again and the gradients with it; sum what belongs to others at home."""
    ranks, spans, width = task.ranks, task.layout.spans, key.shape[-1]
    asked = ranks.gather(torch.cat((pull.query, pull.grad_out), -1), task.rows)
    sums = ranks.gather(torch.stack((pull.lse, pull.gained), -1), task.rows)
    packed = ranks.gather(Shard.pack(key, value, ()).packed, task.columns)
    pulls = [
        Pull(both[..., :width], both[..., width:], sum_[..., 0], sum_[..., 1], spans(rank))
        for rank, both, sum_ in zip(task.rows, asked, sums, strict=True)
    ]
    to_queries = [torch.zeros_like(each.query, dtype=pull.lse.dtype) for each in pulls]
    to_shards = []
    for rank, part in zip(task.columns, packed, strict=True):
        shard = Shard(part, width, spans(rank))
        to_shard = torch.zeros_like(part, dtype=pull.lse.dtype)
        for each, to_query in zip(pulls, to_queries, strict=True):
            to_shard += differentiate(each, shard, task.tiling, to_query)
        to_shards.append(to_shard)
    to_query = torch.stack(ranks.scatter(to_queries, task.rows)).sum(0)
    to_shard = torch.stack(ranks.scatter(to_shards, task.columns)).sum(0)
    return to_query, to_shard[..., :width], to_shard[..., width:]


def _heads_forward(task: Task, query: Tensor, key: Tensor, value: Tensor) -> Done:
    """Trade positions for heads, attend to whole sequences of few heads, and trade back."""
    spans = task.everything
    query = _split_heads(task, query)
    shard = Shard(_split_heads(task, Shard.pack(key, value, ()).packed), key.shape[-1], spans)
    running = Running(query, value.shape[-1], spans)
    running.absorb(shard, task.tiling)
    out, lse = running.finish()
    key, value = shard.packed[..., : shard.width], shard.packed[..., shard.width :]
    saved = (query, key, value, out, lse)
    back = _join_heads(task, out.to(query.dtype))
    sums = _join_heads(task, lse[..., None])[..., 0] if task.wants_lse else lse.new_empty(0)
    return Done(back, sums, saved)


def _heads_backward(
    task: Task, pull: Pull, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The same trades for the gradients."""
    width, dtype = key.shape[-1], pull.query.dtype
    shard = Shard(torch.cat((key, value), -1), width, pull.spans)
    to_query = torch.zeros_like(pull.query, dtype=pull.lse.dtype)
    to_shard = differentiate(pull, shard, task.tiling, to_query)
    home = _join_heads(task, to_shard.to(dtype))
    return _join_heads(task, to_query.to(dtype)), home[..., :width], home[..., width:]


def _split_heads(task: Task, tensor: Tensor) -> Tensor:
    """Turn (B, G, ..., rows, x) of this rank's rows into (B, G / P, ..., P rows, x)."""
    if task.ranks.size == 1:
        return tensor
    apart = torch.unflatten(tensor, 1, (task.ranks.size, -1)).movedim(1, 0)
    return task.ranks.exchange(apart).movedim(0, -3).flatten(-3, -2)


def _join_heads(task: Task, tensor: Tensor) -> Tensor:
    """Undo `_split_heads`."""
    if task.ranks.size == 1:
        return tensor
    apart = torch.unflatten(tensor, -2, (task.ranks.size, -1)).movedim(-3, 0)
    return task.ranks.exchange(apart).movedim(0, 1).flatten(1, 2)
