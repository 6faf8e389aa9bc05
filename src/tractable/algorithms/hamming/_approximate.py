"""Distances within a factor 1 + epsilon, by mapping letters to few buckets at random."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tractable._core import note
from tractable.algorithms.hamming import _engines
from tractable.algorithms.hamming._letters import Codes, Pattern, make_pattern
from tractable.algorithms.hamming._plan import EngineConstants, HammingPlan

BATCH = 1 << 22
"""Floating-point numbers that one batch of sign transforms holds."""


def repetitions(shifts: int, delta: float) -> int:
    """Return how many bucket maps it takes so that every shift is close once."""
    return math.ceil(math.log2(shifts / delta))


def buckets_needed(epsilon: float) -> int:
    """Return how many buckets keep half of the maps within 1 - epsilon of the truth."""
    return math.ceil(2 / epsilon)


def estimate_by_buckets(
    codes: Codes,
    pattern: Pattern,
    *,
    epsilon: float,
    delta: float,
    rng: np.random.Generator,
    constants: EngineConstants | None,
) -> NDArray[np.float64]:
    """Return the largest of the exact distances under random maps to buckets; never too large."""
    shifts = codes.size - pattern.size + 1
    best = np.zeros(shifts, np.int32)
    buckets = buckets_needed(epsilon)
    for _ in range(repetitions(shifts, delta)):
        # Letters that never match get a bucket each: text ones here, pattern ones masked below.
        image = rng.integers(0, buckets, pattern.letters + 1)
        ours = make_pattern(image[pattern.codes], pattern.codes == pattern.letters)
        plan = HammingPlan._of(ours, constants)
        np.maximum(best, plan._distances(ours.encode(image[codes])), out=best)
    return best.astype(np.float64)


def estimate_by_signs(
    codes: Codes, pattern: Pattern, *, epsilon: float, delta: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean over random maps to signs of pattern size minus correlation (Karloff)."""
    shifts = codes.size - pattern.size + 1
    rounds = math.ceil(8 * math.log(2 * shifts / delta) / epsilon**2)
    length = int(fft.next_fast_len(codes.size, real=True))
    at_once = max(1, BATCH // length)
    total = np.zeros(length // 2 + 1, np.complex128)
    for first in range(0, rounds, at_once):
        rows = min(at_once, rounds - first)
        signs = rng.integers(0, 2, (rows, pattern.letters + 2), dtype=np.int8) * 2 - 1
        ours = np.where(pattern.codes == pattern.letters, pattern.letters + 1, pattern.codes)
        theirs = fft.rfft(signs[:, codes].astype(np.float64), length, axis=1)
        ours_spectra = fft.rfft(signs[:, ours].astype(np.float64), length, axis=1)
        total += np.einsum("ij,ij->j", theirs, np.conj(ours_spectra))
    note("operations", (2 * rounds + 1) * _engines.transform_cost(length))
    correlation = fft.irfft(total, length)[:shifts] / rounds
    return np.asarray(np.maximum(pattern.size - correlation, 0.0))
