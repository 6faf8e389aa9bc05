"""A claim of toys: laws that are known, and arms that die in every way a process can."""

import os
import signal
import time

from tractable._core import note
from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

claim = Claim(
    Paper("Toys", authors="N. Obody", year=2031, link="https://example.org", tier="same quantity"),
    says="steps grow like n where the rival's grow like n squared",
    scope="toys",
    solves=("a toy is too slow",),
    agreement="nothing",
)

counted = Experiment(
    claim,
    "counted",
    sweep=Sweep("size", 4, 256, points=7),
    criteria=(Growth("operations", of="quick", over="slow", at_most=-0.6),),
    guards=(Level("error", of="quick", at_most=0.0),),
)


@counted.inputs
def some_numbers(size, rng, device):
    return (size, int(rng.integers(1000)))


@counted.metric
def error(output, expected, size, number):
    return abs(output - expected)


@counted.method
def quick(size, number):
    note("operations", size)
    return number


@counted.baseline
def slow(size, number):
    note("operations", size * size)
    return number


@counted.knockout
def spoiled(size, number):
    note("operations", size)
    return number + 1


@counted.peer("no_such_package")
def absent(size, number):
    return number


seeded = Experiment(
    claim,
    "seeded",
    sweep=Sweep("size", 4, 256, points=7),
    criteria=(Level("regret", of="learner", over="ignorant", at_most=0.5),),
    rounds=6,
    short_rounds=4,
)


@seeded.inputs
def environment(size, rng, device):
    return (size, float(rng.normal(1, 0.1)))


@seeded.metric
def regret(output, expected, size, noise):
    return output


@seeded.method
def learner(size, noise):
    return size**0.5 * noise


@seeded.baseline
def ignorant(size, noise):
    return size * (0.9 + 0.1 * noise)


@seeded.knockout
def forgetful(size, noise):
    return size * 1.1 * noise


clocked = Experiment(
    claim,
    "clocked",
    sweep=Sweep("size", 1, 3, points=3),
    criteria=(Level("seconds", of="short_nap", over="long_nap", at_most=0.8),),
)


@clocked.inputs
def naps(size, rng, device):
    return (size / 1000,)


@clocked.method
def short_nap(length):
    time.sleep(length)


@clocked.baseline
def long_nap(length):
    time.sleep(2 * length)


@clocked.knockout
def equal_nap(length):
    time.sleep(2 * length)


deadly = Experiment(
    claim,
    "deadly",
    sweep=Sweep("fate", instances=("fine", "raise", "segfault", "hang", "eat", "exit")),
    criteria=(Level("operations", of="fated", at_most=1.0),),
    limit=2.0,
)


@deadly.inputs
def fates(fate, rng, device):
    return (fate,)


@deadly.method
def fated(fate):
    note("operations", 1)
    if fate == "raise":
        raise ValueError("as you wished")
    if fate == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fate == "hang":
        time.sleep(600)
    if fate == "eat":
        return len(bytearray(2**40))
    if fate == "exit":
        os._exit(7)
    return 1


@deadly.baseline
def immortal(fate):
    note("operations", 2)
    return 1


large = Experiment(
    claim,
    "large",
    sweep=Sweep("megabytes", 20, 80, points=3),
    criteria=(Level("peak bytes", of="lean", over="fat", at_most=0.7),),
)


@large.inputs
def megabytes(megabytes, rng, device):
    return (megabytes * 2**20,)


@large.method
def lean(size):
    return len(bytearray(size) * 1)


@large.baseline
def fat(size):
    return len(bytearray(3 * size) * 1)
