"""A head that finds triples which sum to zero, built by hand."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tractable._core import DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.attention.tensor._attention import tensor_attention

__all__ = ["Match3Head", "detect_match3", "match3_head"]


class Match3Head(NamedTuple):
    """What to hand to `tensor_attention` with scale 1; outputs above 1/2 say yes.

    Args:
        query: (B, 1, n, 5).
        keys: two of (B, 1, n + 1, 5); the last position is the blank.
        values: two of (B, 1, n + 1, 1), one for tokens and zero for the blank.
    """

    query: Float[Tensor, "B 1 n 5"]
    keys: tuple[Float[Tensor, "B 1 m 5"], Float[Tensor, "B 1 m 5"]]
    values: tuple[Float[Tensor, "B 1 m 1"], Float[Tensor, "B 1 m 1"]]


def match3_head(
    tokens: Int[Tensor, "B n"], modulus: int, *, dtype: torch.dtype = torch.float64
) -> Match3Head:
    """Build queries, keys and values that find triples of tokens which sum to zero.

    The cosine of a sum of three angles is a trilinear form of rank 4, so that a score is
    b cos(2 pi (x_i + x_j + x_k) / M). A blank token, scored between a hit and a near miss, takes
    the weight where nothing hits. The factor b = ln(4 n + 2) / (1 - cos(pi / M)) makes one hit
    outweigh all blanks twice and the blanks all misses, for any tokens. It grows like M^2 ln n,
    so that no polynomial of useful rank serves this head: it is outside the fast regime by design.

    Args:
        tokens: (B, n) whole numbers, n of 2 or more; taken modulo M.
        modulus: M, 2 to 2^22; float64 cannot tell a hit from a near miss beyond.
        dtype: of the result; float32 serves for M up to about 1000.

    Returns:
        The head's tensors.

    Raises:
        DTypeError: for tokens that are no whole numbers.
        ShapeError: for another number of axes, or fewer than 2 tokens.
        RangeError: for a modulus out of range, or a dtype that is not floating-point.

    Example:
        >>> head = match3_head(torch.tensor([[1, 2, 4, 5]]), 7)
        >>> out = tensor_attention(head.query, head.keys, head.values, scale=1.0)
        >>> (out.flatten() > 0.5).tolist()
        [True, True, True, True]
    """
    if tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise DTypeError(f"tokens has dtype {tokens.dtype}; wanted whole numbers")
    if tokens.ndim != 2 or tokens.shape[1] < 2:
        raise ShapeError(f"tokens has shape {tuple(tokens.shape)}; wanted (B, n), n at least 2")
    modulus = check_integer("modulus", modulus, low=2, high=2**22)
    if not dtype.is_floating_point:
        raise RangeError(f"dtype is {dtype}; wanted a floating-point one")
    # A hit is 4n + 2 times the blank pair; 2n more pairs are half blank, with a score of zero.
    # Misses are (4n + 2)^2 below the blank pair for M of 3 and more, and there are n^2 of them.
    gap = 2 * math.sin(math.pi / (2 * modulus)) ** 2
    sharpness = math.log(4 * tokens.shape[1] + 2) / gap
    angle = (tokens % modulus).double() * (2 * math.pi / modulus)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    between = torch.full_like(angle, math.cos(math.pi / modulus))
    query = sharpness * torch.stack([cos, -cos, -sin, -sin, between], dim=-1)
    blank = torch.tensor([0.0, 0, 0, 0, 1], dtype=torch.float64, device=tokens.device)
    rows = blank.expand(tokens.shape[0], 1, 5)
    first = torch.cat([torch.stack([cos, sin, sin, cos, zero], dim=-1), rows], dim=1)
    second = torch.cat([torch.stack([cos, sin, cos, sin, zero], dim=-1), rows], dim=1)
    value = 1 - first[..., 4:]
    query, first, second, value = (x[:, None].to(dtype) for x in (query, first, second, value))
    return Match3Head(query, (first, second), (value, value))


def detect_match3(tokens: Int[Tensor, "B n"], modulus: int) -> Tensor:
    """Say for each token whether it and two tokens, itself allowed, sum to zero modulo M.

    Args:
        tokens: (B, n) whole numbers, n of 2 or more.
        modulus: M, 2 to 2^22.

    Returns:
        (B, n) booleans, by one exact head of tensor attention.

    Example:
        >>> detect_match3(torch.tensor([[1, 2, 4], [1, 2, 1]]), 7).tolist()
        [[True, True, True], [False, False, False]]
    """
    head = match3_head(tokens, modulus)
    out = tensor_attention(head.query, head.keys, head.values, scale=1.0, method="exact")
    return out[:, 0, :, 0] > 0.5
