"""The discrete Fourier transform as a Monarch matrix."""

import math
from functools import lru_cache

import torch
from jaxtyping import Complex, Shaped
from torch import Tensor

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.nn.monarch._counting import note_flops

__all__ = ["find_sizes", "monarch_dft_factors", "monarch_fft"]


def monarch_dft_factors(
    size: int, sizes: tuple[int, ...], *, dtype: torch.dtype = torch.complex128
) -> list[Complex[Tensor, "_ _ _"]]:
    """Return the factors of the transform of one size, twiddles included.

    With x's digits reversed (the paper's first permutation), `monarch_matmul(x, *factors)` is
    its transform.

    Args:
        size: the length N.
        sizes: n_1, ..., n_p whose product is N.
        dtype: complex64 or complex128.

    Returns:
        p factors (N / n_i, n_i, n_i).

    Raises:
        RangeError: if the sizes do not multiply to N.

    Example:
        >>> [tuple(f.shape) for f in monarch_dft_factors(12, (3, 4))]
        [(4, 3, 3), (3, 4, 4)]
    """
    check_integer("size", size, low=1)
    _check_sizes(size, sizes)
    factors = []
    done, rest = 1, size
    for place, n in enumerate(sizes):
        rest //= n
        # Digits still to come, in the order in which they stand after the reversal.
        later = torch.arange(rest).reshape(sizes[place + 1 :])
        later = later.permute(tuple(reversed(range(later.ndim)))).flatten()
        phase = torch.arange(n)[:, None] * (torch.arange(n) * rest + later[:, None, None])
        block = _turn(phase, n * rest, dtype)
        factors.append(block[:, None].expand(rest, done, n, n).reshape(rest * done, n, n))
        done *= n
    return factors


def monarch_fft(
    x: Shaped[Tensor, "*batch n"], sizes: tuple[int, ...], *, inverse: bool = False
) -> Complex[Tensor, "*batch n"]:
    """Transform along the last axis by products with small DFT matrices.

    Equal to `torch.fft.fft`, or `ifft`. Notes `flops`: 8 N (n_1 + ... + n_p) a vector.

    Args:
        x: (..., N), real or complex.
        sizes: n_1, ..., n_p whose product is N; two or three nearly equal ones are best.
        inverse: whether to invert, 1 / N included.

    Returns:
        (..., N), complex.

    Raises:
        ShapeError: for a tensor without axes.
        RangeError: if the sizes do not multiply to N.

    Example:
        >>> x = torch.arange(6.0)
        >>> torch.allclose(monarch_fft(x, (2, 3)), torch.fft.fft(x), atol=1e-5)
        True
    """
    if x.ndim == 0:
        raise ShapeError("x is one number; wanted vectors (..., N)")
    _check_sizes(x.shape[-1], sizes)
    if not x.is_complex():
        x = x.to(torch.promote_types(x.dtype, torch.complex64))
    note_flops(8 * x.numel() * sum(sizes))
    found = _transform(x.reshape(-1, x.shape[-1]), sizes, inverse)
    return found.reshape(x.shape)


def _transform(x: Tensor, sizes: tuple[int, ...], inverse: bool) -> Tensor:
    """One digit at a time: a product with its DFT matrix, twiddles, and the digits below."""
    size, n = x.shape[1], sizes[0]
    table = _dft(n, x.dtype, x.device, inverse)
    if len(sizes) == 1:
        return x @ table
    rest = size // n
    found = table @ x.reshape(-1, n, rest)
    found = found * _twiddles(n, rest, x.dtype, x.device, inverse)
    found = _transform(found.reshape(-1, rest), sizes[1:], inverse)
    return found.reshape(-1, n, rest).mT.reshape(-1, size)


@lru_cache(maxsize=64)
def _dft(n: int, dtype: torch.dtype, device: torch.device, inverse: bool) -> Tensor:
    index = torch.arange(n)
    found = _turn(index[:, None] * index, n, dtype).to(device)
    return found.conj_physical() / n if inverse else found


@lru_cache(maxsize=64)
def _twiddles(n: int, rest: int, dtype: torch.dtype, device: torch.device, inverse: bool) -> Tensor:
    found = _turn(torch.arange(n)[:, None] * torch.arange(rest), n * rest, dtype).to(device)
    return found.conj_physical() if inverse else found


def _turn(phase: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """exp(-2 pi i phase / size), from whole phases reduced first, so that no digit is lost."""
    angle = (phase % size).double() * (-2 * math.pi / size)
    return torch.polar(torch.ones_like(angle), angle).to(dtype)


def _check_sizes(size: int, sizes: tuple[int, ...]) -> None:
    if not sizes or any(n < 1 for n in sizes) or math.prod(sizes) != size:
        raise RangeError(
            f"sizes are {tuple(sizes)}, whose product is {math.prod(sizes)}; wanted {size}"
        )


def find_sizes(length: int, order: int) -> tuple[int, ...]:
    """Return powers of two, nearly equal, whose product is the next power of two."""
    bits = max(length - 1, 0).bit_length()
    return tuple(2 ** (bits // order + (place < bits % order)) for place in range(order))
