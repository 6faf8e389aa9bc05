"""Peak memory of one call, beyond what was held when it started."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["available_memory", "cuda_peak", "numpy_peak", "process_peak"]

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def numpy_peak(call: Callable[[], object]) -> int:
    """Return the peak bytes that Python and NumPy allocate in one call; exact and repeatable.

    Tracing slows Python down, so nothing is timed at the same time. Memory taken by C, Numba
    or torch is not seen: see `process_peak`.
    """
    import tracemalloc

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def process_peak(call: Callable[[], object]) -> int:
    """Return how far one call lifts this process's memory, in bytes; wants a fresh process.

    Uses the kernel's high-water mark, which is set back first where the system allows it;
    elsewhere the mark can only rise, so a call that stays under it reads as zero. Trust it for
    allocations well over 10 MB.
    """
    before = _reset_high_water()
    call()
    return max(0, _high_water() - before)


def cuda_peak(call: Callable[[], object]) -> int:
    """Return the peak bytes that torch's CUDA allocator hands out in one call."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before: int = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    peak: int = torch.cuda.max_memory_allocated()
    return peak - before


def _reset_high_water() -> int:
    """Set the mark back to what is resident now, where that is allowed, and return it."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return _high_water()
    return _high_water()


def _high_water() -> int:
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def available_memory() -> int | None:
    """Return the bytes that can still be had on this machine, None where nobody says."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
