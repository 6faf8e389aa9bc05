"""Long convolutions on a CUDA device: fused Monarch kernels against torch's FFT.

The bars: at least 4 times as fast as `torch.fft` with zero padding at 16k and 64k tokens forward
and 3 times forward and backward, filter's transform included every time; relative errors below
6e-3 with bfloat16 operands, 2e-3 with float16 ones, 1e-5 on the float32 path (which is torch's
FFT). B 4, D 768, float32 in and out; filters that decay.

Prints, a row a length and mode, milliseconds of torch's FFT and of the kernels, measured in turn,
their ratio, the share of the floor (bytes that must move over the measured copy rate, or products
over the measured rate of a matrix product), and relative errors against 64 bits on some channels.

Run with `python benchmarks/monarch_cuda.py [LENGTH ...]`.
"""

import sys

import torch
from cuda_race import ceilings_on_gpu, race_on_gpu

import tractable
from tractable.nn.monarch import long_conv

BATCH, CHANNELS = 4, 768
LENGTHS = (2**12, 2**14, 2**16, 2**18)


def make(length, dtype=torch.float32):
    generator = torch.Generator("cuda").manual_seed(length)
    u = torch.randn(BATCH, CHANNELS, length, device="cuda", generator=generator)
    k = torch.randn(CHANNELS, length, device="cuda", generator=generator)
    k *= torch.exp(-4.0 * torch.arange(length, device="cuda") / length) / length**0.5
    return u.to(dtype), k.to(dtype)


def both_ways(u, k, **options):
    """A training step: the gradients of rows and taps."""
    leaves = [x.detach().requires_grad_() for x in (u, k)]
    grad = torch.randn_like(u)

    def step():
        return torch.autograd.grad(long_conv(*leaves, **options), leaves, grad)

    return step


def errors(u, k, operands):
    """Relative L2 errors of the result and both gradients, on eight channels."""
    u, k = u[:, :8].contiguous(), k[:8].contiguous()
    grad = torch.randn_like(u)
    found = []
    for x, y, options in (
        (u, k, {"backend": "triton", "operands": operands}),
        (u.double(), k.double(), {"backend": "fft"}),
    ):
        leaves = [x.detach().requires_grad_(), y.detach().requires_grad_()]
        out = long_conv(*leaves, **options)
        found.append([out.detach(), *torch.autograd.grad(out, leaves, grad.to(out.dtype))])
    return [
        float((one.double() - two).norm() / two.norm()) for one, two in zip(*found, strict=True)
    ]


def measure(length, rates):
    for dtype in (torch.float32, torch.bfloat16):
        u, k = make(length, dtype)
        with tractable.count() as cost:
            long_conv(u[:1, :1], k[:1], backend="triton")
        for operands in ("float16", "bfloat16"):
            options = {"backend": "triton", "operands": operands}
            theirs, ours = race_on_gpu(
                lambda u=u, k=k: long_conv(u, k, backend="fft"),
                lambda u=u, k=k, options=options: long_conv(u, k, **options),
                rounds=9,
                repeats=5,
            )
            moved = 2 * u.nbytes + k.nbytes
            floors = moved / rates[0] * 1e3, BATCH * CHANNELS * cost["flops"] / rates[1] * 1e3
            line = (
                f"{length:7} {str(dtype)[6:]:8} {operands:8} forward fft {theirs:8.3f} kernels "
                f"{ours:7.3f} ms {theirs / ours:5.2f}x  floors: bytes {floors[0]:.3f}, products "
                f"{floors[1]:.3f} ms"
            )
            if length <= 2**16:
                theirs, ours = race_on_gpu(
                    both_ways(u, k, backend="fft"), both_ways(u, k, **options), rounds=5, repeats=2
                )
                line += (
                    f"  both ways fft {theirs:8.3f} kernels {ours:7.3f} ms {theirs / ours:5.2f}x"
                )
            wrong = ", ".join(f"{error:.1e}" for error in errors(u, k, operands))
            print(f"{line}  errors {wrong}", flush=True)
        torch.cuda.empty_cache()


def main():
    rates = ceilings_on_gpu(torch.float16)
    print(
        f"{torch.cuda.get_device_name()}: copy {rates[0] / 1e12:.2f} TB/s, product "
        f"{rates[1] / 1e12:.0f} TFLOP/s"
    )
    for length in [int(word) for word in sys.argv[1:]] or LENGTHS:
        measure(length, rates)


if __name__ == "__main__":
    main()
