"""The public function: checks on which the ranks agree, padding, and the differentiable call."""

import math
import zlib
from collections.abc import Callable
from typing import Any, Literal, overload

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed import ProcessGroup

from tractable._core import DataError, DTypeError, RangeError, ShapeError, TractableError
from tractable._core.checks import check_integer, check_number
from tractable.attention.distributed._block import Tiling, widen
from tractable.attention.distributed._layout import check_layout, plan_layout
from tractable.attention.distributed._ranks import Ranks
from tractable.attention.distributed._schedules import Task, run_backward, run_forward
from tractable.attention.distributed._volume import (
    Algorithm,
    check_algorithm,
    check_mesh,
    communication_volume,
)

__all__ = ["CHECK_BYTES", "distributed_attention"]

Tensors = tuple[Tensor, Tensor, Tensor]

MESSAGE = 16
CHECK_BYTES = 8 * MESSAGE
"""What each rank sends each other one when it checks."""


@overload
def distributed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    group: ProcessGroup | None = ...,
    algorithm: str = ...,
    is_causal: bool = ...,
    scale: float | None = ...,
    layout: str = ...,
    length: int | None = ...,
    mesh: tuple[int, int] | None = ...,
    enable_gqa: bool = ...,
    chunk_size: int = ...,
    check: bool = ...,
    return_lse: Literal[False] = ...,
) -> Tensor: ...


@overload
def distributed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    group: ProcessGroup | None = ...,
    algorithm: str = ...,
    is_causal: bool = ...,
    scale: float | None = ...,
    layout: str = ...,
    length: int | None = ...,
    mesh: tuple[int, int] | None = ...,
    enable_gqa: bool = ...,
    chunk_size: int = ...,
    check: bool = ...,
    return_lse: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def distributed_attention(
    query: Float[Tensor, "B H rows d"],
    key: Float[Tensor, "B G rows d"],
    value: Float[Tensor, "B G rows e"],
    *,
    group: ProcessGroup | None = None,
    algorithm: str = "ring",
    is_causal: bool = False,
    scale: float | None = None,
    layout: str = "contiguous",
    length: int | None = None,
    mesh: tuple[int, int] | None = None,
    enable_gqa: bool = False,
    chunk_size: int = 512,
    check: bool = True,
    return_lse: bool = False,
) -> Float[Tensor, "B H rows e"] | tuple[Float[Tensor, "B H rows e"], Float[Tensor, "B H rows"]]:
    """Attend to a sequence whose positions are spread over ranks; every rank passes its own.

    All ranks call with the same options; first gradients flow, and then all ranks take part in
    the backward pass too. Notes `bytes sent` and `flops` of this rank, in both passes.

    Args:
        query: (B, H, rows, d), this rank's part as `shard_sequence` cuts it.
        key, value: (B, G, rows, d) and (B, G, rows, e), the same positions.
        group: the ranks; the default group, or one rank where there is none. Messages go by the
            tensors' device: gloo on the CPU, NCCL on GPUs.
        algorithm: "ring" needs least memory; "allgather", the simplest, holds all keys;
            "ulysses" trades positions for heads and sends least where G is a multiple of the
            ranks; "mesh2d" gathers on a grid of ranks and sends less than a ring from four on.
        is_causal: whether a position reads only keys up to itself.
        scale: factor of the scores; d ** -0.5 by default.
        layout: how the sequence was cut; "zigzag" balances a causal ring.
        length: positions of the whole sequence; only wanted where shards differ in length.
        mesh: rows and columns for "mesh2d"; by default those that send least.
        enable_gqa: allow G < H key heads, each for H / G query heads in turn.
        chunk_size: rows and columns of a tile of scores.
        check: agree beforehand, by 128 bytes to each rank, that all inputs fit together and are
            finite, so that a mistake raises everywhere; without, it may hang the other ranks.
        return_lse: return the logarithms of the softmax's sums too.

    Returns:
        (B, H, rows, e) in the query's dtype; with `return_lse` also (B, H, rows), with at least
        32 bits.

    Raises:
        ShapeError: if tensors do not fit together, or with those of other ranks.
        DTypeError: for dtypes or devices that differ.
        RangeError: for an option that does not exist or does not fit the number of ranks.
        DataError: for NaN, infinities, or entries whose scores or sums could overflow.

    Example:
        >>> x = torch.ones(1, 2, 6, 4)
        >>> bool((distributed_attention(x, x, x) == 1).all())
        True
    """
    ranks = Ranks(group)
    options = {
        "layout": layout,
        "length": length,
        "mesh": mesh,
        "enable_gqa": enable_gqa,
        "return_lse": return_lse,
    }
    trouble: TractableError | None = None
    task: Task | None = None
    try:
        name = check_algorithm(algorithm)
        _check_tensors(query, key, value, enable_gqa)
        factor = query.shape[-1] ** -0.5 if scale is None else check_number("scale", scale)
        tiling = Tiling(factor, is_causal, check_integer("chunk_size", chunk_size, low=1))
        task = _plan(ranks, name, tiling, (query, key, value), options)
    except TractableError as error:
        trouble = error
    if check and isinstance(query, Tensor):
        trouble = _agree(ranks, task, (query, key, value), trouble)
    if trouble is not None:
        raise trouble
    if task is None:
        raise RangeError("there is no plan and no reason; report this as a fault")
    held, groups = query.shape[2], key.shape[1]
    padded = [query, key, value]
    if held < task.layout.rows:
        padded = [F.pad(x, (0, 0, 0, task.layout.rows - held)) for x in padded]
    apply: Callable[..., tuple[Tensor, Tensor]] = _Attend.apply
    out, lse = apply(task, torch.unflatten(padded[0], 1, (groups, -1)), *padded[1:])
    out = out.flatten(1, 2)[:, :, :held]
    return (out, lse.flatten(1, 2)[:, :, :held]) if return_lse else out


