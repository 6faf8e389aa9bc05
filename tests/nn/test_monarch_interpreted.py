"""Monarch convolutions' kernels, interpreted on the CPU, against torch's FFT in 64 bits."""

import interpreted
import pytest
import torch

from tractable.nn import monarch
from tractable.nn._kernels import monarch_conv
from tractable.nn.monarch import _convolution

pytestmark = interpreted.mark


@pytest.fixture(autouse=True)
def _on_cpu(monkeypatch):
    monkeypatch.setattr(_convolution, "_serves", lambda u, k: True)
    monkeypatch.setattr(monarch_conv, "libdevice", interpreted.Sines)


def make(batch, channels, length, *, causal):
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(batch, channels, length, generator=generator)
    shape = (channels, length) if causal else (2, channels, length)
    k = torch.randn(shape, generator=generator) / length**0.5
    return u, k, torch.randn(channels, generator=generator)


def error(got, wanted):
    return float((got.double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 257, 1000, 4096, 10_000, 70_000])
def test_values_and_gradients_equal_the_ffts(length, causal):
    tensors = make(2, 1, length, causal=causal)
    weight = torch.randn_like(tensors[0])
    leaves = [x.requires_grad_() for x in tensors]
    out = monarch.long_conv(*leaves[:2], causal=causal, skip=leaves[2], backend="triton")
    wide = [x.detach().double().requires_grad_() for x in tensors]
    wanted = monarch.long_conv(*wide[:2], causal=causal, skip=wide[2], backend="fft")
    assert error(out.detach(), wanted.detach()) < 2e-3
    got = torch.autograd.grad((out * weight).sum(), leaves[:2])
    slopes = torch.autograd.grad((wanted * weight).sum(), wide[:2])
    assert error(got[0], slopes[0]) < 2e-3
    assert error(got[1], slopes[1]) < 4e-3


@pytest.mark.parametrize("dtype", interpreted.DTYPES)
@pytest.mark.parametrize("length", [300, 5000])
def test_other_dtypes_come_back_as_they_went_in(dtype, length):
    u, k, _ = (x.to(dtype) for x in make(2, 2, length, causal=True))
    out = monarch.long_conv(u, k, backend="triton")
    assert out.dtype == dtype
    assert error(out, monarch.long_conv(u.double(), k.double(), backend="fft")) < 6e-3


@pytest.mark.parametrize("length", [1000, 20_000])
@pytest.mark.parametrize("case", ["huge", "tiny", "zeros", "poisoned"])
def test_extremes_neither_overflow_nor_vanish_nor_spread(case, length):
    u, k, _ = make(2, 2, length, causal=True)
    factor = {"huge": 1e15, "tiny": 1e-15, "zeros": 0.0, "poisoned": 1.0}[case]
    u, k = u * factor, k * max(factor, 1e-10)
    wanted = monarch.long_conv(u.double(), k.double(), backend="fft")
    if case == "poisoned":
        u[0, 1, 77] = torch.nan
    out = monarch.long_conv(u, k, backend="triton")
    if case == "zeros":
        assert float(out.abs().max()) == 0.0
        return
    assert error(out[1], wanted[1]) < 2e-3
    assert error(out[0, 0], wanted[0, 0]) < 2e-3
    assert bool(out[0, 1, 77:].isnan().all()) == (case == "poisoned")
