"""The formula on one device, with every score in memory."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["reference"]


def reference(
    query: Float[Tensor, "B H L d"],
    key: Float[Tensor, "B G T d"],
    value: Float[Tensor, "B G T e"],
    *,
    scale: float | None = None,
    is_causal: bool = False,
) -> Float[Tensor, "B H L e"]:
    """Attend by the definition, softmax(scale Q K^T) V, to the whole sequence on one device.

    Args:
        query: (B, H, L, d).
        key, value: (B, G, T, d) and (B, G, T, e); each of the G serves H / G query heads in turn.
        scale: factor of the scores; d ** -0.5 by default.
        is_causal: whether position i reads only keys up to i; T is L then.

    Returns:
        (B, H, L, e).

    Example:
        >>> x = torch.ones(1, 1, 3, 2)
        >>> reference(x, x, 5 * x)[0, 0, 0].tolist()
        [5.0, 5.0]
    """
    shared = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    scores = (query @ key.mT) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return torch.softmax(scores, dim=-1) @ value
