"""The paper's formula, with every tuple's score in memory."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["reference"]


def reference(
    query: Float[Tensor, "B H n d"],
    keys: Sequence[Float[Tensor, "B H _ d"]],
    values: Sequence[Float[Tensor, "B H _ e"]],
    *,
    scale: float | None = None,
    is_causal: bool = False,
) -> Float[Tensor, "B H n e"]:
    """Attend by the definition, D^-1 exp(scale Q (K1 (/) K2)^T) (V1 (/) V2), in n^(m+1) memory.

    Args:
        query, keys, values, scale, is_causal: as in `tensor_attention`.

    Returns:
        (B, H, n, e).

    Example:
        >>> x = torch.ones(1, 1, 2, 1)
        >>> reference(x, (x, x), (2 * x, 3 * x)).flatten().tolist()
        [6.0, 6.0]
    """
    key, value = keys[0], values[0]
    latest = torch.arange(key.shape[2], device=query.device)
    for other, more in zip(keys[1:], values[1:], strict=True):
        key = (key[:, :, :, None] * other[:, :, None]).flatten(2, 3)
        value = (value[:, :, :, None] * more[:, :, None]).flatten(2, 3)
        place = torch.arange(other.shape[2], device=query.device)
        latest = torch.maximum(latest[:, None], place).flatten()
    scores = (query @ key.mT) * (1 / query.shape[-1] if scale is None else scale)
    if is_causal:
        first = torch.arange(query.shape[2], device=query.device)
        scores = scores.masked_fill(latest > first[:, None], -torch.inf)
    return torch.softmax(scores, dim=-1) @ value
