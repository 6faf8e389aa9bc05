"""Monarch convolutions on a CUDA device against torch's FFT in 64 bits."""

import subprocess
import sys

import pytest
import torch

import tractable
from tractable.nn import monarch

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
TOLERANCE = {"float16": 2e-3, "bfloat16": 6e-3}


def make(batch, channels, length, *, causal=True, dtype=torch.float32, seed=0, decay=4.0):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(batch, channels, length, generator=generator)
    shape = (channels, length) if causal else (2, channels, length)
    fall = torch.exp(-decay * torch.arange(length) / length)
    k = torch.randn(shape, generator=generator) * fall / length**0.5
    skip = torch.randn(channels, generator=generator)
    return [x.to("cuda", dtype) for x in (u, k, skip)]


def error(got, wanted):
    got, wanted = got.double(), wanted.double()
    assert torch.isfinite(got).all()
    return float((got - wanted).norm() / wanted.norm())


def expect(u, k, skip=None, *, causal=True):
    wide = None if skip is None else skip.double()
    return monarch.long_conv(u.double(), k.double(), causal=causal, skip=wide, backend="fft")


@pytest.mark.parametrize("operands", ["float16", "bfloat16"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "length",
    [1, 2, 255, 256, 257, 512, 700, 1024, 2048, 3000, 4096, 8192, 10_000, 16_384, 20_000, 66_000],
)
def test_values_equal_the_fft(length, causal, operands):
    u, k, skip = make(2, 3, length, causal=causal)
    out = monarch.long_conv(u, k, causal=causal, skip=skip, backend="triton", operands=operands)
    assert out.dtype == u.dtype
    assert error(out, expect(u, k, skip, causal=causal)) < TOLERANCE[operands]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [300, 5000, 40_000])
def test_other_dtypes_come_back_as_they_went_in(dtype, length):
    u, k, _ = make(2, 3, length, dtype=dtype)
    out = monarch.long_conv(u, k, backend="triton")
    assert out.dtype == dtype
    limit = {torch.float32: 1e-3, torch.float16: 1e-3, torch.bfloat16: 3e-3}[dtype]
    assert error(out, expect(u, k)) < limit