class _Attend(torch.autograd.Function):
    """A schedule, forward and backward; scores are made again instead of kept."""

    @staticmethod
    def forward(
        ctx: Any, task: Task, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        done = run_forward(task, query, key, value)
        ctx.task = task
        ctx.save_for_backward(*done.saved)
        return done.out.to(query.dtype), done.lse

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_out: Tensor, grad_lse: Tensor
    ) -> tuple[None, Tensor, Tensor, Tensor]:
        saved = ctx.saved_tensors
        grads = run_backward(ctx.task, saved, grad_out, grad_lse)
        dtype = saved[0].dtype
        return None, grads[0].to(dtype), grads[1].to(dtype), grads[2].to(dtype)


def _plan(
    ranks: Ranks, name: Algorithm, tiling: Tiling, tensors: Tensors, options: dict[str, Any]
) -> Task:
    query, key, value = tensors
    plan = plan_layout(query.shape[2], ranks, check_layout(options["layout"]), options["length"])
    groups = key.shape[1]
    if name == "ulysses" and groups % ranks.size:
        raise RangeError(
            f"key has {groups} heads on {ranks.size} ranks; 'ulysses' wanted a multiple; take "
            "another algorithm, or repeat the key heads"
        )
    mesh = options["mesh"]
    if name == "mesh2d" and mesh is None:
        mesh = communication_volume(
            name,
            ranks.size,
            plan.length,
            query.shape[3],
            query.shape[1],
            kv_heads=groups,
            value_width=value.shape[3],
            dtype=query.dtype,
        ).mesh
    sides = check_mesh(name, ranks.size, mesh)
    return Task(ranks, plan, name, sides, tiling, options["return_lse"])


