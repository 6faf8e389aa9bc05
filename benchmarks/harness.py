"""What the machinery itself costs: `tractable list`, and the time added inside a block.

Wanted: `tractable list` under six times the CPU time of `python -c pass`; under 5 % added.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tractable import measure

PAIRS = 25
NAP = 0.02


def cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def listing():
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # byte code is part of an installation
    commands = {
        "pass": [sys.executable, "-c", "pass"],
        "import click": [sys.executable, "-c", "import click"],
        "list": [str(Path(sys.executable).parent / "tractable"), "list"],
    }
    cpu_seconds(commands["list"])
    taken = {name: [] for name in commands}
    for _ in range(PAIRS):
        for name, command in commands.items():
            taken[name].append(cpu_seconds(command))
    for name in ("import click", "list"):
        ratios = [a / b for a, b in zip(taken[name], taken["pass"], strict=True)]
        print(
            f"{name}: {1000 * statistics.median(taken[name]):.1f} ms of CPU, "
            f"{statistics.median(ratios):.2f} times `python -c pass` "
            f"(least {min(taken[name]) / min(taken['pass']):.2f})"
        )


def overhead():
    inside = []

    def arm():
        started = time.perf_counter()
        time.sleep(NAP)
        inside.append(time.perf_counter() - started)

    started = time.perf_counter()
    measure.time_arms({"a": arm, "b": arm}, pace=measure.FULL, rng=np.random.default_rng(0))
    added = time.perf_counter() - started - sum(inside)
    print(f"added inside a block of {len(inside)} calls of 20 ms: {added / sum(inside):.2%}")


if __name__ == "__main__":
    listing()
    overhead()
