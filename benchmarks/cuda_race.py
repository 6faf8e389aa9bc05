"""Milliseconds of calls on a CUDA device, taken in turn, and what the device can do at most."""

import statistics
from collections.abc import Callable

import torch


def race_on_gpu(*calls: Callable[[], object], rounds: int = 5, repeats: int = 1) -> list[float]:
    """Median milliseconds of each call, measured in turn after two calls each.

    Short calls are repeated back to back, as in a model, so that launches overlap with work.
    """
    for call in calls:
        call()
        call()
    taken = [[_clock_on_gpu(call, repeats) for call in calls] for _ in range(rounds)]
    return [statistics.median(times) / repeats for times in zip(*taken, strict=True)]


def ceilings_on_gpu(dtype: torch.dtype) -> tuple[float, float]:
    """Bytes a second of a large copy and operations a second of a large product."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    square = torch.randn(8192, 8192, device="cuda", dtype=dtype)
    copying, product = race_on_gpu(lambda: target.copy_(source), lambda: square @ square)
    return 8 * 2**28 / copying * 1e3, 2 * 8192**3 / product * 1e3


def _clock_on_gpu(call: Callable[[], object], repeats: int) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)
