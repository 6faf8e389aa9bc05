"""Claim: fused attention moves least where the cache holds d² words, square tiling below."""

from typing import Any

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

ITEM = 2
"""Bytes a word: float16, as kernels take it."""

claim = Claim(
    Paper(
        "The I/O Complexity of Attention, or How Optimal is Flash Attention?",
        authors="Barna Saha, Christopher Ye",
        year=2024,
        link="https://arxiv.org/abs/2402.07443",
        tier="same quantity",
    ),
    says="with a cache of M words, fused attention moves about n²d²/M words and no schedule "
    "moves much less once M is at least d²; for smaller caches tiles that cut the width as well "
    "move about n²d/√M, which fused attention does not reach",
    scope="one head, no mask, words of two bytes, a cache that the schedule itself manages; "
    "width 64 and 16,384 positions for large caches, width 256 and 4,096 positions for small "
    "ones. Bytes are exact counts: closed forms at these lengths, which the fourth experiment "
    "holds against schedules that run on a simulated cache, word by word, at up to 48 positions "
    "with lengths, widths and caches that do not divide each other. Unfused attention has its "
    "two products tiled as well as they can be and pays for its separate softmax alone. The "
    "lower bound is the largest of three with explicit constants (the one that counts below d² is "
    "for schedules that do no product twice), so a ratio to it says how far from optimal a "
    "schedule can be; at M = d² that is a factor of 4, not 1. What a GPU's "
    "counters say about a real kernel is not measured here",
    solves=(
        "choose tile sizes for an attention kernel",
        "how much on-chip memory does attention need",
        "is flash attention optimal",
        "memory traffic of attention",
        "attention is limited by memory bandwidth",
    ),
    agreement="plain attention to 1e-10, the counts of a simulated cache exactly, Belady's "
    "optimal cache on the same touches never above them, all tile sizes of tiny instances tried, "
    "and the best of all orders of steps found by search at up to two positions",
)


def _report(words: int) -> int:
    from tractable._core import note

    note("bytes moved", words * ITEM)
    return words


def tiled(n: int, d: int, cache: int) -> int:
    """Fused attention: blocks of queries stay, keys and values stream."""
    from tractable.attention.io import io_flash

    return _report(io_flash(n, d, cache).total)


def loop_of_2022(n: int, d: int, cache: int) -> int:
    """Fused attention with the loops the other way round: keys and values stay."""
    from tractable.attention.io import io_flash

    return _report(io_flash(n, d, cache, order="kv_outer").total)


def square(n: int, d: int, cache: int) -> int:
    """The paper's tiling for small caches: three square tiles in the cache."""
    from tractable.attention.io import io_square_tiling

    return _report(io_square_tiling(n, d, cache, variant="paper").total)


def streamed_square(n: int, d: int, cache: int) -> int:
    """The same with one square tile, past which single columns stream."""
    from tractable.attention.io import io_square_tiling

    return _report(io_square_tiling(n, d, cache).total)


def untiled(n: int, d: int, cache: int) -> int:
    """Square tiling with tiles of one word: the naive loop, in the same cache."""
    from tractable.attention.io import io_square_tiling

    return _report(io_square_tiling(n, d, cache, variant="paper", block=1).total)


def unfused(n: int, d: int, cache: int) -> int:
    """Scores, softmax and output in three passes, both products tiled as well as can be."""
    from tractable.attention.io import io_standard

    return _report(io_standard(n, d, cache).total)


def least(n: int, d: int, cache: int) -> int:
    """The lower bound: no schedule that does each product once moves fewer words."""
    from tractable.attention.io import io_lower_bound

    return _report(io_lower_bound(n, d, cache).value)


def planned(n: int, d: int, cache: int) -> int:
    """The cheapest schedule and its tiles, as the planner chooses them."""
    from tractable.attention.io import plan_attention

    return _report(plan_attention(n, d, cache * ITEM, "float16").moved.total)


# Our explicit constants, upper over lower: 4 for fused attention, 4 to 6 for square tiling.
near_the_least = 8.0

