import time

import numpy as np
import pytest

from tractable import measure
from tractable.measure import Pace


class FakeClock:
    """A clock that moves only when told, and slows down as time goes by."""

    def __init__(self, drift=0.0):
        self.time, self.drift = 0.0, drift

    def __call__(self):
        return self.time

    def spend(self, seconds):
        self.time += seconds * (1 + self.drift * self.time)


def ratio(clock, seed=0):
    calls = {"a": lambda: clock.spend(0.008), "b": lambda: clock.spend(0.010)}
    taken = measure.time_arms(
        calls,
        pace=Pace(sample=0.02, settle=0.1, block=2.0),
        rng=np.random.default_rng(seed),
        clock=clock,
        resolution=1e-9,
    )
    assert len(taken["a"]) == len(taken["b"]) > 3
    return float(np.median(np.log(taken["a"]) - np.log(taken["b"])))


def test_a_steady_clock_gives_the_exact_ratio():
    assert ratio(FakeClock()) == pytest.approx(np.log(0.8))


def test_interleaving_keeps_a_drifting_machine_out_of_the_ratio():
    found = [np.exp(ratio(FakeClock(drift=0.3), seed)) for seed in range(20)]
    assert 0.77 < min(found) <= max(found) < 0.83


def test_a_sample_lasts_long_enough_and_a_long_call_is_one_sample():
    clock, calls = FakeClock(), {"short": 0, "long": 0}

    def spend(name, seconds):
        calls[name] += 1
        clock.spend(seconds)

    pace = Pace(sample=0.02, settle=0.0, block=0.0)
    measure.time_arms(
        {"short": lambda: spend("short", 0.001), "long": lambda: spend("long", 0.5)},
        pace=pace,
        rng=np.random.default_rng(0),
        clock=clock,
        resolution=1e-9,
    )
    assert calls == {"short": 21, "long": 2}


def test_the_clocks_steps_set_the_samples_length():
    clock, calls = FakeClock(), []
    pace = Pace(sample=0.001, settle=0.0, block=0.0)
    measure.time_arms(
        {"a": lambda: (calls.append(1), clock.spend(0.01))},
        pace=pace,
        rng=np.random.default_rng(0),
        clock=clock,
        resolution=1e-4,
    )
    assert len(calls) == 1 + 10, "a thousand steps of 0.1 ms are ten calls of 10 ms"


def test_the_harness_takes_under_5_percent_inside_a_block():
    # In calls, not in seconds: the process's own time between calls of 20 ms is what is added.
    inside = []

    def arm():
        started = time.process_time()
        time.sleep(0.02)
        inside.append(time.process_time() - started)

    started = time.process_time()
    measure.time_arms({"a": arm, "b": arm}, pace=measure.SHORT, rng=np.random.default_rng(0))
    added = time.process_time() - started - sum(inside)
    assert added < 0.05 * 0.02 * len(inside)


def test_peak_of_numpy_is_exact():
    def call():
        first, second = np.ones(250_000), np.ones(250_000)
        return first + second

    assert measure.numpy_peak(call) == pytest.approx(6_000_000, rel=0.01)


def test_machine_is_described_without_names(monkeypatch):
    import os
    import platform

    description = measure.describe_machine()
    assert {"cpu", "cores", "memory GiB", "system", "gpu"} == set(description)
    text = str(description)
    assert platform.node() not in text or len(platform.node()) < 3
    assert os.path.expanduser("~") not in text
    assert measure.machine_id(description) == measure.machine_id(dict(description))
    assert measure.machine_id(description) != measure.machine_id({**description, "cores": 999})
