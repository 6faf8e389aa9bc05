"""HiP attention against dense attention on the CPU: seconds in pairs, at budgets that keep quality.

Prints, for one head of width 64 and float32:
- prefill at 32,768 tokens against torch's scaled_dot_product_attention, causal;
- decoding at 2^12 to 2^20 tokens against two matrix products and torch's own, with the length at
  which HiP breaks even; beyond 32,768 tokens at budget 512 this is cost only, so the last line
  repeats 2^20 at the smallest budget tried that keeps 0.8 of the best blocks' mass.

Run with `python benchmarks/hip.py`; about two minutes.
"""

import math
import statistics
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from clocks import clock

from tractable.attention.hip import hip_attention
from tractable.claims.attention import hip as claim

PAIRS = 7


def race(method, rival, pairs=PAIRS):
    """Median seconds of both and of their ratios, measured in turn after one call each."""
    method(), rival()
    ours, theirs = [], []
    for i in range(pairs):
        for call, taken in ((method, ours), (rival, theirs))[:: 1 if i % 2 else -1]:
            taken.append(clock(call))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(ours), statistics.median(theirs), statistics.median(ratios)


def share_of_best(text, **options):
    """Mass that HiP keeps over that of the best blocks at the same budget."""
    masks = claim._run(text, **options)
    best = claim.oracle(text, budget=options.get("budget", claim.BUDGET))
    return claim.mass_kept(masks, None, text) / claim.mass_kept(best, None, text)


def prefill():
    rng = np.random.default_rng(0)
    text = claim._prefill(2**15, claim.CORRELATION, rng, 32)
    print("Prefill, 32,768 tokens, one head:")
    for options in ({}, {"block_q": 64, "stride_q": 4}):
        share = share_of_best(text, **options)
        ours, theirs, ratio = race(
            lambda options=options: hip_attention(
                text.query, text.key, text.value, scale=1.0, dense_queries=0, **options
            ),
            lambda: F.scaled_dot_product_attention(
                text.query, text.key, text.value, is_causal=True, scale=1.0
            ),
        )
        print(
            f"  budget 512, blocks of {options.get('block_q', 32)} queries: {ours:.3f} s against "
            f"{theirs:.3f} s dense, {ratio:.2f}x; keeps {share:.2f} of the best blocks' mass"
        )


def decode():
    print("Decoding one token, one head, budget 512 (cost only beyond 32,768):")
    lengths, ratios = [2**i for i in range(12, 21, 2)], []
    for length in lengths:
        text = claim._decoding(length, np.random.default_rng(1), 1)
        ratios.append(race_one(text, length, budget=512))
    print(f"  breaks even at about {break_even(lengths, ratios):,.0f} tokens")
    for budget in (8192, 10240, 12288, 14336, 16384):
        many = claim._decoding(2**20, np.random.default_rng(2), 16)
        share = share_of_best(many, budget=budget)
        print(f"  budget {budget:,} at 1,048,576: keeps {share:.2f} of the best blocks' mass")
        if share >= 0.8:
            race_one(text, 2**20, budget=budget)
            return


def race_one(text, length, *, budget):
    query, key, value = text.query, text.key, text.value

    def matmul():
        torch.softmax(query[0, 0] @ key[0, 0].T, -1) @ value[0, 0]

    def ours():
        hip_attention(query, key, value, scale=1.0, budget=budget, dense_queries=0)

    mine, theirs, ratio = race(ours, matmul, 15)
    _, _, other = race(
        ours, lambda: F.scaled_dot_product_attention(query, key, value, scale=1.0), 5
    )
    print(
        f"  {length:9,} tokens, budget {budget:6,}: {1000 * mine:7.2f} ms against "
        f"{1000 * theirs:7.2f} ms dense, {ratio:6.2f}x (torch's own: {other:.1f}x)"
    )
    return ratio


def break_even(lengths, ratios):
    """Where the ratio passes 1, straight between two lengths on log axes."""
    pairs = list(zip(lengths, ratios, strict=True))
    for (a, low), (b, high) in pairwise(pairs):
        if low < 1.0 <= high:
            part = -math.log(low) / (math.log(high) - math.log(low))
            return a * (b / a) ** part
    return math.nan


if __name__ == "__main__":
    print(f"torch threads: {torch.get_num_threads()}")
    prefill()
    decode()
