"""One size in one round: make the inputs, run every arm on them, read the numbers."""

import importlib
import importlib.util
import math
import statistics
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tractable import measure
from tractable._core.counting import UNITS, count
from tractable.claims import Arm, Experiment, Size
from tractable.run._jobs import Job, Reading
from tractable.store import Status

__all__ = ["AGAIN", "CONTENDER", "read_block"]

AGAIN = " (again)"
"""Marks the second copy of the baseline, the placebo of a clocked block."""
CONTENDER = "contender"
"""The name of the arm that a user races."""
TRACED_BELOW = 10_000_000
"""Peaks under this many bytes are read by tracing, which is exact where the kernel is not."""

ORDER = {"baseline": 0, "method": 1, "knockout": 2, "peer": 3}


def read_block(
    experiment: Experiment, job: Job, size: Size, announce: Callable[[str], None]
) -> list[Reading]:
    """Measure all arms at one size.

    Args:
        experiment: the experiment, with a contender added if there is one.
        job: the round.
        size: the size or instance.
        announce: told the name of the part that runs next, so that a death can be blamed.

    Returns:
        The readings; an arm that raised has one with its reason instead of numbers.
    """
    announce("inputs")
    inputs = _inputs(experiment, job, size)
    if job.meter is not None:
        announce(job.meter)
        function = experiment.arms[job.meter.removesuffix(AGAIN)].function
        return [_peak(job.meter, lambda: function(*inputs), job.device)]
    readings: list[Reading] = []
    ready: dict[str, Callable[[], object]] = {}
    expected: Any = None
    for arm in sorted(experiment.arms.values(), key=lambda arm: ORDER[arm.role]):
        refused = _refusal(arm, job, size)
        if refused is not None:
            readings.append(refused)
            continue
        announce(arm.name)
        try:
            output, found = _run_once(arm, inputs, experiment, job.device)
            if arm.role == "baseline":
                expected = output
            found += _score(experiment, arm.name, output, expected, inputs)
        except Exception as error:
            readings.append(_failure(arm.name, error))
            continue
        readings += found
        ready[arm.name] = lambda arm=arm: arm.function(*inputs)  # type: ignore[misc]
    if experiment.judges("seconds") and ready:
        announce("timing")
        readings += _time(experiment, ready, job)
    return readings


def _inputs(experiment: Experiment, job: Job, size: Size) -> tuple[Any, ...]:
    """Make the inputs, from the same seed for the same experiment, size and round."""
    if experiment.make_inputs is None:
        raise TypeError(f"experiment {experiment.name!r} has no function under @inputs")
    place = zlib.crc32(f"{job.claim_module} {job.experiment} {size}".encode())
    rng = np.random.default_rng([job.seed, job.round, place])
    axis = experiment.sweep.axis.replace(" ", "_")
    made = experiment.make_inputs(**{axis: size}, rng=rng, device=job.device)
    return made if isinstance(made, tuple) else (made,)


def _refusal(arm: Arm, job: Job, size: Size) -> Reading | None:
    if (size, arm.name) in job.skip:
        return Reading(arm.name, "seconds", None, (), "refused", "ended its process just before")
    if arm.package is not None and importlib.util.find_spec(arm.package) is None:
        detail = f"{arm.package} is not installed"
        return Reading(arm.name, "seconds", None, (), "missing package", detail)
    return None


def _run_once(
    arm: Arm, inputs: tuple[Any, ...], experiment: Experiment, device: str
) -> tuple[Any, list[Reading]]:
    """Run an arm for its output and its counts; the first call's time is kept apart."""
    clock = measure.cuda_clock if device == "cuda" else measure.now
    with count() as cost:
        started = clock()
        output = arm.function(*inputs)
        elapsed = clock() - started
    first = "first seconds" if experiment.judges("seconds") else "seconds"
    counted = dict(cost)
    for rule in experiment.rules:
        if rule.metric in UNITS:
            counted.setdefault(rule.metric, 0)
    numbers = {first: elapsed, **counted}
    return output, [_reading(arm.name, metric, value) for metric, value in numbers.items()]


def _score(
    experiment: Experiment, arm: str, output: Any, expected: Any, inputs: tuple[Any, ...]
) -> list[Reading]:
    return [
        _reading(arm, name, float(score(output, expected, *inputs)))
        for name, score in experiment.metrics.items()
    ]


def _time(
    experiment: Experiment, ready: dict[str, Callable[[], object]], job: Job
) -> list[Reading]:
    baseline = experiment.arm("baseline")
    if baseline is not None and baseline.name in ready:
        ready = {**ready, baseline.name + AGAIN: ready[baseline.name]}
    samples = measure.time_arms(
        ready,
        pace=measure.FULL if job.form == "full" else measure.SHORT,
        rng=np.random.default_rng([job.seed, job.round]),
        clock=measure.cuda_clock if job.device == "cuda" else measure.now,
    )
    return [
        Reading(name, "seconds", statistics.median(taken), tuple(taken))
        for name, taken in samples.items()
    ]


def _peak(name: str, call: Callable[[], object], device: str) -> Reading:
    try:
        if device == "cuda":
            return _reading(name, "peak bytes", measure.cuda_peak(call))
        peak = measure.process_peak(call)
        if peak < TRACED_BELOW:
            peak = measure.numpy_peak(call)
        return _reading(name, "peak bytes", peak)
    except Exception as error:
        return _failure(name, error, "peak bytes")


def _reading(arm: str, metric: str, value: float) -> Reading:
    if not math.isfinite(value):
        return Reading(arm, metric, None, (), "crashed", f"{metric} came out as {value}")
    return Reading(arm, metric, float(value))


def _failure(arm: str, error: Exception, metric: str = "seconds") -> Reading:
    text = f"{type(error).__name__}: {error}".strip()[:300]
    short_of_memory = isinstance(error, MemoryError) or "memory" in text.lower()
    status: Status = "out of memory" if short_of_memory else "crashed"
    return Reading(arm, metric, None, (), status, text)
