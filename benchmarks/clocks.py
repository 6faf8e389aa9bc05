"""Seconds of a call."""

from collections.abc import Callable
from time import perf_counter


def clock(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start
