"""A layer around the function."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.attention.distributed._attention import distributed_attention
from tractable.attention.distributed._volume import check_algorithm

__all__ = ["DistributedMultiheadAttention"]


class DistributedMultiheadAttention(nn.Module):
    """Multi-head self-attention to a sequence spread over ranks, with the same weights on all.

    Projections work on a rank's own tokens, so a weight's gradient is this rank's part: sum it
    over ranks before a step.

    Args:
        embed_dim: width of the input and output.
        num_heads: query heads.
        kv_heads: key heads, each for num_heads / kv_heads query heads; num_heads by default.
        algorithm, layout, group: as in `distributed_attention`.
        bias: whether the projections have one.

    Raises:
        RangeError: for widths that do not divide, or a schedule that there is not.

    Example:
        >>> layer = DistributedMultiheadAttention(16, 4, kv_heads=2)
        >>> layer(torch.zeros(3, 10, 16)).shape
        torch.Size([3, 10, 16])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        kv_heads: int | None = None,
        algorithm: str = "ring",
        layout: str = "contiguous",
        group: ProcessGroup | None = None,
        bias: bool = True,
    ) -> None:
        """Make the projections."""
        super().__init__()
        self.embed_dim = check_integer("embed_dim", embed_dim, low=1)
        self.num_heads = check_integer("num_heads", num_heads, low=1)
        self.kv_heads = check_integer(
            "kv_heads", num_heads if kv_heads is None else kv_heads, low=1
        )
        if embed_dim % num_heads or num_heads % self.kv_heads:
            raise RangeError(
                f"embed_dim is {embed_dim} with {num_heads} heads and {self.kv_heads} key heads; "
                "wanted each a multiple of the next"
            )
        self.algorithm, self.layout, self.group = check_algorithm(algorithm), layout, group
        inner = self.kv_heads * (embed_dim // num_heads)
        self.project = nn.Linear(embed_dim, embed_dim + 2 * inner, bias=bias)
        self.combine = nn.Linear(embed_dim, embed_dim, bias=bias)

    @classmethod
    def from_torch(
        cls,
        layer: nn.MultiheadAttention,
        *,
        algorithm: str = "ring",
        layout: str = "contiguous",
        group: ProcessGroup | None = None,
    ) -> "DistributedMultiheadAttention":
        """Copy the weights of torch's own layer.

        Raises:
            RangeError: for a layer with dropout, key bias, or other widths for keys and values.
        """
        plain = layer.in_proj_weight is not None and layer.bias_k is None
        if not plain or layer.dropout or layer.add_zero_attn:
            raise RangeError(
                "the layer has dropout, extra keys or separate widths; wanted plain self-attention"
            )
        made = cls(
            layer.embed_dim,
            layer.num_heads,
            algorithm=algorithm,
            layout=layout,
            group=group,
            bias=layer.in_proj_bias is not None,
        ).to(layer.in_proj_weight)
        with torch.no_grad():
            made.project.weight.copy_(layer.in_proj_weight)
            made.combine.weight.copy_(layer.out_proj.weight)
            if layer.in_proj_bias is not None:
                made.project.bias.copy_(layer.in_proj_bias)
                made.combine.bias.copy_(layer.out_proj.bias)
        return made

    def forward(
        self, x: Float[Tensor, "B rows E"], *, is_causal: bool = False, length: int | None = None
    ) -> Float[Tensor, "B rows E"]:
        """Attend.

        Args:
            x: (B, rows, embed_dim), this rank's tokens as `shard_sequence` cuts them on axis 1.
            is_causal, length: as in `distributed_attention`.

        Returns:
            (B, rows, embed_dim).

        Raises:
            ShapeError: for another shape.
        """
        if x.ndim != 3 or x.shape[-1] != self.embed_dim:
            raise ShapeError(f"x has shape {tuple(x.shape)}; wanted (B, rows, {self.embed_dim})")
        heads = self.project(x).unflatten(-1, (-1, self.embed_dim // self.num_heads))
        heads = heads.transpose(1, 2)
        query, key, value = heads.split([self.num_heads, self.kv_heads, self.kv_heads], 1)
        out = distributed_attention(
            query,
            key,
            value,
            group=self.group,
            algorithm=self.algorithm,
            layout=self.layout,
            length=length,
            is_causal=is_causal,
            enable_gqa=self.kv_heads != self.num_heads,
        )
        mixed: Tensor = self.combine(out.transpose(1, 2).flatten(2))
        return mixed
