"""Long convolutions as Monarch transforms on tensor cores, one block of a row a program.

A block of N1 N2 real numbers is an N1 x N2 matrix. Its weighted transform (frequencies shifted by
a quarter, so that what wraps around comes back imaginary) is a product with an N1 x N1 matrix,
twiddles, and a product with an N2 x N2 matrix. Both matrices are symmetric and unitary,
exp(-2 pi i (j - 1/4) (k - 1/4) / n) / sqrt(n), so one copy serves both ways; what the shifts
leave over lies in the twiddles and, for the factor that depends on the last index alone, in
`turns`, which only one side of a product takes.
"""

# ruff: noqa: PLR0917 - kernels take plain pointers and numbers, one argument each

import math
from typing import no_type_check

import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch for CUDA
import triton.language as tl  # type: ignore[import-not-found,unused-ignore]  # the same
from triton.language.extra import libdevice  # type: ignore[import-not-found,unused-ignore]

__all__ = ["combine", "convolve", "correlate", "transform"]

TURN = tl.constexpr(-2 * math.pi)


@triton.jit
@no_type_check
def _load_square(table, SIZE: tl.constexpr):
    """Both parts of a symmetric table."""
    place = tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    return tl.load(table + place), tl.load(table + SIZE * SIZE + place)


@triton.jit
@no_type_check
def _load_pair(tile, N1: tl.constexpr, N2: tl.constexpr):
    """Both parts of an N1 x N2 tile."""
    place = tl.arange(0, N1)[:, None] * N2 + tl.arange(0, N2)[None, :]
    return tl.load(tile + place), tl.load(tile + N1 * N2 + place)


