"""The GPU path: long convolutions as Triton kernels behind custom operators of torch.

Rows of up to 4,096 tokens are one block, convolved in one kernel. Longer rows are cut into
blocks: one kernel writes their spectra, another sums products of spectra for each
block of the result and transforms it back. The operators have fakes, so `torch.compile` keeps
them in one graph, and nothing reads a number back from the device.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch's CUDA wheels
from jaxtyping import Float
from torch import Tensor

from tractable.nn._kernels import monarch_conv
from tractable.nn.monarch._counting import note_flops

__all__ = ["convolve"]

OPERANDS = {"float16": torch.float16, "bfloat16": torch.bfloat16}
BLOCK, LONG_BLOCK = 2**12, 2**14
"""Numbers of a block: of longer rows, and of those so long that blocks are many."""
LONG = 2**16
"""Tokens beyond which a row is so long."""
HEADROOM = 2**15
"""Half of what float16 holds."""


class Tile(NamedTuple):
    """How a block is laid out: its sides, and warps of a program."""

    first: int
    last: int
    warps: int

    @property
    def size(self) -> int:
        """Numbers of a block."""
        return self.first * self.last


TILES = {
    2**8: Tile(16, 16, 1),
    2**9: Tile(16, 32, 2),
    2**10: Tile(32, 32, 2),
    2**11: Tile(32, 64, 2),
    2**12: Tile(64, 64, 4),
    2**14: Tile(128, 128, 8),
}


class Tables(NamedTuple):
    """What the kernels multiply by."""

    first: Tensor
    last: Tensor
    turns: Tensor


def convolve(
    u: Float[Tensor, "B C L"],
    k: Float[Tensor, "*two C L"],
    skip: Float[Tensor, "C"] | None,
    operands: str,
) -> Float[Tensor, "B C L"]:
    """Convolve; as `long_conv`."""
    length = u.shape[2]
    taps, origin = k.float(), 0
    if skip is not None:
        ahead = taps if k.ndim == 2 else taps[0]
        ahead = torch.cat([ahead[:, :1] + skip.float()[:, None], ahead[:, 1:]], 1)
        taps = ahead if k.ndim == 2 else torch.stack([ahead, taps[1]])
    if k.ndim == 3:
        tile = find_tile(length)
        origin = -(-length // tile.size) * tile.size
        taps = torch.cat([F.pad(taps[1].flip(1), (origin - length, 0)), taps[0]], 1)
    note_flops(_count_flops(u, k))
    out: Tensor = _convolve(u.contiguous(), taps.contiguous(), origin, operands == "bfloat16")
    return out


def find_tile(length: int) -> Tile:
    """Return the layout of a block for rows of one length."""
    if length > LONG:
        return TILES[LONG_BLOCK]
    return TILES[min(BLOCK, max(2**8, 2 ** max(length - 1, 1).bit_length()))]


def _count_flops(u: Tensor, k: Tensor) -> int:
    """Of the products on tensor cores: half a transform's where one side is real."""
    tile, rows = find_tile(u.shape[2]), u.shape[0] * u.shape[1]
    blocks = -(-u.shape[2] // tile.size)
    taps = u.shape[1] * (blocks if k.ndim == 2 else 2 * blocks - 1)
    one = 8 * tile.size * tile.last + 4 * tile.size * tile.first
    return one * (2 * rows * blocks + taps)


@lru_cache(maxsize=32)
def _make_tables(tile: Tile, dtype: torch.dtype, device: torch.device) -> Tables:
    return Tables(
        _make_square(tile.first, dtype).to(device),
        _make_square(tile.last, dtype).to(device),
        _rotate(torch.arange(tile.last, dtype=torch.float64) / (4 * tile.last)).to(
            device, torch.float32
        ),
    )


def _make_square(size: int, dtype: torch.dtype) -> Tensor:
    place = torch.arange(size, dtype=torch.float64) - 0.25
    return (_rotate(place[:, None] * place / size) / math.sqrt(size)).to(dtype)


def _rotate(turn: Tensor) -> Tensor:
    """exp(-2 pi i turn), real parts first."""
    angle = (turn % 1.0) * (-2 * math.pi)
    return torch.stack([angle.cos(), angle.sin()])


def _transform(
    rows: Tensor,
    tables: Tables,
    tile: Tile,
    lowest: int,
    blocks: int,
    *,
    turned: bool,
    folded: bool,
) -> tuple[Tensor, Tensor]:
    """Spectra (rows, blocks, 2, n1, n2) in float16, and the sizes that they were divided by."""
    count, length = rows.shape
    spectra = rows.new_empty((count, blocks, 2, tile.first, tile.last), dtype=torch.float16)
    scales = rows.new_empty((count, blocks), dtype=torch.float32)
    monarch_conv.transform[(count * blocks,)](
        rows,
        spectra,
        scales,
        tables.first,
        tables.last,
        tables.turns,
        blocks,
        lowest,
        length,
        N1=tile.first,
        N2=tile.last,
        IS_SQUARE=tile.first == tile.last,
        IS_WHOLE=length % tile.size == 0,
        IS_TURNED=turned,
        IS_FOLDED=folded,
        num_warps=tile.warps,
        num_stages=1,
    )
    return spectra, scales


class _Plan(NamedTuple):
    """What forward and backward agree on."""

    tile: Tile
    blocks: int
    """Blocks of a row."""
    origin: int
    """Block of the taps that begins with lag 0."""
    lowest: int
    """First block of lags that any two blocks of tokens lie apart."""

    @property
    def lags(self) -> int:
        """Such blocks."""
        return self.blocks - self.lowest


def _plan(length: int, origin: int) -> _Plan:
    tile = find_tile(length)
    blocks = -(-length // tile.size)
    return _Plan(tile, blocks, origin // tile.size, 1 - blocks if origin else 0)


def _find_taps(taps: Tensor, plan: _Plan) -> tuple[Tensor, Tensor]:
    """Spectra of the filter between blocks, at full precision of float16 whatever the operands."""
    tables = _make_tables(plan.tile, torch.float16, taps.device)
    lowest = plan.origin + plan.lowest
    folded = lowest > 0 or plan.lags > 1
    return _transform(taps, tables, plan.tile, lowest, plan.lags, turned=True, folded=folded)


def _apply(x: Tensor, taps: Tensor, origin: int, is_coarse: bool, is_adjoint: bool) -> Tensor:
    batch, channels, length = x.shape
    plan = _plan(length, origin)
    tile = plan.tile
    dtype = torch.bfloat16 if is_coarse else torch.float16
    tables = _make_tables(tile, dtype, x.device)
    spectra, scales = _find_taps(taps, plan)
    out = torch.empty_like(x)
    room = min(1.0, HEADROOM / (tile.size * plan.blocks))
    if plan.blocks == 1:
        monarch_conv.convolve[(channels * batch,)](
            x,
            out,
            spectra,
            scales,
            *tables[:2],
            batch,
            channels,
            length,
            room,
            math.sqrt(tile.size),
            N1=tile.first,
            N2=tile.last,
            IS_SQUARE=tile.first == tile.last,
            IS_WHOLE=length == tile.size,
            IS_ADJOINT=is_adjoint,
            num_warps=tile.warps,
            num_stages=1,
        )
        return out
    parts, sizes = _transform(
        x.flatten(0, 1), tables, tile, 0, plan.blocks, turned=False, folded=False
    )
    monarch_conv.combine[(batch * channels * plan.blocks,)](
        parts,
        sizes,
        sizes.amax(1),
        spectra,
        scales,
        scales.amax(1),
        out,
        *tables[:2],
        batch,
        channels,
        plan.blocks,
        plan.lags,
        plan.lowest,
        length,
        room,
        math.sqrt(tile.size),
        N1=tile.first,
        N2=tile.last,
        IS_SQUARE=tile.first == tile.last,
        IS_WHOLE=length % tile.size == 0,
        IS_ADJOINT=is_adjoint,
        num_warps=tile.warps,
        num_stages=1,
    )
    return out


@torch.library.custom_op("tractable::monarch_convolve", mutates_args=())
def _convolve(u: Tensor, taps: Tensor, origin: int, is_coarse: bool) -> Tensor:
    return _apply(u, taps, origin, is_coarse, is_adjoint=False)


@_convolve.register_fake
def _(u: Tensor, taps: Tensor, origin: int, is_coarse: bool) -> Tensor:
    return torch.empty_like(u)


@torch.library.custom_op("tractable::monarch_convolve_rows_backward", mutates_args=())
def _differentiate_rows(grad: Tensor, taps: Tensor, origin: int, is_coarse: bool) -> Tensor:
    return _apply(grad.contiguous(), taps, origin, is_coarse, is_adjoint=True)


@_differentiate_rows.register_fake
def _(grad: Tensor, taps: Tensor, origin: int, is_coarse: bool) -> Tensor:
    return grad.new_empty(grad.shape)


@torch.library.custom_op("tractable::monarch_convolve_taps_backward", mutates_args=())
def _differentiate_taps(
    grad: Tensor, u: Tensor, count: int, origin: int, is_coarse: bool
) -> Tensor:
    batch, channels, length = u.shape
    plan = _plan(length, origin)
    tile = plan.tile
    tables = _make_tables(tile, torch.bfloat16 if is_coarse else torch.float16, u.device)
    grad = grad.contiguous().flatten(0, 1)
    options = (tables, tile, 0, plan.blocks)
    grads, grads_scale = _transform(grad, *options, turned=False, folded=False)
    spectra, scales = _transform(u.flatten(0, 1), *options, turned=True, folded=False)
    out = u.new_empty((channels, count), dtype=torch.float32)
    out_blocks = triton.cdiv(count, tile.size)
    monarch_conv.correlate[(channels * out_blocks,)](
        grads,
        grads_scale,
        grads_scale.view(batch, channels, -1).amax((0, 2)),
        spectra,
        scales,
        scales.view(batch, channels, -1).amax((0, 2)),
        out,
        *tables[:2],
        batch,
        channels,
        plan.blocks,
        out_blocks,
        plan.origin,
        count,
        min(1.0, HEADROOM / (tile.size * plan.blocks * batch)),
        math.sqrt(tile.size),
        N1=tile.first,
        N2=tile.last,
        IS_SQUARE=tile.first == tile.last,
        IS_WHOLE=count % tile.size == 0,
        num_warps=tile.warps,
        num_stages=1,
    )
    return out


@_differentiate_taps.register_fake
def _(grad: Tensor, u: Tensor, count: int, origin: int, is_coarse: bool) -> Tensor:
    return u.new_empty((u.shape[1], count), dtype=torch.float32)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[2:]


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    u, taps = ctx.saved_tensors
    rows = columns = None
    if ctx.needs_input_grad[0]:
        rows = torch.ops.tractable.monarch_convolve_rows_backward(grad, taps, *ctx.options)
    if ctx.needs_input_grad[1]:
        columns = torch.ops.tractable.monarch_convolve_taps_backward(
            grad, u, taps.shape[1], *ctx.options
        )
    return rows, columns, None, None


_convolve.register_autograd(_differentiate, setup_context=_remember)
