"""Which implementation does the work: torch anywhere, compiled loops or kernels where they can."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from tractable._core import MissingPackageError, RangeError, SlowPathWarning
from tractable.attention.hip import _sparse, _tree
from tractable.attention.hip._settings import Backend

__all__ = ["Path", "find_path"]

INSTALL = "pip install 'tractable[jit]'"
GPU_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
GPU_WIDTHS = (64, 128)


class Path(NamedTuple):
    """One implementation of the two passes."""

    choose_blocks: Callable[..., tuple[Tensor, Tensor, int]]
    attend_sparse: Callable[..., tuple[Tensor, Tensor]]
    waits_for_nothing: bool = False
    """Whether it reads no number back from the device."""


TORCH = Path(_tree.choose_blocks, _sparse.attend_sparse)


def find_path(backend: Backend, *tensors: Tensor, grad: bool) -> Path:
    """Choose the implementation that does the work."""
    if backend not in get_args(Backend):
        raise RangeError(f"backend is {backend!r}; wanted one of {', '.join(get_args(Backend))}")
    what = f"{tensors[0].dtype} on {tensors[0].device}"
    able = not grad and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
    if backend == "numba" and not able:
        raise RangeError(
            f"backend is 'numba' and the tensors are {what}{', with gradients' if grad else ''}; "
            "it takes float32 on the CPU without gradients: use backend='torch'"
        )
    on_gpu = all(t.is_cuda and t.dtype in GPU_DTYPES and t.shape[3] in GPU_WIDTHS for t in tensors)
    if backend == "triton" and not on_gpu:
        widths = ", ".join(str(t.shape[3]) for t in tensors)
        raise RangeError(
            f"backend is 'triton' and the tensors are {what} with heads of width {widths}; it "
            "takes float32, float16 or bfloat16 on a CUDA device and widths 64 and 128: use "
            "backend='torch'"
        )
    if on_gpu and backend in ("auto", "triton"):
        return _load_triton(must=backend == "triton") or TORCH
    if backend in ("torch", "triton") or not able:
        return TORCH
    return _load_numba(must=backend == "numba") or TORCH


@cache
def _load_triton(must: bool) -> Path | None:
    try:
        from tractable.attention.hip import _triton, _triton_tree
    except ImportError as error:
        if must:
            raise MissingPackageError(
                "triton is not installed; it comes with torch for CUDA, or pip install triton"
            ) from error
        warnings.warn(
            "triton is not installed: HiP attention runs on torch, many times slower; it comes "
            "with torch for CUDA, or pip install triton",
            SlowPathWarning,
            stacklevel=2,
        )
        return None
    return Path(_triton_tree.choose_blocks, _triton.attend_sparse, waits_for_nothing=True)


@cache
def _load_numba(must: bool) -> Path | None:
    try:
        from tractable.attention.hip import _numba
    except ImportError as error:
        if must:
            raise MissingPackageError(f"numba is not installed; {INSTALL}") from error
        warnings.warn(
            "numba is not installed: HiP attention runs on torch, several times slower on the "
            f"CPU; {INSTALL}",
            SlowPathWarning,
            stacklevel=2,
        )
        return None
    return Path(_numba.choose_blocks, _numba.attend_sparse)
