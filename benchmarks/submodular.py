"""The bars of `algorithms/submodular`, measured in one process; prints calls, seconds, ratios.

Run with `python benchmarks/submodular.py [--quick]`. Apricot is raced where it is installed.
"""

import argparse
import importlib
import importlib.util
import statistics
import sys
from time import perf_counter

import numpy as np
from clocks import clock

from tractable.algorithms.submodular import (
    DynamicSubmodularMaximizer,
    FacilityLocationOracle,
    SieveStreaming,
    lazy_greedy,
)
from tractable.claims.algorithms.submodular import Stream, clusters, make_oracle, power_law


def feed(stream: Stream, *, sieve: bool = False) -> tuple[float, float, list[float]]:
    """Slide the window once: seconds and calls an update, and values over lazy greedy's."""
    oracle, order = make_oracle(stream), stream.order.tolist()
    maximizer = (
        SieveStreaming(oracle, stream.k)
        if sieve
        else DynamicSubmodularMaximizer(oracle, stream.k, rng=0)
    )
    seconds, updates, ratios, calls = 0.0, 0, [], 0
    for step, element in enumerate(order):
        before, start = oracle.calls, perf_counter()
        if step >= stream.window:
            maximizer.delete(order[step - stream.window])
        maximizer.insert(element)
        seconds += perf_counter() - start
        calls += oracle.calls - before
        updates += 1 + (step >= stream.window)
        if step % max(1, len(order) // 20) == len(order) // 40 and step > 4 * stream.k:
            live = stream.order[max(0, step + 1 - stream.window) : step + 1]
            best = oracle.value(lazy_greedy(oracle, live, stream.k))
            ratios.append(maximizer.value() / best)
    return seconds / updates, calls / updates, ratios


def sweep(kind: str, sizes: tuple[int, ...]) -> None:
    """Print the method beside one selection from scratch, over sizes of the ground set."""
    for size in sizes:
        rng = np.random.default_rng(size)
        data = clusters(size, rng) if kind == "facilities" else power_law(size, rng)
        stream = Stream(kind, data, rng.permutation(size), size // 2, 20, 0)
        seconds, calls, ratios = feed(stream)
        oracle = make_oracle(stream)
        singles = oracle.gains(oracle.empty(), np.arange(size))
        live = stream.order[: size // 2]
        again = statistics.median(
            clock(lambda o=oracle, e=live, s=singles: lazy_greedy(o, e, 20, singletons=s[e]))
            for _ in range(5)
        )
        print(
            f"{kind}, n = {size}: {calls:.1f} calls and {seconds * 1e6:.0f} us an update; value "
            f"{min(ratios):.2f} to {max(ratios):.2f} of greedy's; lazy greedy once more "
            f"{again * 1e6:.0f} us, {again / seconds:.1f} times as long"
        )


def race_apricot(size: int) -> None:
    """Print how long one selection of apricot's takes beside one update of ours."""
    if importlib.util.find_spec("apricot") is None:
        print("apricot is not installed")
        return
    package = importlib.import_module("apricot")
    rng = np.random.default_rng(0)
    points = rng.standard_normal((size, 5))
    similarity = np.exp(-((points[:, None] - points) ** 2).sum(axis=2) / 8)
    model = package.FacilityLocationSelection(20, metric="precomputed", optimizer="lazy")
    model.fit(similarity)
    theirs = statistics.median(clock(lambda: model.fit(similarity)) for _ in range(3))
    oracle = FacilityLocationOracle(similarity)
    ours = DynamicSubmodularMaximizer(oracle, 20, rng=0)
    ours.update(insert=range(size // 2))
    times = [
        clock(lambda s=step: ours.update(insert=[s], delete=[s - size // 2]))
        for step in range(size // 2, size)
    ]
    mean = statistics.fmean(times)
    print(
        f"apricot, {size} facilities: a selection {theirs * 1e3:.1f} ms, an exchange of ours "
        f"{mean * 1e3:.2f} ms on average (largest {max(times) * 1e3:.1f} ms), {theirs / mean:.0f} "
        "times as long"
    )


def bar() -> None:
    """Print the time of 4,000 insertions and 2,000 deletions with k = 20, epsilon = 0.2."""
    rng = np.random.default_rng(0)
    stream = Stream("sets", power_law(4000, rng), rng.permutation(4000), 2000, 20, 0)
    oracle = make_oracle(stream)
    ours = DynamicSubmodularMaximizer(oracle, 20, rng=0)

    def run() -> None:
        for step, element in enumerate(stream.order.tolist()):
            ours.insert(element)
            if step >= 2000:
                ours.delete(int(stream.order[step - 2000]))

    print(f"4,000 insertions and 2,000 deletions: {clock(run):.2f} s (bar 0.4 s)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    quick = parser.parse_args().quick
    feed(Stream("sets", power_law(200, np.random.default_rng(0)), np.arange(200), 100, 5, 0))
    bar()
    sweep("sets", (500, 1000, 2000, 4000))
    sweep("facilities", (250, 500, 1000, 2000) if quick else (250, 500, 1000, 4000, 16_000))
    race_apricot(1000 if quick else 2000)
    rng = np.random.default_rng(1)
    stream = Stream("facilities", clusters(500, rng), rng.permutation(500), 250, 20, 0)
    for sieve in (False, True):
        seconds, calls, ratios = feed(stream, sieve=sieve)
        name = "sieve" if sieve else "levels"
        worst = min(ratios)
        print(f"{name}, n = 500: {calls:.0f} calls, {seconds * 1e6:.0f} us, worst {worst:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
