"""An ordinary cache that knows nothing of schedules, word by word."""

from collections import OrderedDict
from heapq import heappop, heappush
from typing import Literal

import numpy as np
from jaxtyping import Int

from tractable._core import RangeError
from tractable._core.checks import as_array, check_integer

__all__ = ["count_misses"]


def count_misses(
    trace: Int[np.ndarray, "touches"],
    capacity: int,
    *,
    policy: Literal["lru", "optimal"] = "lru",
    line: int = 1,
) -> int:
    """Count the words that an automatic cache must fetch for a sequence of touches.

    Args:
        trace: addresses in the order they are touched, from a `TwoLevelMemory` that records.
        capacity: words in the cache, at least `line`.
        policy: "lru" drops what was touched longest ago; "optimal" what is touched again last
            (Belady's rule, which sees the future and fetches least).
        line: words fetched together, at least 1.

    Returns:
        Lines fetched.

    Raises:
        DTypeError, ShapeError: for a trace that is no axis of whole numbers.
        RangeError: for a capacity below one line, or an unknown policy.

    Example:
        >>> count_misses(np.array([1, 2, 3, 1, 2, 3]), 2)
        6
        >>> count_misses(np.array([1, 2, 3, 1, 2, 3]), 2, policy="optimal")
        4
    """
    addresses = as_array("trace", trace, ndim=1, kinds="iu", empty=True)
    line = check_integer("line", line, low=1)
    lines = check_integer("capacity", capacity, low=line) // line
    if policy not in ("lru", "optimal"):
        raise RangeError(f"policy is {policy!r}; wanted 'lru' or 'optimal'")
    touched = (addresses // line).tolist()
    return _lru(touched, lines) if policy == "lru" else _optimal(touched, lines)


def _lru(touched: list[int], lines: int) -> int:
    held: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for address in touched:
        if address in held:
            held.move_to_end(address)
            continue
        misses += 1
        if len(held) == lines:
            held.popitem(last=False)
        held[address] = None
    return misses


def _optimal(touched: list[int], lines: int) -> int:
    following = [0] * len(touched)
    seen: dict[int, int] = {}
    for place in range(len(touched) - 1, -1, -1):
        following[place] = seen.get(touched[place], len(touched))
        seen[touched[place]] = place
    held: dict[int, int] = {}
    queue: list[tuple[int, int]] = []
    misses = 0
    for place, address in enumerate(touched):
        if address not in held:
            misses += 1
            while len(held) == lines:
                later, oldest = heappop(queue)
                if held.get(oldest) == -later:
                    del held[oldest]
        held[address] = following[place]
        heappush(queue, (-following[place], address))
    return misses
