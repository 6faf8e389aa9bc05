"""Triton's interpreter runs kernels in NumPy, so they are tested where no GPU is.

It is mended where it errs: it spreads a comparison of numbers as numbers, multiplies bfloat16's
bits (other arithmetic on bfloat16 stays wrong), and has no approximate sines. A program takes some
0.1 s, so cases are small.
"""

import numpy as np
import pytest
import torch

if torch.cuda.is_available():
    pytest.skip("kernels are compiled for the CUDA device", allow_module_level=True)
triton = pytest.importorskip("triton", minversion="3.9")
tl = pytest.importorskip("triton.language")
interpreter = pytest.importorskip("triton.runtime.interpreter")

mark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, at an overflow
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def spread(self, ret_ty, arg):
    """Fill a block with one number, a truth value as such."""
    filled = np.full(ret_ty.shape, arg.data, dtype=arg.data.dtype)
    return interpreter.TensorHandle(filled, arg.dtype.scalar)


def widen(handle):
    """Numbers of bfloat16, which is held as bits."""
    if handle.dtype.scalar != tl.bfloat16:
        return handle.data
    return (handle.data.astype(np.uint32) << 16).view(np.float32)


def multiply(self, a, b, d, *rest):
    product = np.matmul(widen(a), widen(b), dtype=d.data.dtype)
    return interpreter.TensorHandle(product + d.data, d.dtype.scalar)


interpreter.InterpreterBuilder.create_splat = spread
interpreter.InterpreterBuilder.create_dot = multiply


class Sines:
    """In the place of `libdevice`, which is compiled code."""

    @staticmethod
    @triton.jit
    def fast_cosf(x):
        return tl.cos(x)

    @staticmethod
    @triton.jit
    def fast_sinf(x):
        return tl.sin(x)