@triton.jit
@no_type_check
def _find_turns(WHOLE: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """Twiddles, or with WHOLE negated those back, which are then not kept in registers till then.

    Computed where they are used, they need no exchange between threads, which a table would.
    """
    k = tl.arange(0, N1).to(tl.float32)[:, None] - 0.25
    b = tl.arange(0, N2).to(tl.float32)[None, :]
    start = (k * (0.25 / N1) - 0.0625 / N2) * WHOLE
    step = (k * (1.0 / (N1 * N2)) + 0.25 / N2) * WHOLE
    angle = start + b * step
    return libdevice.fast_cosf(angle), libdevice.fast_sinf(angle)


@triton.jit
@no_type_check
def _load_row(row, left, N1: tl.constexpr, N2: tl.constexpr, IS_WHOLE: tl.constexpr):
    """A block of numbers, zeros from place `left` on."""
    place = tl.arange(0, N1)[:, None] * N2 + tl.arange(0, N2)[None, :]
    if IS_WHOLE:
        return tl.load(row + place).to(tl.float32)
    return tl.load(row + place, mask=place < left, other=0.0).to(tl.float32)


@triton.jit
@no_type_check
def _measure(x):
    """The largest size, never so small that its inverse overflows."""
    return tl.maximum(tl.max(tl.max(tl.abs(x), 1), 0), 1e-30)


@triton.jit
@no_type_check
def _analyse(x, first_re, first_im, last_re, last_im, N1: tl.constexpr, N2: tl.constexpr):
    """Transform a real block; its last index takes `turns` elsewhere."""
    re = tl.dot(first_re, x)
    im = tl.dot(first_im, x)
    return _analyse_last(re, im, last_re, last_im, N1, N2)


@triton.jit
@no_type_check
def _analyse_last(re, im, last_re, last_im, N1: tl.constexpr, N2: tl.constexpr):
    turn_re, turn_im = _find_turns(TURN, N1, N2)
    turned_re = (re * turn_re - im * turn_im).to(last_re.dtype)
    turned_im = (re * turn_im + im * turn_re).to(last_re.dtype)
    found_re = tl.dot(turned_re, last_re)
    found_im = tl.dot(turned_re, last_im)
    found_re = tl.dot(-turned_im, last_im, found_re)
    found_im = tl.dot(turned_im, last_re, found_im)
    return found_re, found_im


@triton.jit
@no_type_check
def _synthesise(re, im, first_re, first_im, last_re, last_im, N1: tl.constexpr, N2: tl.constexpr):
    """Transform back; the real part alone."""
    re = re.to(last_re.dtype)
    im = im.to(last_re.dtype)
    mid_re = tl.dot(re, last_re)
    mid_im = tl.dot(im, last_re)
    mid_re = tl.dot(im, last_im, mid_re)
    mid_im = tl.dot(-re, last_im, mid_im)
    turn_re, turn_im = _find_turns(-TURN, N1, N2)
    back_re = (mid_re * turn_re - mid_im * turn_im).to(first_re.dtype)
    back_im = (mid_re * turn_im + mid_im * turn_re).to(first_re.dtype)
    found = tl.dot(first_re, back_re)
    return tl.dot(first_im, back_im, found)


@triton.jit
@no_type_check
def _store_row(row, found, left, N1: tl.constexpr, N2: tl.constexpr, IS_WHOLE: tl.constexpr):
    place = tl.arange(0, N1)[:, None] * N2 + tl.arange(0, N2)[None, :]
    found = found.to(row.dtype.element_ty)
    if IS_WHOLE:
        tl.store(row + place, found)
    else:
        tl.store(row + place, found, mask=place < left)


@triton.jit
@no_type_check
def convolve(
    rows, out, spectra, spectra_scale, first, last,
    batch, channels, length, room, root,
    N1: tl.constexpr, N2: tl.constexpr, IS_SQUARE: tl.constexpr, IS_WHOLE: tl.constexpr,
    IS_ADJOINT: tl.constexpr,
):  # fmt: skip
    """Rows of at most one block: there and back without leaving the chip."""
    program = tl.program_id(0).to(tl.int64)
    channel = program // batch
    row = (program % batch * channels + channel) * length
    first_re, first_im = _load_square(first, N1)
    if IS_SQUARE:
        last_re, last_im = first_re, first_im
    else:
        last_re, last_im = _load_square(last, N2)
    x = _load_row(rows + row, length, N1, N2, IS_WHOLE)
    size = _measure(x)
    x = (x * (1.0 / size)).to(first_re.dtype)
    re, im = _analyse(x, first_re, first_im, last_re, last_im, N1, N2)
    tap_re, tap_im = _load_pair(spectra + channel * 2 * N1 * N2, N1, N2)
    tap_re = tap_re.to(tl.float32) * room
    tap_im = tap_im.to(tl.float32) * room
    if IS_ADJOINT:
        tap_im = -tap_im
    product_re = (re * tap_re - im * tap_im).to(last_re.dtype)
    product_im = (re * tap_im + im * tap_re).to(last_re.dtype)
    found = _synthesise(product_re, product_im, first_re, first_im, last_re, last_im, N1, N2)
    found *= size * tl.load(spectra_scale + channel) * (root / room)
    _store_row(out + row, found, length, N1, N2, IS_WHOLE)


@triton.jit
@no_type_check
def transform(
    rows, spectra, scales, first, last, turns,
    blocks, lowest, length,
    N1: tl.constexpr, N2: tl.constexpr, IS_SQUARE: tl.constexpr, IS_WHOLE: tl.constexpr,
    IS_TURNED: tl.constexpr, IS_FOLDED: tl.constexpr,
):  # fmt: skip
    """Spectra of blocks lowest to lowest + blocks - 1 of each row, of unit size, and their sizes.

    Folded, a block's transform takes in the block before it, a quarter turn back: the filter
    that reaches from one block of tokens to another has both. Turned, the last index has its
    factor.
    """
    first_re, first_im = _load_square(first, N1)
    if IS_SQUARE:
        last_re, last_im = first_re, first_im
    else:
        last_re, last_im = _load_square(last, N2)
    place = tl.arange(0, N1)[:, None] * N2 + tl.arange(0, N2)[None, :]
    item = tl.program_id(0).to(tl.int64)
    block = lowest + item % blocks
    row = rows + item // blocks * length
    left = length - block * (N1 * N2)
    x = _load_row(row + block * (N1 * N2), left, N1, N2, IS_WHOLE)
    if IS_FOLDED:
        early = _load_row(
            row + tl.maximum(block - 1, 0) * (N1 * N2),
            tl.where(block > 0, left + N1 * N2, 0), N1, N2, False,
        )  # fmt: skip
        size = tl.maximum(_measure(x), _measure(early))
        early = (early * (1.0 / size)).to(first_re.dtype)
        x = (x * (1.0 / size)).to(first_re.dtype)
        re = tl.dot(first_re, x)
        im = tl.dot(first_im, x)
        re = tl.dot(first_im, early, re)
        im = tl.dot(-first_re, early, im)
        re, im = _analyse_last(re, im, last_re, last_im, N1, N2)
    else:
        size = _measure(x)
        x = (x * (1.0 / size)).to(first_re.dtype)
        re, im = _analyse(x, first_re, first_im, last_re, last_im, N1, N2)
    if IS_TURNED:
        turn_re = tl.load(turns + tl.arange(0, N2))[None, :]
        turn_im = tl.load(turns + N2 + tl.arange(0, N2))[None, :]
        re, im = re * turn_re - im * turn_im, re * turn_im + im * turn_re
    tile = spectra + item * (2 * N1 * N2)
    tl.store(tile + place, re.to(spectra.dtype.element_ty))
    tl.store(tile + N1 * N2 + place, im.to(spectra.dtype.element_ty))
    tl.store(scales + item, size)


@triton.jit
@no_type_check
def combine(
    spectra, scales, tops, taps, taps_scale, taps_top, out, first, last,
    batch, channels, blocks, taps_blocks, lowest, length, room, root,
    N1: tl.constexpr, N2: tl.constexpr, IS_SQUARE: tl.constexpr, IS_WHOLE: tl.constexpr,
    IS_ADJOINT: tl.constexpr,
):  # fmt: skip
    """One block of one row: the sum over its blocks times the filter that lies between them."""
    program = tl.program_id(0).to(tl.int64)
    b = program % batch
    block = ((program // batch) % blocks).to(tl.int32)
    channel = program // (batch * blocks)
    row = b * channels + channel
    top, taps_most = tl.load(tops + row), tl.load(taps_top + channel)
    # Block `other` meets the taps of lag block - other, or the opposite where adjoint.
    begin = block - lowest - taps_blocks + 1
    if IS_ADJOINT:
        begin = block + lowest
    re = tl.zeros([N1, N2], tl.float32)
    im = tl.zeros([N1, N2], tl.float32)
    for other in range(tl.maximum(begin, 0), tl.minimum(begin + taps_blocks, blocks)):
        lag = (other - block if IS_ADJOINT else block - other) - lowest
        item, tap = row * blocks + other, channel * taps_blocks + lag
        weight = tl.load(scales + item) / top * (tl.load(taps_scale + tap) / taps_most) * room
        tap_re, tap_im = _load_pair(taps + tap * (2 * N1 * N2), N1, N2)
        tap_re = tap_re.to(tl.float32)
        tap_im = tap_im.to(tl.float32)
        if IS_ADJOINT:
            tap_im = -tap_im
        x_re, x_im = _load_pair(spectra + item * (2 * N1 * N2), N1, N2)
        x_re = x_re.to(tl.float32) * weight
        x_im = x_im.to(tl.float32) * weight
        re += x_re * tap_re - x_im * tap_im
        im += x_re * tap_im + x_im * tap_re
    first_re, first_im = _load_square(first, N1)
    if IS_SQUARE:
        last_re, last_im = first_re, first_im
    else:
        last_re, last_im = _load_square(last, N2)
    found = _synthesise(re, im, first_re, first_im, last_re, last_im, N1, N2)
    start = block * (N1 * N2)
    _store_row(
        out + row * length + start, found * (top * taps_most * (root / room)), length - start,
        N1, N2, IS_WHOLE,
    )  # fmt: skip


@triton.jit
@no_type_check
def correlate(
    grads, grads_scale, grads_top, spectra, scales, tops, out, first, last,
    batch, channels, blocks, out_blocks, origin, length, room, root,
    N1: tl.constexpr, N2: tl.constexpr, IS_SQUARE: tl.constexpr, IS_WHOLE: tl.constexpr,
):  # fmt: skip
    """The gradient of one block of one filter's taps, whose lag 0 begins block `origin`."""
    program = tl.program_id(0).to(tl.int64)
    block = (program % out_blocks).to(tl.int32)
    channel = program // out_blocks
    lag = block - origin
    top, grads_most = tl.load(tops + channel), tl.load(grads_top + channel)
    weight = room / top / grads_most
    re = tl.zeros([N1, N2], tl.float32)
    im = tl.zeros([N1, N2], tl.float32)
    for b in range(0, batch):
        row = (b * channels + channel) * blocks
        for other in range(tl.maximum(0, -lag - 1), tl.minimum(blocks, blocks - lag)):
            item = row + other
            share = tl.load(scales + item) * weight
            x_re, x_im = _load_pair(spectra + item * (2 * N1 * N2), N1, N2)
            x_re = x_re.to(tl.float32) * share
            x_im = x_im.to(tl.float32) * share
            # Two blocks of gradients meet these taps; the later a quarter turn back.
            if other + lag >= 0:
                size = tl.load(grads_scale + item + lag)
                grad_re, grad_im = _load_pair(grads + (item + lag) * (2 * N1 * N2), N1, N2)
                grad_re = grad_re.to(tl.float32) * size
                grad_im = grad_im.to(tl.float32) * size
                re += grad_re * x_re + grad_im * x_im
                im += grad_im * x_re - grad_re * x_im
            if other + lag + 1 < blocks:
                size = tl.load(grads_scale + item + lag + 1)
                grad_re, grad_im = _load_pair(grads + (item + lag + 1) * (2 * N1 * N2), N1, N2)
                grad_re = grad_re.to(tl.float32) * size
                grad_im = grad_im.to(tl.float32) * size
                re -= grad_im * x_re - grad_re * x_im
                im += grad_re * x_re + grad_im * x_im
    first_re, first_im = _load_square(first, N1)
    if IS_SQUARE:
        last_re, last_im = first_re, first_im
    else:
        last_re, last_im = _load_square(last, N2)
    found = _synthesise(re, im, first_re, first_im, last_re, last_im, N1, N2)
    begin = block * (N1 * N2)
    _store_row(
        out + channel * length + begin, found * (top * grads_most * (root / room)),
        length - begin, N1, N2, IS_WHOLE,
    )  # fmt: skip