@pytest.mark.parametrize("operands", ["float16", "bfloat16"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("batch", "length"), [(1, 17), (3, 1000), (5, 4096), (2, 16_384), (2, 20_000), (2, 80_000)]
)
def test_gradients_equal_those_of_the_fft(batch, length, causal, operands):
    tensors = make(batch, 2, length, causal=causal)
    weight = torch.randn_like(tensors[0])
    leaves = [x.requires_grad_() for x in tensors]
    out = monarch.long_conv(
        *leaves[:2], causal=causal, skip=leaves[2], backend="triton", operands=operands
    )
    got = torch.autograd.grad((out * weight).sum(), leaves)
    wide = [x.detach().double().requires_grad_() for x in tensors]
    wanted = torch.autograd.grad((expect(*wide, causal=causal) * weight).sum(), wide)
    assert error(got[0], wanted[0]) < TOLERANCE[operands]
    assert error(got[1], wanted[1]) < 2 * TOLERANCE[operands]
    # A sum over all tokens of both signs: rounding stands beside what is left of it.
    scale = (tensors[0].detach() * weight).double().norm() * 2**0.5
    assert float((got[2].double() - wanted[2]).norm() / scale) < 2 * TOLERANCE[operands]


@pytest.mark.parametrize("case", ["ones", "huge", "tiny", "one tap", "zeros", "wave"])
@pytest.mark.parametrize("length", [4096, 60_000, 80_000])
def test_extremes_neither_overflow_nor_vanish(case, length):
    u, k, _ = make(2, 2, length)
    if case == "ones":
        u, k = torch.ones_like(u), torch.ones_like(k)
    elif case == "huge":
        u, k = u * 1e15, k * 1e15
    elif case == "tiny":
        u, k = u * 1e-15, k * 1e-10
    elif case == "one tap":
        k[:, 1:] = 0.0
    elif case == "wave":
        u = torch.cos(torch.arange(length, device="cuda") * 0.3).expand_as(u).contiguous()
        k = torch.cos(torch.arange(length, device="cuda") * 0.3).expand_as(k).contiguous()
    elif case == "zeros":
        out = monarch.long_conv(torch.zeros_like(u), k, backend="triton")
        assert float(out.abs().max()) == 0.0
        out = monarch.long_conv(u, torch.zeros_like(k), backend="triton")
        assert float(out.abs().max()) == 0.0
        return
    out = monarch.long_conv(u, k, backend="triton")
    assert error(out, expect(u, k)) < 2e-3


def test_rows_of_unlike_size_keep_their_own_precision():
    u, k, _ = make(3, 2, 40_000)
    u[1] *= 1e-6
    k[1] *= 1e4
    u[2, :, :16_384] *= 1e-3
    out, wanted = monarch.long_conv(u, k, backend="triton"), expect(u, k)
    for row in range(3):
        for channel in range(2):
            assert error(out[row, channel], wanted[row, channel]) < 2e-3


@pytest.mark.parametrize("length", [1000, 40_000])
def test_poison_stays_in_its_row(length):
    u, k, _ = make(2, 2, length)
    u[0, 1, 77] = torch.nan
    out = monarch.long_conv(u, k, backend="triton")
    assert out[0, 1, 77:].isnan().all()
    assert error(out[1], expect(u[1:], k)[0]) < 2e-3
    assert error(out[0, 0], expect(u[:1], k)[0, 0]) < 2e-3


def test_strided_misaligned_and_empty_tensors():
    u, k, _ = make(2, 3, 1000)
    wanted = monarch.long_conv(u, k, backend="triton")
    turned = u.transpose(1, 2).contiguous().transpose(1, 2)
    room = u.new_empty(u.numel() + 1)
    room[1:] = u.flatten()
    for changed in (turned, room[1:].view(u.shape)):
        assert torch.equal(monarch.long_conv(changed, k, backend="triton"), wanted)
    assert monarch.long_conv(u[:0], k, backend="triton").shape == (0, 3, 1000)


def test_rows_beyond_the_reach_of_32_bits():
    u = torch.zeros(1, 2**17 + 9, 2**14, device="cuda", dtype=torch.bfloat16)
    k = torch.zeros(2**17 + 9, 2**14, device="cuda", dtype=torch.bfloat16)
    fine, taps, _ = make(1, 4, 2**14, dtype=torch.bfloat16)
    u[:, -4:], k[-4:] = fine, taps
    out = monarch.long_conv(u, k, backend="triton")
    assert error(out[:, -4:], expect(fine, taps)) < 3e-3


def test_the_path_is_chosen_by_precision():
    u, k, _ = make(2, 3, 1000)
    exact = monarch.long_conv(u, k)
    assert torch.equal(exact, monarch.long_conv(u, k, backend="fft"))
    assert error(exact, expect(u, k)) < 1e-6
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert torch.equal(monarch.long_conv(u, k), monarch.long_conv(u, k, backend="triton"))
    finally:
        torch.set_float32_matmul_precision(before)
    half = monarch.long_conv(u.half(), k.half())
    assert torch.equal(half, monarch.long_conv(u.half(), k.half(), backend="triton"))


def test_flops_are_counted():
    u, k, _ = make(2, 3, 2**16)
    with tractable.count() as cost:
        monarch.long_conv(u, k, backend="triton")
    one = 2**12 * (8 * 64 + 4 * 64)
    assert cost["flops"] == one * (2 * 6 * 16 + 3 * 16)


@pytest.mark.parametrize("length", [4096, 40_000])
def test_convolutions_are_captured_in_a_graph(length):
    u, k, _ = make(2, 3, length)
    expected = monarch.long_conv(u, k, backend="triton")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = monarch.long_conv(u, k, backend="triton")
    graph.replay()
    assert torch.equal(out, expected)
    u.copy_(make(2, 3, length, seed=1)[0])
    graph.replay()
    assert torch.equal(out, monarch.long_conv(u, k, backend="triton"))
    assert not torch.equal(out, expected)


def test_operators_pass_torchs_own_checks():
    u, k, _ = make(2, 3, 300)
    torch.library.opcheck(
        torch.ops.tractable.monarch_convolve.default,
        (u.requires_grad_(), k.requires_grad_(), 0, False),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


LAYER = """
import torch
from tractable.nn.monarch import MonarchMixerBlock

torch.manual_seed(0)
torch.set_float32_matmul_precision("high")
layer = MonarchMixerBlock(64, 3000).cuda()
x = torch.randn(2, 3000, 64, device="cuda", requires_grad=True)
compiled = torch.compile(layer, fullgraph=True)
out, expected = compiled(x), layer(x)
assert float((out - expected).norm() / expected.norm()) < 3e-3
(one,) = torch.autograd.grad(out.square().sum(), x)
(two,) = torch.autograd.grad(expected.square().sum(), x)
assert float((one - two).norm() / two.norm()) < 2e-2
"""


def test_a_layer_compiles_to_one_graph():
    ran = subprocess.run([sys.executable, "-c", LAYER], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
