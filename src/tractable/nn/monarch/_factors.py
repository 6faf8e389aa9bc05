"""Products with Monarch matrices, and the nearest Monarch matrix to a dense one."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from tractable._core import DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.nn.monarch._counting import note_flops

__all__ = ["monarch_matmul", "near_square", "project_to_monarch"]


def monarch_matmul(
    x: Shaped[Tensor, "*batch n"], *factors: Shaped[Tensor, "_ _ _"]
) -> Shaped[Tensor, "*batch m"]:
    """Multiply vectors by the Monarch matrix of the given factors.

    A factor has shape (blocks, out, in): one block for every value of the other digits. With
    x read as an array with one digit a factor, factor 1 works on the last digit, and the last
    factor on the first one. Two factors may also be of unlike block counts: the result of the
    first is read as (in, blocks) of the second, as block-diagonal butterflies do. One factor alone
    is a block-diagonal matrix. Notes `flops`,
    two for each weight and vector, four times as many where both are complex.

    Args:
        x: (..., n), n the first factor's blocks times its in.
        factors: one or more, each (blocks, out, in), in x's dtype.

    Returns:
        (..., m), the outputs' digits in the order of the inputs'.

    Raises:
        ShapeError: if sizes do not fit together.
        DTypeError: for dtypes that differ.

    Example:
        >>> swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(2, 2, 2)
        >>> monarch_matmul(torch.tensor([0.0, 1.0, 2.0, 3.0]), swap, swap).tolist()
        [3.0, 2.0, 1.0, 0.0]
    """
    _check_factors(x, factors)
    batch, rows = x.shape[:-1], math.prod(x.shape[:-1])
    weights = sum(factor.numel() for factor in factors)
    note_flops((8 if x.is_complex() else 2) * rows * weights)
    blocks, out, size = factors[0].shape
    found = _multiply(x.reshape(rows, blocks, size), factors[0])
    if len(factors) == 2:
        blocks, out, size = factors[1].shape
        found = _multiply(found.reshape(rows, size, blocks).mT, factors[1])
        return found.mT.reshape(*batch, blocks * out)
    digits = _read_digits(factors)
    for place in range(len(factors) - 2, -1, -1):
        factor = factors[len(factors) - 1 - place]
        digits[len(factors) - 1] = factors[0].shape[1]
        array = found.reshape(rows, *digits).movedim(1 + place, -1)
        found = _multiply(array.reshape(rows, factor.shape[0], factor.shape[2]), factor)
        digits[place] = factor.shape[1]
        array = found.reshape(*array.shape[:-1], factor.shape[1])
        found = array.movedim(-1, 1 + place).flatten(1)
    return found.reshape(*batch, math.prod(found.shape[1:]))


def project_to_monarch(
    weight: Float[Tensor, "m n"],
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None,
) -> tuple[Float[Tensor, "k q p"], Float[Tensor, "q s k"]]:
    """Return the two factors whose Monarch matrix is nearest to `weight` in Frobenius norm.

    For fixed digits q and k the matrix over (s, p) is a product of one column and one row, so
    each such slice is replaced by its best approximation of rank one.

    Args:
        weight: (m, n), which multiplies column vectors.
        sizes: ((s, q), (k, p)) with s q = m and k p = n; the most nearly square ones by default.

    Returns:
        Factors (k, q, p) and (q, s, k) for `monarch_matmul`; the norm is shared between them.

    Raises:
        ShapeError: if `weight` is no matrix or the sizes do not multiply to its shape.
        DTypeError: for other dtypes than floating-point.

    Example:
        >>> w1, w2 = project_to_monarch(torch.eye(6))
        >>> w1.shape, w2.shape
        (torch.Size([2, 3, 3]), torch.Size([3, 2, 2]))
    """
    if weight.ndim != 2 or weight.numel() == 0:
        raise ShapeError(f"weight has shape {tuple(weight.shape)}; wanted a matrix with entries")
    if not weight.is_floating_point():
        raise DTypeError(f"weight has dtype {weight.dtype}; wanted floating-point; convert it")
    if sizes is None:
        sizes = (near_square(weight.shape[0]), near_square(weight.shape[1]))
    (s, q), (k, p) = sizes
    if (s * q, k * p) != tuple(weight.shape):
        raise ShapeError(
            f"sizes ({s}, {q}) and ({k}, {p}) make ({s * q}, {k * p}); wanted weight's shape "
            f"{tuple(weight.shape)}"
        )
    slices = weight.reshape(s, q, k, p).permute(1, 2, 0, 3)
    left, values, right = torch.linalg.svd(slices, full_matrices=False)
    root = values[..., :1].sqrt()
    first = (root * right[..., 0, :]).transpose(0, 1)
    second = (root * left[..., 0]).transpose(1, 2)
    return first.contiguous(), second.contiguous()


def near_square(size: int) -> tuple[int, int]:
    """Return (a, b) with a b = size and a the largest divisor up to the square root."""
    check_integer("size", size, low=1)
    small = next(a for a in range(math.isqrt(size), 0, -1) if size % a == 0)
    return small, size // small


def _multiply(x: Tensor, factor: Tensor) -> Tensor:
    """(rows, blocks, in) by (blocks, out, in), as one batched product."""
    return torch.bmm(x.transpose(0, 1), factor.mT).transpose(0, 1)


def _read_digits(factors: tuple[Tensor, ...]) -> list[int]:
    return [factor.shape[2] for factor in reversed(factors)]


def _check_factors(x: Tensor, factors: tuple[Tensor, ...]) -> None:
    if not factors or any(factor.ndim != 3 for factor in factors):
        shapes = [tuple(factor.shape) for factor in factors]
        raise ShapeError(f"factors have shapes {shapes}; wanted at least one (blocks, out, in)")
    if x.ndim == 0:
        raise ShapeError("x is one number; wanted vectors (..., n)")
    for place, factor in enumerate(factors):
        if factor.dtype != x.dtype:
            raise DTypeError(
                f"factor {place + 1} has dtype {factor.dtype}; wanted x's {x.dtype}; convert it"
            )
    blocks, out, size = factors[0].shape
    if x.shape[-1] != blocks * size:
        raise ShapeError(
            f"x has {x.shape[-1]} entries; wanted the first factor's {blocks} blocks of {size}"
        )
    if len(factors) == 2:
        if blocks * out != factors[1].shape[0] * factors[1].shape[2]:
            raise ShapeError(
                f"factor 1 gives {blocks} times {out} numbers; wanted factor 2's "
                f"{factors[1].shape[0]} blocks of {factors[1].shape[2]}"
            )
        return
    if len(factors) == 1:
        return
    digits = _read_digits(factors)
    for done, factor in enumerate(factors):
        place = len(factors) - 1 - done
        others = math.prod(digits[:place]) * math.prod(digits[place + 1 :])
        if factor.shape[0] != others:
            raise ShapeError(
                f"factor {done + 1} has {factor.shape[0]} blocks; wanted {others}, one for every "
                "value of the other digits"
            )
        digits[place] = factor.shape[1]


def balanced_side(size: int, order: int) -> int:
    """Return the least b with b^order at least `size`."""
    side = max(1, round(float(size ** (1 / order))))
    while side**order < size:
        side += 1
    while side > 1 and (side - 1) ** order >= size:
        side -= 1
    return side


def check_order(order: object) -> int:
    """Return the order of a Monarch matrix, from 1 to 16."""
    number = check_integer("order", order, low=1)
    if number > 16:
        raise RangeError(f"order is {number}; wanted 1 to 16; 2 or 3 are usual")
    return number
