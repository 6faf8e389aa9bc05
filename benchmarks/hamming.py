"""The bars of `algorithms/hamming`, measured in interleaved pairs; prints ratios.

Run with `python benchmarks/hamming.py [--quick]`.
"""

import argparse
import statistics
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from clocks import clock
from scipy import fft, signal

from tractable.algorithms.hamming import EngineConstants, HammingPlan, hamming_distances

Contender = Callable[[np.ndarray, np.ndarray], np.ndarray]


def accumulated_spectra(text: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Ten lines of SciPy: blocks of the text, spectra added up over letters, one inverse."""
    size, shifts = pattern.size, text.size - pattern.size + 1
    length = fft.next_fast_len(min(text.size, 4 * size), real=True)
    step = length - size + 1
    blocks = -(-shifts // step)
    padded = np.append(text, np.full((blocks - 1) * step + length - text.size, -1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)[::step]
    total = np.zeros((blocks, length // 2 + 1), complex)
    for letter in np.unique(pattern):
        ours = np.conj(fft.rfft((pattern == letter).astype(float), length))
        total += fft.rfft((windows == letter).astype(float), axis=1) * ours
    matches = fft.irfft(total, length, axis=1)[:, :step].ravel()[:shifts]
    return size - np.rint(matches).astype(np.int32)


def overlap_add(text: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """`scipy.signal.oaconvolve` a letter."""
    matches = np.zeros(text.size - pattern.size + 1)
    for letter in np.unique(pattern):
        ours = (pattern[::-1] == letter).astype(float)
        matches += signal.oaconvolve((text == letter).astype(float), ours, mode="valid")
    return pattern.size - np.rint(matches).astype(np.int32)


def sliced_compare(text: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Compare slices that stay in the cache, with counters of one byte."""
    shifts, block = text.size - pattern.size + 1, 1 << 15
    distances = np.zeros(shifts, np.int32)
    for first in range(0, shifts, block):
        width = min(block, shifts - first)
        for start in range(0, pattern.size, 255):
            count = np.zeros(width, np.uint8)
            for j in range(start, min(pattern.size, start + 255)):
                count += text[first + j : first + j + width] != pattern[j]
            distances[first : first + width] += count
    return distances


PLAIN: dict[str, Contender] = {
    "spectra": accumulated_spectra,
    "oaconvolve": overlap_add,
    "sliced": sliced_compare,
}


def compare_with_plain(name: str, text: np.ndarray, pattern: np.ndarray, rounds: int) -> None:
    """Print how many times faster the automatic choice is than each plain way and the best."""
    wanted = hamming_distances(text, pattern)
    work = text.size * pattern.size
    plain = {
        label: function
        for label, function in PLAIN.items()
        if label != "sliced" or work < 2**34  # else it takes minutes and is far from the best
    }
    ours: list[float] = []
    theirs: dict[str, list[float]] = {}
    for label, function in plain.items():
        start = perf_counter()
        np.testing.assert_array_equal(function(text, pattern), wanted)
        theirs[label] = [perf_counter() - start]
    fastest = min(each[0] for each in theirs.values())
    for _ in range(rounds):
        for label, function in plain.items():
            if theirs[label][0] > 3 * fastest:
                continue  # far from the best: once is enough
            ours.append(clock(lambda: hamming_distances(text, pattern)))
            theirs[label].append(clock(lambda f=function: f(text, pattern)))
    mine = statistics.median(ours)
    best = min(theirs, key=lambda label: statistics.median(theirs[label]))
    ratios = {label: statistics.median(each) / mine for label, each in theirs.items()}
    shown = ", ".join(f"{label} {ratio:.1f}x" for label, ratio in ratios.items())
    print(f"{name}: ours {mine:.4f} s; {shown}; best plain ({best}) over ours {ratios[best]:.2f}")


def compare_with_engines(name: str, text: np.ndarray, pattern: np.ndarray, rounds: int) -> float:
    """Print and return how many times slower the automatic choice is than the best engine."""
    shifts = text.size - pattern.size + 1
    auto = HammingPlan(pattern)
    codes = auto._read(text)
    expected = {
        method: HammingPlan(pattern, method=method)._choose(codes, shifts).cost
        for method in ("sparse", "bitparallel", "fft", "mixed")
    }
    expected["bytes"] = auto._bytes_cost(shifts)
    limit = 8 * min(expected.values())
    methods = [method for method, cost in expected.items() if cost <= limit]
    times: dict[str, list[float]] = {method: [] for method in ("auto", *methods)}
    for method in times:
        hamming_distances(text, pattern, method=method)
    repeats = max(1, min(50, int(0.02 / clock(lambda: hamming_distances(text, pattern)))))
    for _ in range(rounds):
        for method, seconds in times.items():
            calls = [
                clock(lambda m=method: hamming_distances(text, pattern, method=m))
                for _ in range(repeats)
            ]
            seconds.append(min(calls))
    middle = {method: statistics.median(each) for method, each in times.items()}
    best = min(methods, key=middle.__getitem__)
    ratio = middle["auto"] / middle[best]
    print(f"{name}: auto {middle['auto'] * 1e3:.2f} ms, best engine {best}, ratio {ratio:.2f}")
    return ratio


def library_bytes(size: int) -> np.ndarray:
    """Return the first bytes of the installed standard library's source."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    parts, total = [], 0
    for path in sorted(folder.glob("*.py")):
        parts.append(path.read_bytes())
        total += len(parts[-1])
        if total >= size:
            break
    return np.frombuffer(b"".join(parts), np.uint8)[:size]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 7
    with fft.set_workers(2):  # for both sides
        measure(rounds)
    return 0


def measure(rounds: int) -> None:
    rng = np.random.default_rng(0)
    print("constants in the source:", EngineConstants())
    text = rng.integers(0, 4, 1 << 20).astype(np.uint8)
    compare_with_plain("four letters, m = 2^12", text, text[: 1 << 12].copy(), rounds)
    text = rng.integers(0, 256, 1 << 20).astype(np.uint8)
    compare_with_plain("256 letters, m = 2^16", text, text[: 1 << 16].copy(), 1 + rounds // 4)
    worst = 0.0
    source = library_bytes(1 << 19)
    for size in (4, 16, 64, 256, 1024, 4096, 16384):
        pattern = source[-size:].copy()
        worst = max(worst, compare_with_engines(f"bytes, m = {size}", source, pattern, rounds))
    for letters, size in (
        (2, 1 << 14),
        (4, 1 << 12),
        (64, 1 << 10),
        (256, 1 << 13),
        (4000, 1 << 12),
    ):
        text = rng.integers(0, letters, 1 << 18)
        name = f"{letters} letters, m = {size}"
        worst = max(worst, compare_with_engines(name, text, text[:size].copy(), rounds))
    print(f"automatic choice over the best engine, worst: {worst:.2f} (bar 1.3)")


if __name__ == "__main__":
    sys.exit(main())
