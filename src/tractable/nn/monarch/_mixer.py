"""The two halves of a Monarch Mixer layer, over the sequence and over the channels."""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tractable._core import DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer, check_number
from tractable.nn.monarch._convolution import Backend, long_conv
from tractable.nn.monarch._counting import note_flops
from tractable.nn.monarch._filter import FilterOptions, ImplicitFilter
from tractable.nn.monarch._linear import BlockDiagonalLinear

__all__ = ["MonarchMixerBlock", "MonarchMixerChannel", "MonarchMixerSequence"]


class MonarchMixerSequence(nn.Module):
    """Mix tokens by gated long convolutions, in place of attention.

    Three projections pass a short convolution; the product of two of them passes a long one and
    is gated by the third. A second long convolution may stand beside it on the input itself.

    Args:
        d_model: channels.
        max_len: longest sequence.
        causal: whether a token reads no later one. The short convolution never looks ahead.
        residual_conv: whether the second long convolution is there.
        filter_options: how the long filters are made.
        backend: as in `long_conv`.

    Raises:
        RangeError: for sizes below one.

    Example:
        >>> MonarchMixerSequence(16, 50)(torch.zeros(2, 40, 16)).shape
        torch.Size([2, 40, 16])
    """

    def __init__(
        self,
        d_model: int,
        max_len: int,
        *,
        causal: bool = False,
        residual_conv: bool = True,
        filter_options: FilterOptions | None = None,
        backend: Backend = "auto",
    ) -> None:
        """Make the projections and the filters."""
        super().__init__()
        self.d_model = check_integer("d_model", d_model, low=1)
        self.max_len = check_integer("max_len", max_len, low=1)
        self.causal = causal
        self.backend: Backend = backend
        self.project = nn.Linear(d_model, 3 * d_model)
        self.short = nn.Conv1d(3 * d_model, 3 * d_model, 3, groups=3 * d_model, padding=2)
        self.combine = nn.Linear(d_model, d_model)
        self.long = self._make_filter(filter_options)
        self.residual = self._make_filter(filter_options) if residual_conv else None

    def _make_filter(self, options: FilterOptions | None) -> ImplicitFilter:
        return ImplicitFilter(self.d_model, self.max_len, options, bidirectional=not self.causal)

    def forward(
        self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"] | None = None
    ) -> Float[Tensor, "B L D"]:
        """Mix.

        Args:
            x: (B, L, d_model).
            mask: (B, L), false at padding, which no real token reads then; outputs at padding
                mean nothing.

        Returns:
            (B, L, d_model).

        Raises:
            ShapeError, DTypeError: for another shape or dtype of x or mask.
            RangeError: for sequences beyond max_len.
        """
        keep = _check(x, mask, self.d_model, self.max_len)
        length = x.shape[1]
        rows = x.mT if keep is None else x.mT * keep
        projected = self.project(x).mT
        if keep is not None:
            projected = projected * keep
        note_flops(2 * x.numel() * (4 * self.d_model + 9))
        first, second, value = self.short(projected)[..., :length].chunk(3, dim=1)
        value = value * first
        if keep is not None:
            value = value * keep
        found = self._convolve(value, self.long) * second
        if self.residual is not None:
            found = found + self._convolve(rows, self.residual)
        out: Tensor = self.combine(found.mT)
        return out

    def _convolve(self, x: Tensor, taps: ImplicitFilter) -> Tensor:
        return long_conv(
            x, taps(x.shape[2]), causal=self.causal, backend=self.backend, skip=taps.skip
        )


