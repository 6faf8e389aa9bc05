"""Members of the template whose matrix does not look at tokens: Fourier, MLPs, convolutions."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor, nn

from tractable._core.checks import check_integer
from tractable.attention.distributed._template import MixerShape, TokenMixer, register_mixer


class FNetMixer(TokenMixer):
    """A is the Fourier matrix over tokens, values are transformed channels, R the real part."""

    can_be_causal = False

    def values(self, x: Tensor) -> Tensor:
        """X F_D."""
        spectrum: Tensor = torch.fft.fft(x, dim=-1)
        return spectrum[:, None]

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """A fast transform over tokens."""
        spectrum: Tensor = torch.fft.fft(values, dim=2)
        return spectrum

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """exp(-2 pi i s t / L)."""
        place = torch.arange(x.shape[1], device=x.device)
        # Whole turns are taken off before rounding.
        turns = (place * place[:, None] % x.shape[1]).to(x.dtype) / x.shape[1]
        return torch.polar(torch.ones_like(turns), -2 * math.pi * turns)[None, None]

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The real part."""
        return mixed[:, 0].real

    def flops(self, length: int) -> int:
        """Of a fast transform."""
        return transform_flops(length, self.shape.dim)


def transform_flops(length: int, times: int) -> int:
    """Operations of so many fast Fourier transforms."""
    return times * 5 * length * max(1, math.ceil(math.log2(length)))


class MlpMixer(TokenMixer):
    """An MLP over tokens: values are gelu(W1 X), A is W2."""

    can_be_causal = False

    def __init__(self, shape: MixerShape, hidden: int = 256) -> None:
        """Make both layers."""
        super().__init__(shape)
        self.hidden = check_integer("hidden", hidden, low=1)
        self.inner = nn.Parameter(torch.randn(hidden, shape.max_len) / math.sqrt(shape.max_len))
        self.outer = nn.Parameter(torch.randn(shape.max_len, hidden) / math.sqrt(hidden))

    def values(self, x: Tensor) -> Tensor:
        """(B, 1, hidden, D)."""
        return F.gelu(self.inner[:, : x.shape[1]] @ x)[:, None]

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """The second layer."""
        return self.mixing_matrix(x) @ values

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """W2, cut to the length."""
        return self.outer[None, None, : x.shape[1]]

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """As it is."""
        return mixed[:, 0]

    def flops(self, length: int) -> int:
        """One product."""
        return 2 * self.shape.dim * length * self.hidden


class GatedMlpMixer(TokenMixer):
    """Spatial gating: a learned matrix mixes one half of the channels, which gates the other."""

    def __init__(self, shape: MixerShape) -> None:
        """Start near a gate of one."""
        super().__init__(shape)
        self.gated, self.value, self.out = (nn.Linear(shape.dim, shape.dim) for _ in range(3))
        self.norm = nn.LayerNorm(shape.dim)
        self.weight = nn.Parameter(torch.randn(shape.max_len, shape.max_len) * 1e-3)
        self.bias = nn.Parameter(torch.ones(shape.max_len))

    def values(self, x: Tensor) -> Tensor:
        """The half that is mixed."""
        normed: Tensor = self.norm(F.gelu(self.value(x)))[:, None]
        return normed

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """One product."""
        return self.mixing_matrix(x) @ values

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """W, cut to the length."""
        length = x.shape[1]
        weight = self.weight[None, None, :length, :length]
        return weight.tril() if self.shape.causal else weight

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """u (A v + b)."""
        gate = mixed[:, 0] + self.bias[: x.shape[1], None]
        gated: Tensor = self.out(F.gelu(self.gated(x)) * gate)
        return gated

    def flops(self, length: int) -> int:
        """One product."""
        return 2 * self.shape.dim * length**2


