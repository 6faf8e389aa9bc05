"""What a schedule sends and holds, in closed form."""

import math
from typing import Literal, NamedTuple, cast, get_args

import torch

from tractable._core import RangeError
from tractable._core.checks import check_integer
from tractable.attention.distributed._block import widen
from tractable.attention.distributed._layout import Layout, check_layout

__all__ = ["Algorithm", "Volume", "check_algorithm", "check_mesh", "communication_volume"]

Algorithm = Literal["ring", "allgather", "ulysses", "mesh2d"]


class Volume(NamedTuple):
    """Bytes of one rank; multiply by the ranks for what `count` reads over all of them."""

    forward: int
    """Sent in the forward pass."""
    backward: int
    """Sent in the backward pass."""
    held: int
    """Held at once in the forward pass, about: beyond inputs, output and the scores of a tile."""
    mesh: tuple[int, int]
    """Rows and columns of ranks on a mesh."""


def communication_volume(
    algorithm: str,
    ranks: int,
    length: int,
    width: int,
    heads: int,
    *,
    kv_heads: int | None = None,
    value_width: int | None = None,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    layout: str = "contiguous",
    mesh: tuple[int, int] | None = None,
    return_lse: bool = False,
) -> Volume:
    """Return how many bytes each rank sends and holds; without checks, to the byte.

    With m = L d / P words of one head's shard, a ring and an all-gather send 2 (P - 1) m words
    forward, an exchange of heads 4 m (P - 1) / P, and a square mesh 4 (sqrt(P) - 1) m and its
    log-sums. Key heads that are shared make keys and values, and nothing else, smaller.

    Args:
        algorithm: "ring", "allgather", "ulysses" or "mesh2d".
        ranks: P.
        length: L, of the whole sequence; shards are as long as the longest.
        width: d, of queries and keys.
        heads: H, of queries.
        kv_heads: G, of keys and values; H by default.
        value_width: e; d by default.
        batch: B.
        dtype: of the tensors; sums have at least 32 bits.
        layout: "contiguous" or "zigzag"; only its rounding matters.
        mesh: rows and columns for "mesh2d"; by default those that send least.
        return_lse: whether log-sums are asked for, which an exchange of heads sends too.

    Returns:
        The bytes, and the mesh.

    Raises:
        RangeError: for a schedule, layout or mesh that there is not.

    Example:
        >>> volume = communication_volume("ring", 4, 1024, 64, 1)
        >>> volume.forward == 2 * 3 * (1024 * 64 // 4) * 4
        True
    """
    name = check_algorithm(algorithm)
    plan = Layout(
        check_integer("length", length, low=1),
        check_integer("ranks", ranks, low=1),
        check_layout(layout),
    )
    groups = heads if kv_heads is None else kv_heads
    out_width = width if value_width is None else value_width
    sizes = _measure(batch * plan.rows, (heads, groups), (width, out_width), dtype)
    if name == "mesh2d" and mesh is None:
        meshes = [(ranks // columns, columns) for columns in range(1, ranks + 1)]
        fitting = [each for each in meshes if math.prod(each) == ranks]
        mesh = min(fitting, key=lambda each: sum(_mesh_bytes(sizes, *each)[:2]))
    rows, columns = check_mesh(name, ranks, mesh)
    others = ranks - 1
    if name == "ring":
        forward, home = others * sizes.shard, ranks * sizes.shard_sums if others else 0
        held = (1 if ranks == 1 else 2) * sizes.shard
        found = (forward, forward + home, held)
    elif name == "ulysses":
        stats = sizes.sums if return_lse else 0
        moved = sizes.query + sizes.shard + sizes.out
        sent = others * (moved + stats) // ranks
        # Keys and values as they were packed, as they leave and as they arrive.
        held = sizes.query + 3 * sizes.shard if others else sizes.shard
        found = (sent, sent, held)
    else:
        found = _mesh_bytes(sizes, rows, columns)
    return Volume(*found, (rows, columns))


class _Sizes(NamedTuple):
    """Bytes of one rank's tensors."""

    query: int
    out: int
    shard: int
    """Keys and values."""
    query_sums: int
    """A query, an output, a shard and a number a row, in the dtype of sums."""
    out_sums: int
    shard_sums: int
    sums: int


def _measure(
    rows: int, heads: tuple[int, int], widths: tuple[int, int], dtype: torch.dtype
) -> _Sizes:
    """Multiply rows with heads of queries and keys, widths of keys and values, and bytes."""
    item, wide = dtype.itemsize, widen(dtype).itemsize
    asked, shard = rows * heads[0], rows * heads[1] * sum(widths)
    return _Sizes(
        query=asked * widths[0] * item,
        out=asked * widths[1] * item,
        shard=shard * item,
        query_sums=asked * widths[0] * wide,
        out_sums=asked * widths[1] * wide,
        shard_sums=shard * wide,
        sums=asked * wide,
    )


def _mesh_bytes(sizes: _Sizes, rows: int, columns: int) -> tuple[int, int, int]:
    across, down = columns - 1, rows - 1
    partial = sizes.out_sums + sizes.sums
    forward = across * (sizes.query + partial) + down * sizes.shard
    again = across * (sizes.query + sizes.out + 2 * sizes.sums) + down * sizes.shard
    home = across * sizes.query_sums + down * sizes.shard_sums
    held = across * (sizes.query + sizes.out_sums) + rows * sizes.shard
    return forward, again + home, held


def check_algorithm(name: str) -> Algorithm:
    """Return the schedule's name, or say which there are."""
    if name not in get_args(Algorithm):
        raise RangeError(f"algorithm is {name!r}; wanted one of {', '.join(get_args(Algorithm))}")
    return cast("Algorithm", name)


def check_mesh(algorithm: Algorithm, ranks: int, mesh: tuple[int, int] | None) -> tuple[int, int]:
    """Return rows and columns; an all-gather is a mesh of one column."""
    if mesh is None or algorithm == "allgather":
        return ranks, 1
    rows, columns = (check_integer("mesh", side, low=1) for side in mesh)
    if rows * columns != ranks:
        raise RangeError(f"mesh is {rows} x {columns}; wanted a product of {ranks}, the ranks")
    return rows, columns
