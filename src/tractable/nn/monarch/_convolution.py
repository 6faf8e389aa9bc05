"""Long convolutions: as many taps as tokens, by Monarch transforms or other means."""

import math
from functools import cache, lru_cache
from types import ModuleType
from typing import Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Float
from torch import Tensor

from tractable._core import DTypeError, MissingPackageError, RangeError, ShapeError
from tractable.nn.monarch._counting import note_flops
from tractable.nn.monarch._factors import check_order
from tractable.nn.monarch._fft import find_sizes, monarch_fft

__all__ = ["Backend", "Operands", "long_conv"]

Backend = Literal["auto", "fft", "monarch", "direct", "triton"]
Operands = Literal["float16", "bfloat16"]


def long_conv(
    u: Float[Tensor, "B C L"],
    k: Float[Tensor, "*two C L"],
    *,
    causal: bool = True,
    backend: Backend = "auto",
    skip: Float[Tensor, "C"] | None = None,
    order: int = 2,
    operands: Operands = "float16",
) -> Float[Tensor, "B C L"]:
    """Convolve every channel with a filter as long as the sequence, without wrapping around.

    y_t is the sum over s of k_(t-s) u_s, plus skip times u_t. All backends give the same values
    up to rounding, and gradients. Notes `flops`: 2 L^2 a row where direct, twice that in both
    directions, and by N and log2 N or the transforms' sizes else.

    Args:
        u: (B, C, L).
        k: (C, L), taps at lags 0 to L - 1; or (2, C, L) with causal=False, k[0] at lags 0 to
            L - 1 and k[1] at lags -1 to -L.
        causal: whether no later token is read; decides the shape of k.
        backend: "fft" is torch's, padded to twice the length; "monarch" multiplies by small
            DFT matrices, half the length since real rows need no more; "direct" sums
            by the definition; "triton" fuses the Monarch transforms into CUDA kernels on
            16-bit operands. "auto" is "triton" where tensors are on a CUDA device and their
            dtype, or `torch.set_float32_matmul_precision`, allows 16 bits; else "fft".
        skip: (C,), the weight of u itself.
        order: factors of each transform, for "monarch" only.
        operands: dtype of the tensor cores' operands, for "triton" only: float16 (rows are
            scaled first) errs by about 7e-4 of the result's norm, bfloat16 by 5e-3.

    Returns:
        (B, C, L) in u's dtype; sums are taken in 32 bits at least.

    Raises:
        ShapeError: if shapes do not fit together or with `causal`.
        DTypeError: for other dtypes than floating-point, or k on another device.
        RangeError: for an unknown backend, or "triton" for tensors that it does not serve.
        MissingPackageError: for "triton" where it is not installed.

    Example:
        >>> u, k = torch.randn(2, 3, 100), torch.randn(3, 100)
        >>> y = long_conv(u, k, backend="monarch")
        >>> torch.allclose(y, long_conv(u, k, backend="direct"), atol=1e-3)
        True
    """
    _check(u, k, skip, causal=causal, backend=backend, operands=operands)
    check_order(order)
    if u.numel() == 0:
        return u.clone()
    if backend == "auto":
        backend = _choose(u, k)
    if backend == "triton":
        found: Tensor = _load_triton(u, k).convolve(u, k, skip, operands)
        return found
    dtype = torch.promote_types(torch.promote_types(u.dtype, k.dtype), torch.float32)
    wide, taps = u.to(dtype), k.to(dtype)
    if backend == "direct":
        out = _convolve_directly(wide, taps)
    elif backend == "fft":
        out = _convolve_by_fft(wide, taps)
    else:
        out = _convolve_by_monarch(wide, taps, order)
    if skip is not None:
        out = out + skip.to(dtype)[:, None] * wide
    return out.to(u.dtype)


def _convolve_directly(u: Tensor, k: Tensor) -> Tensor:
    """Sum by the definition, one filter a channel."""
    length = u.shape[2]
    ahead, behind = _split_taps(k)
    taps, after = ahead.flip(1), 0
    if k.ndim == 3:
        taps, after = torch.cat([taps, behind[:, : length - 1]], 1), length - 1
    note_flops(2 * u.numel() * taps.shape[1])
    # torch correlates, so taps stand in the order of the tokens that they meet.
    padded = F.pad(u, (length - 1, after))
    return F.conv1d(padded, taps[:, None], groups=u.shape[1])


def _convolve_by_fft(u: Tensor, k: Tensor) -> Tensor:
    length = u.shape[2]
    size = _find_fast_size(2 * length)
    ahead, behind = _split_taps(k)
    taps = ahead if k.ndim == 2 else _wrap(ahead, behind, size)
    spectrum = torch.fft.rfft(taps, size)
    rows = 2 * u.shape[0] * u.shape[1] + u.shape[1]
    note_flops(round(2.5 * rows * size * math.log2(size)) + 6 * u.shape[0] * spectrum.numel())
    found: Tensor = torch.fft.irfft(torch.fft.rfft(u, size) * spectrum, size)
    return found[..., :length]


