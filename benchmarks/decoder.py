"""A decoder with rotary positions, small enough to read, whose attention is handed to it.

The benchmarks of whole models and of recall use it: shapes of SmolLM2-135M and of an 8B model with
random weights, and a small one that is trained to answer questions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor, nn

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Layer, query (B, H, L, d), key and value (B, G, T, d) of all positions; gives (B, H, L, d)."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder."""

    layers: int
    width: int
    heads: int
    key_heads: int
    head_width: int
    hidden: int
    vocabulary: int
    rotated: int
    base: float


SMALL = Shape(4, 256, 4, 4, 64, 512, 1024, 32, 1e6)
SMOL = Shape(30, 576, 9, 3, 64, 1536, 49152, 64, 1e5)
LARGE = Shape(32, 4096, 32, 8, 128, 14336, 128256, 128, 5e5)


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each after a norm and added to its input."""

    def __init__(self, shape: Shape):
        """Draw random weights."""
        super().__init__()
        self.shape = shape
        outs = (shape.heads + 2 * shape.key_heads) * shape.head_width
        self.before = nn.RMSNorm(shape.width, 1e-6)
        self.project = nn.Linear(shape.width, outs, bias=False)
        self.merge = nn.Linear(shape.heads * shape.head_width, shape.width, bias=False)
        self.between = nn.RMSNorm(shape.width, 1e-6)
        self.rise = nn.Linear(shape.width, 2 * shape.hidden, bias=False)
        self.fall = nn.Linear(shape.hidden, shape.width, bias=False)

    def heads(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of each head, the first two rotated."""
        s = self.shape
        every = self.project(self.before(x)).unflatten(-1, (-1, s.head_width)).transpose(1, 2)
        query, key, value = every.split([s.heads, s.key_heads, s.key_heads], 1)
        return rotate(query, turn), rotate(key, turn), value

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to, then the feed-forward layer."""
        x = x + self.merge(attended.transpose(1, 2).flatten(2))
        gate, up = self.rise(self.between(x)).chunk(2, -1)
        return x + self.fall(F.silu(gate) * up)


class Decoder(nn.Module):
    """The blocks between an embedding and its transpose."""

    def __init__(self, shape: Shape):
        """Draw random weights."""
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, 1e-6)

    def turns(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each position's angles, in 32 bits."""
        half = self.shape.rotated // 2
        each = torch.arange(half, device=positions.device, dtype=torch.float32) / half
        angle = positions[:, None].float() * self.shape.base**-each
        return angle.cos(), angle.sin()

    def forward(self, tokens: Tensor, attend: Attend, begin: int | Tensor = 0) -> Tensor:
        """Last hidden states of tokens (B, L) at positions `begin` and on."""
        turn = self.turns(torch.arange(tokens.shape[1], device=tokens.device) + begin)
        x = self.embed(tokens)
        for layer, block in enumerate(self.blocks):
            x = block.finish(x, attend(layer, *block.heads(x, turn)))
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token."""
        return hidden @ self.embed.weight.T.to(hidden.dtype) * self.shape.width**-0.5


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs of the first entries of each head by their position's angles."""
    half = turn[0].shape[-1]
    cos, sin = (part.to(x.dtype) for part in turn)
    one, two, rest = x.split([half, half, x.shape[-1] - 2 * half], -1)
    return torch.cat((one * cos - two * sin, one * sin + two * cos, rest), -1)
