"""The gradient of attention over a mask's keys, written out in torch, for paths without one."""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Float
from torch import Tensor

from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._sparse import _cut, _list_keys

__all__ = ["differentiate"]

ELEMENTS = 2**26
"""Entries of gathered keys held at once."""


def differentiate(  # noqa: PLR0917 - an operator hands them on by place
    query: Float[Tensor, "B H L D"],
    key: Float[Tensor, "B G T D"],
    value: Float[Tensor, "B G T E"],
    mask: HipMask,
    scale: float,
    lse: Float[Tensor, "B H L"],
    grad_out: Float[Tensor, "B H L E"],
    gained: Float[Tensor, "B H L"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value under a fixed mask.

    Args:
        query, key, value, mask, scale, lse: what the forward pass took and gave.
        grad_out: gradient of its output.
        gained: sum of `grad_out` times the output, less the gradient of `lse`.
    """
    batch, heads, length, width = query.shape
    groups, total = key.shape[1:3]
    blocks, size = mask.indices.shape[2], mask.block_q
    rows = batch * heads * blocks
    queries, grads = (
        F.pad(x.float(), (0, 0, 0, blocks * size - length)).reshape(rows, size, -1)
        for x in (query, grad_out)
    )
    logs, means = (
        F.pad(x.float(), (0, blocks * size - length)).reshape(rows, size) for x in (lse, gained)
    )
    keys, values = key.reshape(-1, width), value.reshape(-1, value.shape[3])
    grad_query = torch.zeros_like(queries)
    grad_key = torch.zeros_like(keys, dtype=torch.float32)
    grad_value = torch.zeros_like(values, dtype=torch.float32)
    steps = torch.arange(size, device=query.device)
    for which in _cut(mask, ELEMENTS // (2 * max(width, size))):
        block, head, row = which % blocks, which // blocks % heads, which // (blocks * heads)
        position, read = _list_keys(mask, row, head, block)
        place = ((row * groups + head // (heads // groups)) * total)[:, None] + position
        asked = block[:, None] * size + steps
        limit = mask.query_positions[asked.clamp(max=length - 1)]
        allowed = read[:, None, :] & (position[:, None, :] <= limit[:, :, None])
        allowed &= (asked < length)[:, :, None]
        taken, given = keys[place].float(), values[place].float()
        scores = torch.einsum("rqd,rkd->rqk", queries[which], taken) * scale
        weights = (scores - logs[which][..., None]).exp().masked_fill(~allowed, 0.0)
        gains = torch.einsum("rqe,rke->rqk", grads[which], given) - means[which][..., None]
        gains = (weights * gains).masked_fill(~allowed, 0.0) * scale
        grad_query[which] = torch.einsum("rqk,rkd->rqd", gains, taken)
        spread = torch.einsum("rqk,rqd->rkd", gains, queries[which])
        grad_key.index_add_(0, place.flatten(), spread.flatten(0, 1))
        spread = torch.einsum("rqk,rqe->rke", weights, grads[which])
        grad_value.index_add_(0, place.flatten(), spread.flatten(0, 1))
    grad_query = grad_query.view(batch, heads, blocks * size, width)[:, :, :length]
    return (
        grad_query.to(query.dtype).contiguous(),
        grad_key.view(key.shape).to(key.dtype),
        grad_value.view(value.shape).to(value.dtype),
    )