class ConvolutionMixer(TokenMixer):
    """A is a Toeplitz matrix for every channel, applied by fast Fourier transforms.

    One kernel for each direction that the mixer reads in; subclasses say where they come from.
    """

    def __init__(self, shape: MixerShape) -> None:
        """Count directions."""
        super().__init__(shape)
        self.directions = 1 if shape.causal else 2
        self.out = nn.Linear(shape.dim, shape.dim)

    def kernels(self, length: int) -> Tensor:
        """(directions, D, L): what a token gets from those before, and from those after."""
        raise NotImplementedError

    def values(self, x: Tensor) -> Tensor:
        """(B, D, L, 1): every channel is a head."""
        return x.mT[..., None]

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """Convolve, with room for the ends."""
        length = x.shape[1]
        kernels = self.kernels(length)
        wide = F.pad(kernels[0], (0, length))
        if not self.shape.causal:
            # The other direction wraps around to the end; both have distance zero.
            wide = wide + F.pad(kernels[1], (0, length)).flip(-1).roll(1, -1)
        product = torch.fft.rfft(values, 2 * length, dim=2) * torch.fft.rfft(wide)[..., None]
        wrapped: Tensor = torch.fft.irfft(product, 2 * length, dim=2)
        return wrapped[:, :, :length]

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """Entry (t, s) is the kernel at distance t - s."""
        length = x.shape[1]
        place = torch.arange(length, device=x.device)
        distance = place[:, None] - place
        kernels = self.kernels(length)
        matrix = kernels[0][:, distance.clamp(min=0)] * (distance >= 0)
        if not self.shape.causal:
            matrix = matrix + kernels[1][:, (-distance).clamp(min=0)] * (distance <= 0)
        return matrix[None]

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Mix channels."""
        joined: Tensor = self.out(F.gelu(mixed[..., 0].mT))
        return joined

    def flops(self, length: int) -> int:
        """Three transforms of twice the length a channel."""
        return transform_flops(2 * length, 3 * self.shape.dim)


class LongConvMixer(ConvolutionMixer):
    """A long convolution with a free kernel."""

    def __init__(self, shape: MixerShape) -> None:
        """Start with kernels that fade with distance."""
        super().__init__(shape)
        fade = torch.exp(-torch.arange(shape.max_len) / 16)
        noise = torch.randn(self.directions, shape.dim, shape.max_len)
        self.free = nn.Parameter(0.1 * noise * fade)

    def kernels(self, length: int) -> Tensor:
        """The parameters, cut to the length."""
        return self.free[..., :length]


class S4DMixer(ConvolutionMixer):
    """A long convolution whose kernel a diagonal state space makes: A_n = -1/2 + i pi n."""

    poles: Tensor

    def __init__(self, shape: MixerShape, states: int = 32) -> None:
        """Make steps from 0.001 to 0.1 and the read-out of `states` conjugate pairs."""
        super().__init__(shape)
        check_integer("states", states, low=1)
        steps = torch.rand(self.directions, shape.dim) * math.log(100.0) + math.log(1e-3)
        self.log_step = nn.Parameter(steps)
        noise = torch.randn(self.directions, shape.dim, states, 2)
        self.weight = nn.Parameter(noise / math.sqrt(states))
        self.register_buffer("poles", torch.arange(states) * math.pi)

    def kernels(self, length: int) -> Tensor:
        """2 Re sum_n C_n (exp(step A_n) - 1) / A_n exp(step A_n t)."""
        poles = torch.complex(torch.full_like(self.poles, -0.5), self.poles)
        turn = self.log_step.exp()[..., None] * poles
        weight = torch.view_as_complex(self.weight) * turn.expm1() / poles
        place = torch.arange(length, device=turn.device)
        powers = (turn[..., None] * place).exp()
        return 2 * torch.einsum("kdn,kdnl->kdl", weight, powers).real


class PoolMixer(TokenMixer):
    """The mean of a window, less the token itself."""

    def __init__(self, shape: MixerShape, window: int = 3) -> None:
        """Add the window, which looks back where the mixer is causal."""
        super().__init__(shape)
        self.window = check_integer("window", window, low=1)

    def ends(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """First token of each window, and the one past its last."""
        place = torch.arange(x.shape[1], device=x.device)
        ahead = 0 if self.shape.causal else self.window // 2
        first = (place - (self.window - 1 - ahead)).clamp(min=0)
        return first, (place + ahead + 1).clamp(max=x.shape[1])

    def values(self, x: Tensor) -> Tensor:
        """Tokens as they are."""
        return x[:, None]

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """Shifted copies are added up, so that no running sum rounds."""
        first, stop = self.ends(x)
        ahead = 0 if self.shape.causal else self.window // 2
        padded = F.pad(values, (0, 0, self.window - 1 - ahead, ahead))
        total = sum(padded[:, :, i : i + x.shape[1]] for i in range(self.window))
        return total / (stop - first)[:, None] - values

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """A band of means, less the identity."""
        first, stop = (end[:, None] for end in self.ends(x))
        place = torch.arange(x.shape[1], device=x.device)
        band = ((place >= first) & (place < stop)).to(x.dtype) / (stop - first)
        return (band - torch.eye(x.shape[1], dtype=x.dtype, device=x.device))[None, None]

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """As it is."""
        return mixed[:, 0]

    def flops(self, length: int) -> int:
        """A sum a token."""
        return self.shape.dim * length * (self.window + 2)


for _name, _member in {
    "fnet": FNetMixer,
    "mlp_mixer": MlpMixer,
    "gmlp": GatedMlpMixer,
    "long_conv": LongConvMixer,
    "s4d": S4DMixer,
    "pool": PoolMixer,
}.items():
    register_mixer(_name, _member)
