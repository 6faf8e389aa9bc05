"""Linear layers with Monarch and block-diagonal weights."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Float
from torch import Tensor, nn

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.nn.monarch._counting import note_flops
from tractable.nn.monarch._factors import (
    balanced_side,
    check_order,
    monarch_matmul,
    project_to_monarch,
)

__all__ = ["BlockDiagonalLinear", "MonarchLinear"]


class _Structured(nn.Module):
    """What both layers share: padding, bias, the dense matrix and its share of weights."""

    in_features: int
    out_features: int
    bias: nn.Parameter | None

    def _start(self, in_features: int, out_features: int, bias: bool) -> None:
        self.in_features = check_integer("in_features", in_features, low=1)
        self.out_features = check_integer("out_features", out_features, low=1)
        if bias:
            reach = 1 / math.sqrt(self.in_features)
            self.bias = nn.Parameter(torch.empty(self.out_features).uniform_(-reach, reach))
        else:
            self.register_parameter("bias", None)

    def _transform(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _weights(self) -> int:
        raise NotImplementedError

    @property
    def saving(self) -> float:
        """Weights kept, as a share of those of a dense layer."""
        return self._weights() / (self.in_features * self.out_features)

    def to_dense(self) -> Float[Tensor, "out in"]:
        """Return the matrix that the layer multiplies by, the bias left out."""
        one = next(self.parameters())
        eye = torch.eye(self.in_features, dtype=one.dtype, device=one.device)
        return self._transform(eye).mT

    def forward(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch m"]:
        """Apply the layer to vectors of width in_features.

        Raises:
            ShapeError: for another width.
        """
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(f"x has shape {tuple(x.shape)}; wanted (..., {self.in_features})")
        found = self._transform(x)
        return found if self.bias is None else found + self.bias

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"{self.in_features}, {self.out_features}, saving={self.saving:.3g}"


class MonarchLinear(_Structured):
    """A linear layer whose matrix is a Monarch matrix of order p: p N^((p+1)/p) weights.

    Sizes that do not divide are padded with zeros on the way in and cut on the way out.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        nblocks: blocks of either factor, for order 2 only, which makes 2/nblocks of the weights
            of a square dense layer; None takes about the square root, as the paper does.
        order: number of factors p.
        bias: whether a bias is added.

    Raises:
        RangeError: for sizes below one, or `nblocks` with another order than 2.

    Example:
        >>> layer = MonarchLinear(64, 64)
        >>> layer(torch.zeros(3, 64)).shape, layer.saving
        (torch.Size([3, 64]), 0.25)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        nblocks: int | None = None,
        order: int = 2,
        bias: bool = True,
    ) -> None:
        """Draw the factors so that outputs vary as a dense layer's do."""
        super().__init__()
        self._start(in_features, out_features, bias)
        self.order = check_order(order)
        self.nblocks = nblocks
        if nblocks is None:
            shapes = self._find_digits()
        elif self.order == 2:
            check_integer("nblocks", nblocks, low=1)
            first, last = -(-in_features // nblocks), -(-out_features // nblocks)
            middle = min(first, last)
            shapes = [(nblocks, middle, first), (nblocks, last, middle)]
        else:
            raise RangeError(f"nblocks is {nblocks} with order {order}; leave it out, or order 2")
        self.factors = nn.ParameterList(nn.Parameter(_draw(s, len(shapes))) for s in shapes)

    def _find_digits(self) -> list[tuple[int, int, int]]:
        first = balanced_side(self.in_features, self.order)
        last = balanced_side(self.out_features, self.order)
        return [
            (first ** (self.order - 1 - done) * last**done, last, first)
            for done in range(self.order)
        ]

    def _weights(self) -> int:
        return sum(factor.numel() for factor in self.factors)

    def _transform(self, x: Tensor) -> Tensor:
        first = self.factors[0]
        padded = F.pad(x, (0, first.shape[0] * first.shape[2] - self.in_features))
        return monarch_matmul(padded, *self.factors)[..., : self.out_features]

    @classmethod
    def from_dense(
        cls, weight: Float[Tensor, "out in"], bias: Float[Tensor, "out"] | None = None
    ) -> "MonarchLinear":
        """Return the layer of order 2 that is nearest to a dense matrix (padded with zeros).

        Args:
            weight: as in `nn.Linear`.
            bias: copied as it is.

        Returns:
            A layer in the weight's dtype.

        Raises:
            ShapeError, DTypeError: as `project_to_monarch`.
        """
        out, size = weight.shape
        layer = cls(size, out, bias=bias is not None).to(weight)
        first, last = layer.factors[0].shape[2], layer.factors[0].shape[1]
        padded = F.pad(weight.detach(), (0, first**2 - size, 0, last**2 - out))
        with torch.no_grad():
            for kept, new in zip(
                layer.factors,
                project_to_monarch(padded, ((last, last), (first, first))),
                strict=True,
            ):
                kept.copy_(new)
            if bias is not None and layer.bias is not None:
                layer.bias.copy_(bias)
        return layer


class BlockDiagonalLinear(_Structured):
    """One block-diagonal factor: 1/nblocks of a dense layer's weights and flops.

    Without a shuffle a block's outputs depend on its own inputs alone, and stacks of such layers
    never mix blocks. With it, outputs of the blocks take turns, so that the next layer mixes.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        nblocks: blocks; sizes that do not divide are padded.
        shuffle: whether outputs of the blocks take turns.
        bias: whether a bias is added.

    Raises:
        RangeError: for sizes below one.

    Example:
        >>> BlockDiagonalLinear(8, 16, nblocks=4).saving
        0.25
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        nblocks: int = 4,
        *,
        shuffle: bool = True,
        bias: bool = True,
    ) -> None:
        """Draw the blocks so that outputs vary as a dense layer's do."""
        super().__init__()
        self._start(in_features, out_features, bias)
        self.nblocks = check_integer("nblocks", nblocks, low=1)
        self.shuffle = shuffle
        size, out = -(-in_features // nblocks), -(-out_features // nblocks)
        self.weight = nn.Parameter(_draw((nblocks, out, size), 1))

    def _weights(self) -> int:
        return self.weight.numel()

    def _transform(self, x: Tensor) -> Tensor:
        blocks, out, size = self.weight.shape
        note_flops(2 * (x.numel() // self.in_features) * self.weight.numel())
        padded = F.pad(x, (0, blocks * size - self.in_features)).reshape(-1, blocks, size)
        found = torch.bmm(padded.transpose(0, 1), self.weight.mT)
        found = found.permute(1, 2, 0) if self.shuffle else found.transpose(0, 1)
        return found.reshape(*x.shape[:-1], blocks * out)[..., : self.out_features]


def _draw(shape: tuple[int, int, int], factors: int) -> Tensor:
    """Uniform entries; the product of all factors has the variance of a dense layer's init."""
    reach = math.sqrt(3 * 3 ** (-1 / factors) / shape[2])
    return torch.empty(shape).uniform_(-reach, reach)