def _check_tensors(query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not isinstance(tensor, Tensor):
            raise DTypeError(f"{name} is {type(tensor).__name__}; wanted a tensor")
        if tensor.ndim != 4:
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; wanted (B, H, rows, width)")
        if not tensor.is_floating_point():
            raise DTypeError(f"{name} has dtype {tensor.dtype}; wanted floating-point; convert it")
        if tensor.dtype != query.dtype or tensor.device != query.device:
            raise DTypeError(
                f"{name} is {tensor.dtype} on {tensor.device}; wanted the query's {query.dtype} "
                f"on {query.device}"
            )
        if tensor.shape[1] == 0 or tensor.shape[3] == 0:
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; wanted heads and a width")
        if tensor.shape[0] != query.shape[0] or tensor.shape[2] != query.shape[2]:
            raise ShapeError(
                f"{name} has batch {tensor.shape[0]} and {tensor.shape[2]} rows; wanted the "
                f"query's {query.shape[0]} and {query.shape[2]}"
            )
    if key.shape[3] != query.shape[3]:
        raise ShapeError(f"key has width {key.shape[3]}; wanted the query's {query.shape[3]}")
    if value.shape[1] != key.shape[1]:
        raise ShapeError(f"value has {value.shape[1]} heads; wanted the key's {key.shape[1]}")
    heads, groups = query.shape[1], key.shape[1]
    if heads % groups or (heads != groups and not enable_gqa):
        wanted = "a divisor of" if enable_gqa else "with enable_gqa a divisor of, else"
        raise ShapeError(f"key has {groups} heads; wanted {wanted} the query's {heads}")


def _agree(
    ranks: Ranks, task: Task | None, tensors: Tensors, trouble: TractableError | None
) -> TractableError | None:
    """Tell all ranks what this one was given; return what is wrong here or elsewhere."""
    query = tensors[0]
    said = [0.0] * MESSAGE
    if task is not None and trouble is None:
        said = _describe(task, tensors)
    message = torch.tensor(said, dtype=torch.float64, device=query.device)
    heard = ranks.exchange(message.expand(ranks.size, -1)).reshape(-1, MESSAGE).tolist()
    if task is None or trouble is not None:
        return trouble
    for rank, other in enumerate(heard):
        if not other[0]:
            return DataError(f"rank {rank} was given wrong input; its own error says which")
        if other[:-3] != said[:-3]:
            return ShapeError(
                f"rank {rank} was given other shapes, dtypes or options than rank {ranks.rank}; "
                "wanted the same on all ranks, gradients wanted or not included"
            )
    sizes = [[abs(number) for number in other[-3:]] for other in heard]
    for name, column in zip(("query", "key", "value"), zip(*sizes, strict=True), strict=True):
        for rank, size in enumerate(column):
            if not math.isfinite(size):
                return DataError(
                    f"{name} of rank {rank} has NaN or infinite entries; clean or mask them first"
                )
    largest = [max(column) for column in zip(*sizes, strict=True)]
    limit = torch.finfo(widen(query.dtype)).max / 4
    scores = abs(task.tiling.scale) * query.shape[-1] * largest[0] * largest[1]
    if max(scores, largest[2] * task.layout.length) > limit:
        return DataError(
            f"scores can reach {scores:.3g} and sums {largest[2] * task.layout.length:.3g}, beyond "
            f"{widen(query.dtype)}; lower scale or divide entries by a factor"
        )
    return None


def _describe(task: Task, tensors: Tensors) -> list[float]:
    """What must be the same on all ranks, and then the largest entries of the three tensors."""
    query, key, value = tensors
    text = f"{task.algorithm} {task.layout.name} {query.dtype} {task.mesh} {task.wants_lse}"
    wants_grad = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    largest = [max(map(abs, _ends(x))) for x in tensors]
    described = [
        1.0,
        float(zlib.crc32(text.encode())),
        *(float(size) for size in (*query.shape[:2], query.shape[3], key.shape[1], value.shape[3])),
        float(task.layout.length),
        task.tiling.scale,
        float(task.tiling.is_causal),
        float(task.tiling.side),
        float(wants_grad),
    ]
    return described + [0.0] * (MESSAGE - 3 - len(described)) + largest


def _ends(tensor: Tensor) -> tuple[float, float]:
    """Least and largest entry; NaN if there is one."""
    if tensor.numel() == 0:
        return 0.0, 0.0
    least, largest = torch.aminmax(tensor.detach())
    return float(least), float(largest)
