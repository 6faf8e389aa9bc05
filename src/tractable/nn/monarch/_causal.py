"""Causal mixing by polynomial evaluation: Monarch matrices that look at no later token."""

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Float
from torch import Tensor, nn

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.nn.monarch._convolution import Backend, long_conv
from tractable.nn.monarch._factors import balanced_side, check_order, monarch_matmul

__all__ = ["CausalMonarch", "Mode"]

Mode = Literal["triangular", "two_part"]


class _LowerMonarch(nn.Module):
    """A lower-triangular matrix of size b^p with Monarch structure, the identity at first."""

    def __init__(self, side: int, order: int, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        eye = torch.eye(side)
        shape = (side ** (order - 1), side, side)
        if mode == "triangular":
            self.factors = nn.ParameterList(
                nn.Parameter(eye.expand(shape).clone()) for _ in range(order)
            )
            return
        # Within a block; then what earlier blocks send, which nothing does at first.
        sent = torch.randn(shape) / math.sqrt(side)
        self.factors = nn.ParameterList(
            nn.Parameter(start) for start in (eye.expand(shape).clone(), sent, torch.zeros(shape))
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "triangular":
            return monarch_matmul(x, *[factor.tril() for factor in self.factors])
        within, sent, received = self.factors
        return monarch_matmul(x, within.tril()) + monarch_matmul(x, sent, received.tril(-1))


class CausalMonarch(nn.Module):
    """Mix tokens causally by T3 (T1 u * T2 k), * a causal convolution and T lower triangular.

    Inputs are coefficients in a basis of polynomials, the j-th of which has no term below Z^j:
    the T are the changes of basis. The product of two polynomials, found by evaluation at roots
    of unity, has then no term that a later input reaches. It starts as a plain long convolution.

    Args:
        channels: filters; the changes of basis are shared by all channels.
        max_len: longest sequence; padded to b^order.
        order: digits of a position.
        mode: "triangular" makes every block of T triangular, so that position (j1, j0) reaches
            (>= j1, >= j0); "two_part" (order 2 only) reaches all later blocks whole.
        backend: as in `long_conv`.

    Raises:
        RangeError: for sizes below one, an unknown mode, or "two_part" with another order.

    Example:
        >>> CausalMonarch(4, 30)(torch.zeros(2, 25, 4)).shape
        torch.Size([2, 25, 4])
    """

    def __init__(
        self,
        channels: int,
        max_len: int,
        *,
        order: int = 2,
        mode: Mode = "triangular",
        backend: Backend = "auto",
    ) -> None:
        """Make the three changes of basis and the filters."""
        super().__init__()
        self.channels = check_integer("channels", channels, low=1)
        self.max_len = check_integer("max_len", max_len, low=1)
        if mode not in ("triangular", "two_part"):
            raise RangeError(f"mode is {mode!r}; wanted triangular or two_part")
        if mode == "two_part" and order != 2:
            raise RangeError(f"order is {order} with mode 'two_part'; wanted 2")
        self.backend: Backend = backend
        side = balanced_side(max_len, check_order(order))
        self.size = side**order
        self.input_basis = _LowerMonarch(side, order, mode)
        self.filter_basis = _LowerMonarch(side, order, mode)
        self.output_basis = _LowerMonarch(side, order, mode)
        self.taps = nn.Parameter(torch.randn(channels, self.size) / math.sqrt(max_len))

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        """Mix.

        Args:
            x: (B, L, channels).

        Returns:
            (B, L, channels); row t depends on rows 0 to t.

        Raises:
            ShapeError: for another shape.
            RangeError: for sequences beyond max_len.
        """
        if x.ndim != 3 or x.shape[2] != self.channels or x.shape[1] == 0:
            raise ShapeError(
                f"x has shape {tuple(x.shape)}; wanted (B, L, {self.channels}), L at least 1"
            )
        length = x.shape[1]
        if length > self.max_len:
            raise RangeError(f"x has {length} tokens; wanted at most max_len {self.max_len}")
        # Later tokens reach nothing earlier, so zeros behind the sequence change nothing.
        rows = self.input_basis(F.pad(x.mT, (0, self.size - length)))
        taps = self.filter_basis(self.taps)
        mixed = long_conv(rows[..., :length].contiguous(), taps[:, :length], backend=self.backend)
        out: Tensor = self.output_basis(F.pad(mixed, (0, self.size - length)))
        return out[..., :length].mT