class MonarchMixerChannel(nn.Module):
    """Mix channels by two block-diagonal layers, gated or not, in place of an MLP.

    Args:
        d_model: channels.
        expansion: width inside, as a multiple of d_model.
        nblocks: blocks of either layer.
        glu: whether half of a doubled first layer gates the other half.
        shuffle: whether outputs of the blocks take turns, so that groups of channels meet.
        dropout: share of inner numbers that training drops.

    Raises:
        RangeError: for sizes below one or a dropout outside [0, 1].

    Example:
        >>> MonarchMixerChannel(16)(torch.zeros(2, 40, 16)).shape
        torch.Size([2, 40, 16])
    """

    def __init__(
        self,
        d_model: int,
        expansion: int = 4,
        nblocks: int = 4,
        *,
        glu: bool = True,
        shuffle: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Make both layers."""
        super().__init__()
        inner = d_model * check_integer("expansion", expansion, low=1)
        self.glu = glu
        widen = inner * (2 if glu else 1)
        self.widen = BlockDiagonalLinear(d_model, widen, nblocks, shuffle=shuffle, bias=False)
        self.narrow = BlockDiagonalLinear(inner, d_model, nblocks, shuffle=shuffle)
        self.dropout = nn.Dropout(check_number("dropout", dropout, low=0.0, high=1.0))

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Mix."""
        wide = self.widen(x)
        if self.glu:
            gate, value = wide.chunk(2, dim=-1)
            wide = F.gelu(gate) * value
        else:
            wide = F.gelu(wide)
        out: Tensor = self.narrow(self.dropout(wide))
        return out


class MonarchMixerBlock(nn.Module):
    """One layer: tokens are mixed, then channels.

    Args:
        d_model, max_len, causal, residual_conv, filter_options, backend: as in
            `MonarchMixerSequence`.
        expansion, nblocks, glu, shuffle, dropout: as in `MonarchMixerChannel`.
        post_norm: normalise sums after each half, as M2-BERT does, and not inputs before it.
        skip: whether the sequence half is added to its input; M2-BERT has the second long
            convolution there instead.

    Example:
        >>> MonarchMixerBlock(16, 50, causal=True)(torch.zeros(2, 40, 16)).shape
        torch.Size([2, 40, 16])
    """

    def __init__(
        self,
        d_model: int,
        max_len: int,
        *,
        causal: bool = False,
        residual_conv: bool = True,
        filter_options: FilterOptions | None = None,
        backend: Backend = "auto",
        expansion: int = 4,
        nblocks: int = 4,
        glu: bool = True,
        shuffle: bool = True,
        dropout: float = 0.0,
        post_norm: bool = False,
        skip: bool = True,
    ) -> None:
        """Make both halves and the norms."""
        super().__init__()
        self.tokens = MonarchMixerSequence(
            d_model,
            max_len,
            causal=causal,
            residual_conv=residual_conv,
            filter_options=filter_options,
            backend=backend,
        )
        self.channels = MonarchMixerChannel(
            d_model, expansion, nblocks, glu=glu, shuffle=shuffle, dropout=dropout
        )
        self.post_norm, self.skip = post_norm, skip
        # Without a sum there is nothing to normalise after the first half.
        has_first = skip or not post_norm
        self.first_norm = nn.LayerNorm(d_model, eps=1e-12) if has_first else nn.Identity()
        self.second_norm = nn.LayerNorm(d_model, eps=1e-12)

    def forward(
        self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"] | None = None
    ) -> Float[Tensor, "B L D"]:
        """Mix tokens, then channels.

        Args:
            x, mask: as in `MonarchMixerSequence.forward`.

        Returns:
            (B, L, d_model).

        Raises:
            ShapeError, DTypeError, RangeError: as there.
        """
        mixed = self.tokens(x if self.post_norm else self.first_norm(x), mask)
        if self.skip:
            mixed = x + mixed
        if self.post_norm:
            mixed = self.first_norm(mixed)
            out: Tensor = self.second_norm(mixed + self.channels(mixed))
            return out
        out = mixed + self.channels(self.second_norm(mixed))
        return out


def _check(x: Tensor, mask: Tensor | None, width: int, max_len: int) -> Tensor | None:
    """Refuse other inputs; return the mask as (B, 1, L) numbers."""
    if x.ndim != 3 or x.shape[2] != width or x.shape[1] == 0:
        raise ShapeError(f"x has shape {tuple(x.shape)}; wanted (B, L, {width}), L at least 1")
    if not x.is_floating_point():
        raise DTypeError(f"x has dtype {x.dtype}; wanted floating-point; convert it")
    if x.shape[1] > max_len:
        raise RangeError(f"x has {x.shape[1]} tokens; wanted at most max_len {max_len}")
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        raise DTypeError(f"mask has dtype {mask.dtype}; wanted booleans, false at padding")
    if mask.shape != x.shape[:2]:
        raise ShapeError(f"mask has shape {tuple(mask.shape)}; wanted {tuple(x.shape[:2])}")
    return mask[:, None].to(x.dtype)
