"""The paper's two definitions, without tricks."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

__all__ = ["reference", "reference_matrix"]


def reference(
    u: Float[Tensor, "B C L"],
    k: Float[Tensor, "*two C L"],
    *,
    causal: bool = True,
    skip: Float[Tensor, "C"] | None = None,
) -> Float[Tensor, "B C L"]:
    """Convolve by the definition: y_t is the sum over s of k_(t-s) u_s, in L^2 time.

    Args:
        u, k, causal, skip: as in `long_conv`.

    Returns:
        (B, C, L).

    Example:
        >>> u = torch.tensor([[[1.0, 2.0, 0.0]]])
        >>> reference(u, torch.tensor([[1.0, 10.0, 100.0]])).tolist()
        [[[1.0, 12.0, 120.0]]]
    """
    out = torch.zeros_like(u) if skip is None else skip[:, None] * u
    ahead = k if causal else k[0]
    for t in range(u.shape[2]):
        for s in range(t + 1):
            out[:, :, t] += ahead[:, t - s] * u[:, :, s]
        for s in range(t + 1, u.shape[2] if not causal else t + 1):
            out[:, :, t] += k[1][:, s - t - 1] * u[:, :, s]
    return out


def reference_matrix(*factors: Shaped[Tensor, "_ _ _"]) -> Shaped[Tensor, "N N"]:
    """Multiply out M = (product of P_i B_i) P_0 with permutation and block-diagonal matrices.

    Args:
        factors: p square ones, each (blocks, n, n), as in `monarch_matmul`.

    Returns:
        The dense matrix.

    Example:
        >>> reference_matrix(torch.ones(2, 2, 2), torch.ones(2, 2, 2)).sum()
        tensor(16.)
    """
    size = factors[0].shape[0] * factors[0].shape[1]
    digits = [factor.shape[1] for factor in reversed(factors)]
    place = torch.arange(size).reshape(digits)
    found = torch.eye(size, dtype=factors[0].dtype)
    for axis, factor in zip(reversed(range(len(digits))), factors, strict=True):
        order = place.movedim(axis, -1).flatten()
        permutation = torch.eye(size, dtype=found.dtype)[order]
        found = permutation.T @ _stack(factor) @ permutation @ found
    return found


def _stack(blocks: Tensor) -> Tensor:
    """One large matrix with the blocks along its diagonal."""
    count, out, size = blocks.shape
    found = blocks.new_zeros(count, out, count, size)
    found[range(count), :, range(count)] = blocks
    return found.reshape(count * out, count * size)
