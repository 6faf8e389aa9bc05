"""The full transform beside its rivals, and the sparse one beside the full; prints ratios.

Run with `python benchmarks/sparse_wht.py [--quick]`.
"""

import argparse
import importlib
import math
import statistics
import sys
from collections.abc import Callable

import numpy as np
from clocks import clock

from tractable.algorithms.sparse_wht import fwht, sparse_wht

TERMS = 100


def rivals() -> dict[str, Callable[[np.ndarray], object]]:
    """Return the packages that are installed, each working on a float64 array in place."""
    found: dict[str, Callable[[np.ndarray], object]] = {"fwht": lambda x: fwht(x, overwrite=True)}
    for name in ("fht_cpu", "pyfwht"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            print(f"{name} is not installed")
            continue
        if name == "fht_cpu":
            found[name] = module.fht
        else:  # its own choice of backend fails where CUDA was compiled in and is missing
            found[name] = lambda x, m=module: m.transform(x, backend=m.Backend.CPU)
    return found


def compare_transforms(bits: int, rounds: int) -> None:
    """Print each rival's time over ours, in interleaved rounds."""
    x = np.random.default_rng(bits).standard_normal(1 << bits)
    repeats = max(1, (1 << 20) >> bits)
    times: dict[str, list[float]] = {name: [] for name in rivals()}
    for turn in range(rounds + 1):
        for name, call in rivals().items():
            spent = 0.0
            for _ in range(repeats):
                y = x.copy()
                spent += clock(lambda c=call, y=y: c(y))
            if turn:  # the first compiles
                times[name].append(spent / repeats)
    middle = {name: statistics.median(each) for name, each in times.items()}
    shown = ", ".join(
        f"{name} {1e3 * spent:.3f} ms ({spent / middle['fwht']:.2f}x)"
        for name, spent in middle.items()
    )
    print(f"2^{bits}: {shown}")


def compare_sparse(bits: int, rounds: int) -> None:
    """Print the sparse transform's points and time beside the full one's, at 10 dB."""
    rng = np.random.default_rng(bits)
    spectrum = np.zeros(1 << bits)
    chosen = rng.choice(1 << bits, TERMS, replace=False)
    spectrum[chosen] = rng.choice([-1.0, 1.0], TERMS)
    noise = math.sqrt(TERMS / 10)
    signal = fwht(spectrum) + noise * rng.standard_normal(1 << bits)
    ours, theirs = [], []
    for turn in range(rounds + 1):
        result = sparse_wht(signal, bits, TERMS, noise_std=noise, rng=turn)
        np.testing.assert_array_equal(result.indices, np.sort(chosen))
        spent = clock(lambda t=turn: sparse_wht(signal, bits, TERMS, noise_std=noise, rng=t))
        full = clock(lambda: fwht(signal))
        if turn:
            ours.append(spent)
            theirs.append(full)
    mine, whole = statistics.median(ours), statistics.median(theirs)
    print(
        f"2^{bits}: sparse {1e3 * mine:.2f} ms from {result.n_samples:,} points, full "
        f"{1e3 * whole:.2f} ms from {1 << bits:,}; full over sparse {whole / mine:.2f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 9
    for bits in (8, 12, 16, 20, 22, 24):
        compare_transforms(bits, rounds)
    for bits in (14, 16, 18, 20, 22, 24):
        compare_sparse(bits, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
