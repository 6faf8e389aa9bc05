"""Long filters computed from their positions, so that weights do not grow with the length."""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tractable._core import RangeError
from tractable._core.checks import check_integer, check_number

__all__ = ["FilterOptions", "ImplicitFilter", "parameter_groups"]


class FilterOptions(NamedTuple):
    """How filters are made.

    Args:
        order: width of the network that maps positions to taps.
        emb_dim: features of a position, odd: time, then cosines and sines.
        w: frequency that the sines start with.
        num_inner: layers between the first and the last.
        fast_decay, slow_decay: share of `max_len` in which the fastest and the slowest channel
            fall to `target`.
        target: see above.
    """

    order: int = 128
    emb_dim: int = 5
    w: float = 10.0
    num_inner: int = 2
    fast_decay: float = 0.3
    slow_decay: float = 1.5
    target: float = 1e-2


class ImplicitFilter(nn.Module):
    """A filter for each channel, from a small network with sine activations (Hyena's).

    Args:
        channels: filters.
        max_len: longest sequence; shorter ones take the first taps.
        options: how the filters are made.
        bidirectional: whether a second network makes taps at negative lags.

    Raises:
        RangeError: for sizes below one, or an even `emb_dim`.

    Example:
        >>> ImplicitFilter(8, 100, bidirectional=True)(60).shape
        torch.Size([2, 8, 60])
    """

    skip: Tensor
    positions: nn.Parameter
    time: Tensor
    deltas: Tensor

    def __init__(
        self,
        channels: int,
        max_len: int,
        options: FilterOptions | None = None,
        *,
        bidirectional: bool = False,
    ) -> None:
        """Make the networks, the positions and the decay."""
        super().__init__()
        options = FilterOptions() if options is None else options
        check_integer("channels", channels, low=1)
        self.max_len = check_integer("max_len", max_len, low=1)
        check_integer("order", options.order, low=1)
        check_integer("num_inner", options.num_inner, low=0)
        if check_integer("emb_dim", options.emb_dim, low=3) % 2 == 0:
            raise RangeError(f"emb_dim is {options.emb_dim}; wanted it odd: time and pairs")
        check_number("target", options.target, low=0.0, high=1.0, open_ends=True)
        self.bidirectional = bidirectional
        self.register_buffer("time", torch.linspace(0, 1, max_len)[:, None])
        bands = (options.emb_dim - 1) // 2
        angle = torch.arange(max_len)[:, None] * (2 * math.pi / max_len)
        angle = angle * torch.linspace(1e-4, bands - 1, bands)
        features = torch.cat([self.time, angle.cos(), -angle.sin()], 1)
        self.positions = nn.Parameter(features)
        self.frequency = nn.Parameter(torch.full((options.order,), float(options.w)))
        self.forward_taps = _make_network(channels, options)
        self.reverse_taps = _make_network(channels, options) if bidirectional else None
        rate = math.log(options.target)
        deltas = torch.linspace(rate / options.slow_decay, rate / options.fast_decay, channels)
        self.register_buffer("deltas", deltas)
        self.skip = nn.Parameter(torch.randn(channels))

    def forward(self, length: int) -> Float[Tensor, "*two C L"]:
        """Return the first taps, as `long_conv` takes them.

        Args:
            length: taps, up to `max_len`.

        Returns:
            (C, length), or (2, C, length) where bidirectional.

        Raises:
            RangeError: for a length beyond `max_len`.
        """
        if length > self.max_len:
            raise RangeError(
                f"length is {length}; wanted at most max_len {self.max_len}: make the filter for "
                "the longest sequence"
            )
        decay = torch.exp(-self.time[:length] * self.deltas.abs())
        taps = self._evaluate(self.forward_taps, length) * decay
        if self.reverse_taps is None:
            return taps.mT
        return torch.stack([taps, self._evaluate(self.reverse_taps, length) * decay]).mT

    def _evaluate(self, network: nn.ModuleList, length: int) -> Tensor:
        found = self.positions[:length]
        for layer in network[:-1]:
            found = torch.sin(self.frequency * layer(found))
        taps: Tensor = network[-1](found)
        return taps


def _make_network(channels: int, options: FilterOptions) -> nn.ModuleList:
    widths = [options.emb_dim, *[options.order] * (options.num_inner + 1)]
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.ModuleList([*layers, nn.Linear(options.order, channels, bias=False)])


def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    filter_lr: float = 1e-3,
    filter_weight_decay: float = 0.1,
    position_lr: float = 1e-5,
) -> list[dict[str, Any]]:
    """Split a model's parameters for an optimizer: filters and their positions learn on their own.

    Args:
        model: holds any number of `ImplicitFilter`.
        lr, weight_decay: for all that is no filter.
        filter_lr, filter_weight_decay: for the filters' networks.
        position_lr: for the positions, which do not decay.

    Returns:
        Groups as `torch.optim` takes them; every parameter is in one of them.

    Example:
        >>> groups = parameter_groups(ImplicitFilter(4, 9), lr=1e-3, weight_decay=0.0)
        >>> [len(group["params"]) for group in groups]
        [1, 8, 1]
    """
    networks: list[nn.Parameter] = []
    positions: list[nn.Parameter] = []
    for module in model.modules():
        if isinstance(module, ImplicitFilter):
            positions += [module.positions]
            networks += [
                parameter
                for name, parameter in module.named_parameters()
                if name not in ("positions", "skip")
            ]
    apart = {id(parameter) for parameter in (*networks, *positions)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    return [
        {"params": others, "lr": lr, "weight_decay": weight_decay},
        {"params": networks, "lr": filter_lr, "weight_decay": filter_weight_decay},
        {"params": positions, "lr": position_lr, "weight_decay": 0.0},
    ]
