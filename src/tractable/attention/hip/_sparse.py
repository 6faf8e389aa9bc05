"""Exact softmax attention over the keys that a mask keeps, in torch, with gradients."""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tractable.attention.hip._mask import HipMask

__all__ = ["attend_dense", "attend_sparse", "needs_grad"]

CPU_ELEMENTS = 2**23


def needs_grad(*tensors: Tensor) -> bool:
    """Whether autograd listens to one of the tensors."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def attend_dense(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    first_key: Int[Tensor, "B"] | None,
    is_causal: bool,
    scale: float,
) -> Tensor:
    """Attend to everything; `first_key` is None where there is no padding."""
    grouped = query.shape[1] != key.shape[1]
    length, total = query.shape[2], key.shape[2]
    square = length == total
    if first_key is None and (not is_causal or length == 1 or square):
        return F.scaled_dot_product_attention(
            query, key, value, is_causal=is_causal and square, scale=scale, enable_gqa=grouped
        )
    keys = torch.arange(total, device=query.device)
    positions = torch.arange(total - length, total, device=query.device)
    causal = keys[None, :] <= positions[:, None]
    allowed = causal[None] if is_causal else torch.ones_like(causal)[None]
    if first_key is None:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed[:, None], scale=scale, enable_gqa=grouped
        )
    allowed = allowed & (keys >= first_key[:, None])[:, None, :]
    # A query without keys would divide by zero: it reads key 0 and its output is blanked.
    blank = ~allowed.any(2)
    allowed = allowed | (blank[:, :, None] & (keys == 0))
    out = F.scaled_dot_product_attention(
        query, key, value, attn_mask=allowed[:, None], scale=scale, enable_gqa=grouped
    )
    return out.masked_fill(blank[:, None, :, None], 0.0)


def attend_sparse(
    query: Tensor, key: Tensor, value: Tensor, mask: HipMask, scale: float
) -> tuple[Tensor, Tensor]:
    """Attend over a mask's keys; return the output and the logarithm of the softmax's sum."""
    batch, heads, length, _ = query.shape
    blocks = mask.indices.shape[2]
    padded = F.pad(query, (0, 0, 0, blocks * mask.block_q - length))
    padded = padded.reshape(batch * heads * blocks, mask.block_q, -1)
    limit = CPU_ELEMENTS if query.device.type == "cpu" else 16 * CPU_ELEMENTS
    pieces, sums = [], []
    for which in _cut(mask, limit // (2 * key.shape[3])):
        arguments = (padded[which], key, value, mask, which, scale)
        # Gathered keys are made again in the backward pass: kept, they would be far larger
        # than the inputs.
        if needs_grad(query, key, value):
            out, lse = checkpoint(_attend_rows, *arguments, use_reentrant=False)
        else:
            out, lse = _attend_rows(*arguments)
        pieces.append(out)
        sums.append(lse)
    out = torch.cat(pieces).view(batch, heads, blocks * mask.block_q, -1)[:, :, :length]
    lse = torch.cat(sums).view(batch, heads, blocks * mask.block_q)[:, :, :length]
    return out.to(query.dtype), lse


def _cut(mask: HipMask, limit: int) -> list[Int[Tensor, "R"]]:
    """Cut the query blocks into runs whose gathered keys stay under the limit."""
    batch, heads, blocks = mask.indices.shape[:3]
    last = mask.last_positions()
    width = mask.num_sink + mask.indices.shape[3] * mask.block_k
    local = (last - mask.local_start + 1).clamp(min=0)
    widths = (width + local)[:, None, :].expand(batch, heads, blocks).reshape(-1).tolist()
    runs, begin, widest = [], 0, 0
    for row, needed in enumerate(widths):
        widest = max(widest, needed)
        if row > begin and widest * (row + 1 - begin) > limit:
            runs.append((begin, row))
            begin, widest = row, needed
    runs.append((begin, len(widths)))
    device = mask.indices.device
    return [torch.arange(first, stop, device=device) for first, stop in runs]


def _attend_rows(  # noqa: PLR0917 - checkpoint hands them on by place
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: HipMask,
    which: Int[Tensor, "R"],
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Attend for some query blocks: query (R, block_q, d); sums in 32 bits at least."""
    blocks, heads = mask.indices.shape[2], mask.indices.shape[1]
    block, head, batch = which % blocks, which // blocks % heads, which // (blocks * heads)
    group = head // (heads // key.shape[1])
    position, read = _list_keys(mask, batch, head, block)
    keys = key[batch[:, None], group[:, None], position]
    values = value[batch[:, None], group[:, None], position]
    wide = torch.promote_types(query.dtype, torch.float32)
    rows = block[:, None] * mask.block_q + torch.arange(mask.block_q, device=which.device)
    positions = mask.query_positions[rows.clamp(max=mask.query_length - 1)]
    allowed = read[:, None, :] & (position[:, None, :] <= positions[:, :, None])
    scores = torch.einsum("rqd,rkd->rqk", query.to(wide), keys.to(wide)) * scale
    scores = scores.masked_fill(~allowed, -torch.inf)
    lse = scores.logsumexp(2)
    # Of the scores, not by their lse, which cannot tell two large equal ones from one.
    blank = (lse == -torch.inf)[..., None]
    weights = scores.masked_fill(blank, 0.0).softmax(2).masked_fill(blank, 0.0)
    return torch.einsum("rqk,rkd->rqd", weights, values.to(wide)), lse


def _list_keys(
    mask: HipMask, batch: Int[Tensor, "R"], head: Int[Tensor, "R"], block: Int[Tensor, "R"]
) -> tuple[Int[Tensor, "R W"], Bool[Tensor, "R W"]]:
    """Positions of the keys that query blocks read, and which entries are real."""
    device = batch.device
    first = mask.first_key[batch][:, None]
    start = mask.local_start[batch, block][:, None]
    last = mask.last_positions()[0, block][:, None]
    sink = first + torch.arange(mask.num_sink, device=device)
    in_sink = sink < mask.sink_end[batch, block][:, None]
    ids = mask.indices[batch, head, block].to(torch.int64)
    offsets = torch.arange(mask.block_k, device=device)
    kept = first[..., None] + mask.num_sink + ids[..., None] * mask.block_k + offsets
    is_kept = (ids >= 0)[..., None] & (kept < start[..., None])
    width = max(int((last - start).max()) + 1, 0)
    local = start + torch.arange(width, device=device)
    position = torch.cat((sink, kept.flatten(1), local), 1)
    read = torch.cat((in_sink, is_kept.flatten(1), local <= last), 1)
    return torch.where(read, position, 0), read