def _wrap(ahead: Tensor, behind: Tensor, size: int) -> Tensor:
    """Taps on a circle: lag -1 stands last. The tap at lag -L meets no token."""
    length = ahead.shape[1]
    gap = ahead.new_zeros(ahead.shape[0], size - 2 * length + 1)
    return torch.cat([ahead, gap, behind[:, : length - 1].flip(1)], 1)


def _convolve_by_monarch(u: Tensor, k: Tensor, order: int) -> Tensor:
    """Convolve on a circle whose seam turns by a right angle, so that what wraps is imaginary.

    With weights w^t, w^N = i, one complex transform of length N serves a real row that would
    otherwise be padded to 2 N.
    """
    length = u.shape[2]
    sizes = find_sizes(length, order)
    size = math.prod(sizes)
    complex_dtype = torch.promote_types(u.dtype, torch.complex64)
    weights = _quarter_turns(size, complex_dtype, u.device)
    ahead, behind = _split_taps(k)
    taps = F.pad(ahead, (0, size - length)).to(complex_dtype)
    if k.ndim == 3:
        # A lag l below zero stands at N + l, a quarter turn back.
        early = F.pad(behind[:, : length - 1].flip(1), (size - length + 1, 0))
        taps = taps - 1j * early
    spectrum = monarch_fft(taps * weights, sizes)
    rows = monarch_fft(F.pad(u, (0, size - length)) * weights, sizes)
    note_flops(u.shape[0] * u.shape[1] * size * (6 + 2 + 3) + 2 * spectrum.numel())
    found = monarch_fft(rows * spectrum, sizes, inverse=True)
    return (found[..., :length] * weights[:length].conj()).real


@lru_cache(maxsize=16)
def _quarter_turns(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    angle = torch.arange(size, dtype=torch.float64) * (math.pi / (2 * size))
    return torch.polar(torch.ones_like(angle), angle).to(device, dtype)


def _split_taps(k: Tensor) -> tuple[Tensor, Tensor]:
    return (k, torch.zeros_like(k)) if k.ndim == 2 else (k[0], k[1])


def _find_fast_size(least: int) -> int:
    """The least product of twos, threes and fives that is at least `least`, and even."""
    best: int = 2 ** max(1, (least - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            rest = -(-least // three)
            size = three * 2 ** max(1, (rest - 1).bit_length())
            best = min(best, size) if size >= least else best
            three *= 3
        five *= 5
    return best


def _choose(u: Tensor, k: Tensor) -> Backend:
    narrow = _serves(u, k) and (u.dtype != torch.float32 or _allows_narrow())
    return "triton" if narrow and _find_triton() is not None else "fft"


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator,unused-ignore]
def _allows_narrow() -> bool:
    """Whether products of float32 numbers may be taken of narrower ones."""
    return torch.get_float32_matmul_precision() != "highest"


def _serves(u: Tensor, k: Tensor) -> bool:
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    return u.is_cuda and u.dtype in dtypes and k.dtype in dtypes


def _load_triton(u: Tensor, k: Tensor) -> ModuleType:
    if not _serves(u, k):
        raise RangeError(
            f"backend is 'triton' and the tensors are {u.dtype} and {k.dtype} on {u.device}; it "
            "takes float32, float16 or bfloat16 on a CUDA device: use backend='fft'"
        )
    found = _find_triton()
    if found is None:
        raise MissingPackageError(
            "triton is not installed; it comes with torch for CUDA, or pip install triton"
        )
    return found


@cache
def _find_triton() -> ModuleType | None:
    try:
        from tractable.nn.monarch import _triton
    except ImportError:
        return None
    return _triton


def _check(
    u: Tensor, k: Tensor, skip: Tensor | None, *, causal: bool, backend: str, operands: str
) -> None:
    if backend not in get_args(Backend):
        raise RangeError(f"backend is {backend!r}; wanted one of {', '.join(get_args(Backend))}")
    if operands not in get_args(Operands):
        raise RangeError(f"operands is {operands!r}; wanted {' or '.join(get_args(Operands))}")
    if u.ndim != 3 or u.shape[2] == 0:
        raise ShapeError(f"u has shape {tuple(u.shape)}; wanted (B, C, L) with L at least 1")
    wanted = tuple(u.shape[1:]) if causal else (2, *u.shape[1:])
    if tuple(k.shape) != wanted:
        raise ShapeError(
            f"k has shape {tuple(k.shape)} with causal={causal}; wanted {wanted}: (C, L) for a "
            "causal filter, (2, C, L) for one of both directions"
        )
    if skip is not None and tuple(skip.shape) != (u.shape[1],):
        raise ShapeError(f"skip has shape {tuple(skip.shape)}; wanted ({u.shape[1]},)")
    for name, tensor in (("u", u), ("k", k), ("skip", u if skip is None else skip)):
        if not tensor.is_floating_point():
            raise DTypeError(f"{name} has dtype {tensor.dtype}; wanted floating-point; convert it")
        if tensor.device != u.device:
            raise DTypeError(f"{name} is on {tensor.device}; wanted u's {u.device}")
