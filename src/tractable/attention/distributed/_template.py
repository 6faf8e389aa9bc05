"""The template that long-sequence models share: mix tokens by a matrix, then read out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Inexact
from torch import Tensor, nn

from tractable._core import DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer

__all__ = ["MixerBlock", "MixerShape", "TokenMixer", "make_mixer", "register_mixer"]


class MixerShape(NamedTuple):
    """What every mixer is built from."""

    dim: int
    """Width D of tokens."""
    heads: int
    max_len: int
    """The longest sequence, where weights have one entry a position."""
    causal: bool
    """Whether a token reads only tokens up to itself."""


class TokenMixer(nn.Module):
    """A member of the template X' = R(A(X) f(X W)): values, a mixing matrix, a read-out.

    A member defines `values` (what is mixed, f(X W)), `mix` (A(X) times values, the fast way),
    `mixing_matrix` (A(X) itself) and `read_out` (R, position by position). The matrix is linear
    in nothing but the values, and may depend on X (attention) or not (Fourier, convolutions).

    Args:
        shape: widths, heads, longest sequence, causality.

    Raises:
        RangeError: for widths that do not divide, or a causal member that cannot be.
    """

    can_be_causal = True

    def __init__(self, shape: MixerShape) -> None:
        """Check and store the shape."""
        super().__init__()
        for name in ("dim", "heads", "max_len"):
            check_integer(name, getattr(shape, name), low=1)
        if shape.dim % shape.heads:
            raise RangeError(f"dim is {shape.dim} with {shape.heads} heads; wanted a multiple")
        if shape.causal and not self.can_be_causal:
            raise RangeError(f"{type(self).__name__} mixes all tokens; wanted causal=False")
        self.shape = shape

    def values(self, x: Tensor) -> Inexact[Tensor, "B H M E"]:
        """Return what is mixed: (B, H, M, E), where M is L but for members that compress."""
        raise NotImplementedError

    def mix(self, x: Tensor, values: Tensor) -> Inexact[Tensor, "B H L E"]:
        """Return A(x) times values without making A."""
        raise NotImplementedError

    def mixing_matrix(self, x: Tensor) -> Inexact[Tensor, "_ _ L M"]:
        """Return A(x), with B or 1 and H or 1 in front; for short sequences."""
        raise NotImplementedError

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Return tokens (B, L, D) from what was mixed."""
        raise NotImplementedError

    def flops(self, length: int) -> int:
        """Return the floating-point operations of `mix` on one sequence, to leading order."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens.

        Args:
            x: (B, L, D).

        Returns:
            (B, L, D).

        Raises:
            ShapeError: for another shape, or more tokens than `max_len`.
            DTypeError: for integers.
        """
        if x.ndim != 3 or x.shape[2] != self.shape.dim:
            raise ShapeError(f"x has shape {tuple(x.shape)}; wanted (B, L, {self.shape.dim})")
        if not x.is_floating_point():
            raise DTypeError(f"x has dtype {x.dtype}; wanted floating-point; convert it")
        if not 1 <= x.shape[1] <= self.shape.max_len:
            raise ShapeError(f"x has {x.shape[1]} tokens; wanted 1 to {self.shape.max_len}")
        return self.read_out(x, self.mix(x, self.values(x)))


_members: dict[str, Callable[..., TokenMixer]] = {}


def register_mixer(name: str, member: Callable[..., TokenMixer]) -> None:
    """Make a member known to `make_mixer`; it is called with a `MixerShape` and options.

    Raises:
        RangeError: if the name is taken by something else.
    """
    if _members.get(name, member) is not member:
        raise RangeError(f"there is a mixer {name!r} already; wanted another name")
    _members[name] = member


def make_mixer(
    name: str,
    dim: int,
    *,
    heads: int = 1,
    max_len: int = 1024,
    causal: bool = False,
    **options: Any,
) -> TokenMixer:
    """Make a member of the template by name.

    Args:
        name: softmax, linear, performer, linformer, nystrom, local, synthesizer, aft_simple,
            fnet, mlp_mixer, gmlp, long_conv, s4d, pool, or a registered one.
        dim: width D of tokens.
        heads: heads, where there are any.
        max_len: the longest sequence.
        causal: whether a token reads only tokens up to itself.
        options: the member's own.

    Returns:
        A module from (B, L, D) to (B, L, D).

    Raises:
        RangeError: for a name that is not known, or a member that cannot be causal.

    Example:
        >>> import torch
        >>> make_mixer("fnet", 4)(torch.zeros(1, 3, 4)).shape
        torch.Size([1, 3, 4])
    """
    if name not in _members:
        raise RangeError(f"mixer is {name!r}; wanted one of {', '.join(sorted(_members))}")
    return _members[name](MixerShape(dim, heads, max_len, causal), **options)


class MixerBlock(nn.Module):
    """A mixer and an MLP over channels, each behind a norm and beside a residual path.

    Args:
        mixer: any member.
        ffn_mult: width of the MLP over that of tokens.
    """

    def __init__(self, mixer: TokenMixer, ffn_mult: int = 4) -> None:
        """Make the rest of the block."""
        super().__init__()
        dim = mixer.shape.dim
        wide = dim * check_integer("ffn_mult", ffn_mult, low=1)
        self.mixer = mixer
        self.before_mixer, self.before_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, wide), nn.GELU(), nn.Linear(wide, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, L, D)."""
        x = x + self.mixer(self.before_mixer(x))
        mixed: Tensor = x + self.mlp(self.before_mlp(x))
        return mixed
