"""A layer around the function."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer, check_number
from tractable.attention.tensor._attention import Method, tensor_attention

__all__ = ["TensorAttention"]


class TensorAttention(nn.Module):
    """Multi-head self-attention to tuples of tokens.

    Args:
        embed_dim: width of the input and output.
        num_heads: heads.
        order: tokens that meet in a score, the query included: 2 is ordinary attention, 3 the
            paper's.
        head_dim: width of a head; embed_dim / num_heads by default.
        method: as in `tensor_attention`.
        clip: pass projected queries and keys through c tanh(x / c), so that no score exceeds
            c^order and the polynomial is always the same; None leaves them.
        rtol: relative error of the polynomial.
        bias: whether the projections have one.

    Raises:
        RangeError: for an order below 2, or widths that do not divide.

    Example:
        >>> layer = TensorAttention(16, 4, clip=1.0)
        >>> layer(torch.zeros(2, 10, 16)).shape
        torch.Size([2, 10, 16])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        order: int = 3,
        *,
        head_dim: int | None = None,
        method: Method = "auto",
        clip: float | None = None,
        rtol: float = 1e-3,
        bias: bool = False,
    ) -> None:
        """Make the projections."""
        super().__init__()
        self.embed_dim = check_integer("embed_dim", embed_dim, low=1)
        self.num_heads = check_integer("num_heads", num_heads, low=1)
        self.order = check_integer("order", order, low=2)
        if head_dim is None and embed_dim % num_heads:
            raise RangeError(
                f"embed_dim is {embed_dim} with {num_heads} heads; wanted a multiple, or head_dim"
            )
        width = embed_dim // num_heads if head_dim is None else head_dim
        self.head_dim = check_integer("head_dim", width, low=1)
        self.method: Method = method
        if clip is not None:
            clip = check_number("clip", clip, low=0.0)
            if clip == 0:
                raise RangeError("clip is 0; wanted it above 0, or None for none")
        self.clip = clip
        self.rtol = rtol
        inner = self.num_heads * self.head_dim
        self.project = nn.Linear(embed_dim, inner * (2 * self.order - 1), bias=bias)
        self.combine = nn.Linear(inner, embed_dim, bias=bias)

    def forward(self, x: Float[Tensor, "B n E"], is_causal: bool = False) -> Float[Tensor, "B n E"]:
        """Attend.

        Args:
            x: (B, n, embed_dim).
            is_causal: whether a token reads no later one.

        Returns:
            (B, n, embed_dim).

        Raises:
            ShapeError: for another shape.
        """
        if x.ndim != 3 or x.shape[-1] != self.embed_dim:
            raise ShapeError(f"x has shape {tuple(x.shape)}; wanted (B, n, {self.embed_dim})")
        parts = self.project(x).unflatten(-1, (2 * self.order - 1, self.num_heads, self.head_dim))
        heads = parts.permute(2, 0, 3, 1, 4).unbind(0)
        query, keys, values = heads[0], heads[1 : self.order], heads[self.order :]
        bound = None
        if self.clip is not None:
            query = self.clip * torch.tanh(query / self.clip)
            keys = tuple(self.clip * torch.tanh(key / self.clip) for key in keys)
            # Rounding may pass the bound by a digit.
            bound = self.clip * (1 + 2 * torch.finfo(query.dtype).eps)
        out = tensor_attention(
            query,
            keys,
            values,
            is_causal=is_causal,
            method=self.method,
            rtol=self.rtol,
            bound=bound,
        )
        mixed: Tensor = self.combine(out.transpose(1, 2).flatten(2))
        return mixed