large = Experiment(
    claim,
    "large cache",
    sweep=Sweep("cache", 64**2, 16_384 * 64 // 8, points=11),
    needs=("numpy",),
    criteria=(
        Growth("bytes moved", of="tiled", at_most=-0.7),
        # At M = d² 4 n² words against 4 n² for writing and reading scores, 4 n² for products.
        Level("bytes moved", of="tiled", over="unfused", at_most=0.75),
        Level("bytes moved", of="tiled", over="least", at_most=near_the_least),
    ),
    guards=(Level("bytes moved", of="tiled", over="least", at_least=1.0),),
    rounds=2,
    short_rounds=2,
)
large.method(tiled)
large.baseline(unfused)
large.peer()(loop_of_2022)
large.peer()(least)
large.knockout(square)


@large.inputs
def large_inputs(cache: int, rng: Any, device: str) -> tuple[int, int, int]:
    return 16_384, 64, cache


small = Experiment(
    claim,
    "small cache",
    sweep=Sweep("cache", 4 * 256, 256**2 // 4, points=9),
    needs=("numpy",),
    criteria=(
        Growth("bytes moved", of="square", at_most=-0.2),
        # Fused attention falls with an exponent of -1, square tiling with -1/2.
        Growth("bytes moved", of="square", over="tiled", at_least=0.2),
        Level("bytes moved", of="square", over="tiled", at_most=0.75, within=(1024, 256**2 // 16)),
        Level("bytes moved", of="square", over="least", at_most=near_the_least),
    ),
    guards=(Level("bytes moved", of="square", over="least", at_least=1.0),),
    rounds=2,
    short_rounds=2,
)
small.method(square)
small.baseline(tiled)
small.peer()(streamed_square)
small.peer()(unfused)
small.peer()(least)
small.knockout(untiled)


@small.inputs
def small_inputs(cache: int, rng: Any, device: str) -> tuple[int, int, int]:
    return 4096, 256, cache


def always_square(n: int, d: int, cache: int) -> int:
    """Square tiling whatever the cache: the planner without its choice."""
    return streamed_square(n, d, cache)


plan = Experiment(
    claim,
    "plan",
    sweep=Sweep("cache", 256, 4 * 4096 * 64, points=13),
    needs=("numpy",),
    criteria=(Level("bytes moved", of="planned", over="least", at_most=near_the_least),),
    guards=(
        Level("bytes moved", of="planned", over="least", at_least=1.0),
        Level("bytes moved", of="planned", over="tiled", at_most=1.0),
        Level("bytes moved", of="planned", over="streamed_square", at_most=1.0),
    ),
    rounds=2,
    short_rounds=2,
)
plan.method(planned)
plan.baseline(tiled)
plan.peer()(streamed_square)
plan.peer()(unfused)
plan.peer()(least)
plan.knockout(always_square)


@plan.inputs
def plan_inputs(cache: int, rng: Any, device: str) -> tuple[int, int, int]:
    return 4096, 64, cache


def _sizes(query: Any, cache: int) -> tuple[int, int, int]:
    length, width = query.shape
    return length, width, cache * query.itemsize


def run(query: Any, key: Any, value: Any, cache: int) -> Any:
    """Run the planner's schedule on the simulated cache and count what it moves."""
    from tractable.attention.io import plan_attention, run_plan

    chosen = plan_attention(*_sizes(query, cache), query.dtype)
    return run_plan(query, key, value, chosen)[0]


def predicted(query: Any, key: Any, value: Any, cache: int) -> Any:
    """What the planner says before anything runs; the output is plain attention's."""
    from tractable._core import note
    from tractable.attention.io import plan_attention, reference

    chosen = plan_attention(*_sizes(query, cache), query.dtype)
    note("bytes moved", chosen.bytes_moved)
    return reference(query, key, value)


def run_unfused(query: Any, key: Any, value: Any, cache: int) -> Any:
    """Run the three passes on the simulated cache."""
    from tractable.attention.io import run_standard

    return run_standard(query, key, value, cache)[0]


def run_untiled(query: Any, key: Any, value: Any, cache: int) -> Any:
    """Run the three passes with tiles of one word."""
    from tractable.attention.io import run_standard

    return run_standard(query, key, value, cache, block=1)[0]


prediction = Experiment(
    claim,
    "prediction",
    sweep=Sweep("tokens", 3, 48, points=7),
    needs=("numpy",),
    criteria=(
        Level("bytes moved", of="run", over="predicted", at_most=1.0),
        Level("bytes moved", of="run", over="predicted", at_least=1.0),
    ),
    guards=(Level("error", of="run", at_most=1e-10),),
    rounds=20,
    short_rounds=5,
)
prediction.method(run)
prediction.baseline(run_unfused)
prediction.peer()(predicted)
prediction.knockout(run_untiled)


@prediction.inputs
def prediction_inputs(tokens: int, rng: Any, device: str) -> tuple[Any, Any, Any, int]:
    """A width and a cache that need not divide anything, from 4 words to room for all."""
    import math

    width = int(rng.integers(1, 25))
    cache = int(math.exp(rng.uniform(math.log(4.0), math.log(4.0 * tokens * width + 8.0))))
    query, key, value = rng.standard_normal((3, tokens, width))
    return query, key, value, max(4, cache)


@prediction.metric
def error(output: Any, expected: Any, *inputs: Any) -> float:
    """Largest difference from the unfused output; at least a rounding error."""
    import numpy as np

    return max(1e-16, float(np.abs(output - expected).max()))
