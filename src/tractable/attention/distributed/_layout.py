"""Which rank holds which positions of the sequence."""

import math
from typing import Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Shaped
from torch import Tensor
from torch.distributed import ProcessGroup

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.attention.distributed._ranks import Ranks

__all__ = [
    "Layout",
    "LayoutName",
    "Span",
    "check_layout",
    "plan_layout",
    "shard_sequence",
    "unshard_sequence",
]

LayoutName = Literal["contiguous", "zigzag"]


class Span(NamedTuple):
    """A run of positions that lie in consecutive rows of a shard."""

    row: int
    """The first one's row."""
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many there are."""
        return self.stop - self.start


class Layout(NamedTuple):
    """A sequence cut over ranks; every shard has room for as many rows, the last are short."""

    length: int
    ranks: int
    name: LayoutName

    @property
    def chunk(self) -> int:
        """Positions of a chunk, of which contiguous shards have one and zigzag ones two."""
        return -(-self.length // (self.ranks if self.name == "contiguous" else 2 * self.ranks))

    @property
    def rows(self) -> int:
        """Rows that each shard has room for."""
        return self.chunk * (1 if self.name == "contiguous" else 2)

    def spans(self, rank: int) -> tuple[Span, ...]:
        """Return what a rank holds, in the order of its rows; they are filled from the first."""
        chunks = [rank] if self.name == "contiguous" else [rank, 2 * self.ranks - 1 - rank]
        found = []
        for i, chunk in enumerate(chunks):
            start = min(chunk * self.chunk, self.length)
            stop = min(start + self.chunk, self.length)
            if start < stop:
                found.append(Span(i * self.chunk, start, stop))
        return tuple(found)

    def held(self, rank: int) -> int:
        """How many positions a rank holds."""
        return sum(span.size for span in self.spans(rank))


def check_layout(name: str) -> LayoutName:
    """Return the layout's name, or say which there are."""
    if name not in get_args(LayoutName):
        raise RangeError(f"layout is {name!r}; wanted one of {', '.join(get_args(LayoutName))}")
    return cast("LayoutName", name)


def shard_sequence(
    tensor: Shaped[Tensor, "..."],
    dim: int = -2,
    group: ProcessGroup | None = None,
    layout: str = "contiguous",
) -> Shaped[Tensor, "..."]:
    """Return this rank's part of a sequence that every rank holds whole. Nothing is sent.

    Args:
        tensor: the whole sequence.
        dim: the axis of positions.
        group: the ranks; the default group, or one rank where there is none.
        layout: "contiguous" runs, or "zigzag": of 2 P chunks, rank r takes r and 2P - 1 - r, so
            that causal attention costs all ranks the same.

    Returns:
        A part with ceil(L / P) positions, or 2 ceil(L / 2P); the last ranks may have fewer, even
        none.

    Raises:
        ShapeError: without such an axis, or positions.
        RangeError: for another layout.

    Example:
        >>> shard_sequence(torch.arange(5), 0).tolist()
        [0, 1, 2, 3, 4]
    """
    ranks = Ranks(group)
    name = check_layout(layout)
    dim = _check_axis(tensor, dim)
    if tensor.shape[dim] == 0:
        raise ShapeError(f"tensor has shape {tuple(tensor.shape)}; wanted positions on axis {dim}")
    spans = Layout(tensor.shape[dim], ranks.size, name).spans(ranks.rank)
    parts = [tensor.narrow(dim, span.start, span.size) for span in spans]
    return torch.cat(parts, dim) if parts else tensor.narrow(dim, 0, 0)


def unshard_sequence(
    tensor: Shaped[Tensor, "..."],
    dim: int = -2,
    group: ProcessGroup | None = None,
    layout: str = "contiguous",
    *,
    length: int | None = None,
) -> Shaped[Tensor, "..."]:
    """Gather the whole sequence on every rank, without gradients; notes `bytes sent`.

    Args:
        tensor: this rank's part, as from `shard_sequence`.
        dim, group, layout: as in `shard_sequence`.
        length: positions of the whole; by default, parts times ranks.

    Returns:
        The whole sequence.

    Raises:
        ShapeError: if the part is not what this rank holds of such a length.
        RangeError: for another layout.
    """
    ranks = Ranks(group)
    dim = _check_axis(tensor, dim)
    name = check_layout(layout)
    plan = plan_layout(tensor.shape[dim], ranks, name, length)
    whole = tensor.detach().movedim(dim, 0)
    flat = whole.reshape(whole.shape[0], math.prod(whole.shape[1:]))
    padded = F.pad(flat, (0, 0, 0, plan.rows - whole.shape[0]))
    parts = ranks.gather(padded, range(ranks.size))
    out = whole.new_empty(plan.length, padded.shape[1])
    for rank, part in enumerate(parts):
        for span in plan.spans(rank):
            out[span.start : span.stop] = part[span.row : span.row + span.size]
    return out.reshape(plan.length, *whole.shape[1:]).movedim(0, dim)


def plan_layout(held: int, ranks: Ranks, name: LayoutName, length: int | None) -> Layout:
    """Return the layout of which this rank holds so many positions, or say what does not fit."""
    if length is None:
        if name == "zigzag" and held % 2 and ranks.size > 1:
            raise ShapeError(
                f"a zigzag shard has {held} positions; wanted two chunks of the same size; pass "
                "the whole length where the last ranks hold fewer"
            )
        length = held * ranks.size
    layout = Layout(check_integer("length", length, low=0), ranks.size, name)
    if layout.length == 0:
        raise ShapeError("the shard has no positions; wanted some, or the whole length")
    if layout.held(ranks.rank) != held:
        raise ShapeError(
            f"rank {ranks.rank} has {held} positions; wanted {layout.held(ranks.rank)} of "
            f"{layout.length} in {name} layout over {ranks.size} ranks, as shard_sequence cuts"
        )
    return layout


def _check_axis(tensor: Tensor, dim: int) -> int:
    if not -tensor.ndim <= dim < tensor.ndim:
        raise ShapeError(f"tensor has {tensor.ndim} axes; wanted one called {dim}")
    return dim % tensor.ndim
