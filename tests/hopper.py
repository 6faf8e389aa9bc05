"""Compile for an H100, which need not be there, each kernel that some calls would launch.

Prints a line a compilation: the kernel, and the shared memory that a program of it takes.
"""

import sys

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from tractable.attention import hip
from tractable.attention.hip import _paged, _passes, _paths
from tractable.nn import monarch
from tractable.nn.monarch import _convolution


class Absent:
    """Stands for a driver of one H100."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def compile_only(kernel, grid):
    def launch(*arguments, **options):
        made = kernel.run(*arguments, grid=grid, warmup=True, **options)
        sys.stdout.write(f"{kernel.__name__} {made.metadata.shared}\n")

    return launch


triton.runtime.driver.set_active(Absent())
JITFunction.__getitem__ = compile_only
for module in (_passes, _paged):
    module.find_path = lambda *_, grad: _paths._load_triton(must=True)
_convolution._serves = lambda u, k: True

SMALL = {"budget": 512, "block_q": 64, "dense_queries": 0}
for length, dtype in ((1, torch.bfloat16), (300, torch.float32)):
    query = torch.zeros(1, 2, length, 64, dtype=dtype)
    key = torch.zeros(1, 1, 3000, 64, dtype=dtype)
    hip.hip_attention(query, key, key, enable_gqa=True, **SMALL)
query = torch.zeros(1, 2, 300, 128, dtype=torch.bfloat16)
pool = torch.zeros(2, 188, 1, 16, 128, dtype=torch.bfloat16)
table = torch.arange(188, dtype=torch.int32)[None]
hip.hip_paged_attention(query, hip.PagedCache(*pool, table, torch.tensor([3000])), **SMALL)
for length in (1000, 70_000):
    u = torch.zeros(2, 2, length, requires_grad=True)
    k = torch.zeros(2, length, requires_grad=True)
    monarch.long_conv(u, k, backend="triton").sum().backward()
