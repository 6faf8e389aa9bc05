"""Interleaved timing of arms in one process: warm-up, calibrated samples, random order.

All of one arm and then all of another would put a machine's drift into the ratio; here every
round of samples visits each arm once, in an order drawn anew, so that drift hits all alike.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FULL", "SHORT", "Pace", "cuda_clock", "monotonic", "now", "time_arms"]

Clock = Callable[[], float]

LONG_CALL = 0.2
"""Seconds above which one call is a sample."""
AGREEMENT = 0.05
"""Three warm-up samples this close together end the warm-up."""
CLOCK_STEPS = 1000
"""Clock steps that a sample lasts at least."""


class Pace(NamedTuple):
    """How long the parts of a block may take, in seconds.

    Args:
        sample: a sample loops its call for at least this long.
        settle: the warm-up of one arm ends after this long, settled or not.
        block: samples are repeated until all arms together took about this long.
        most: samples an arm at the most; at least one is always taken.
    """

    sample: float
    settle: float
    block: float
    most: int = 9


FULL = Pace(sample=0.02, settle=0.5, block=4.0)
SHORT = Pace(sample=0.01, settle=0.1, block=0.6, most=5)

now: Clock = time.perf_counter
monotonic: Clock = time.monotonic


def cuda_clock() -> float:
    """Return the time after all queued GPU work is done."""
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def time_arms(
    calls: Mapping[str, Callable[[], object]],
    *,
    pace: Pace,
    rng: "np.random.Generator",
    clock: Clock = now,
    resolution: float | None = None,
) -> dict[str, list[float]]:
    """Time several calls against each other.

    Args:
        calls: the arms, ready to be called; the same function may stand under two names.
        pace: how long to warm up and to sample.
        rng: draws the order of the arms.
        clock: returns seconds.
        resolution: the clock's step in seconds; asked from the system if not given.

    Returns:
        For each arm its samples, in seconds a call; sample i of every arm was taken in the
        same pass, so samples are paired by position.
    """
    if resolution is None:
        resolution = time.get_clock_info("perf_counter").resolution
    target = max(pace.sample, CLOCK_STEPS * resolution)
    loops = {name: _warm_up(call, target, pace.settle, clock) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    started = clock()
    for done in range(pace.most):
        if done and (clock() - started) * (done + 1) / done > pace.block:
            break
        for index in rng.permutation(len(names)):
            name = names[int(index)]
            samples[name].append(_sample(calls[name], loops[name], clock))
    return samples


def _sample(call: Callable[[], object], loops: int, clock: Clock) -> float:
    started = clock()
    for _ in range(loops):
        call()
    return (clock() - started) / loops


def _warm_up(call: Callable[[], object], target: float, settle: float, clock: Clock) -> int:
    """Call until three samples agree or time is up; return the calls that make one sample."""
    started = clock()
    recent = [_sample(call, 1, clock)]
    loops = _loops(recent[-1], target)
    while clock() - started < settle:
        recent = [*recent[-2:], _sample(call, loops, clock)]
        loops = _loops(recent[-1], target)
        if len(recent) == 3 and max(recent) <= (1 + AGREEMENT) * min(recent):
            break
    return loops


def _loops(seconds: float, target: float) -> int:
    return 1 if seconds >= LONG_CALL else max(1, round(target / max(seconds, 1e-9)))
