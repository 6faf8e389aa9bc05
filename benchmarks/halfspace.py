"""Seconds of a fit on 40,000 rows of 20 columns, the share of each part, and its rivals.

Run with `python benchmarks/halfspace.py [--quick]`.
"""

import argparse
import importlib
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from tractable.theory.halfspace import _fit, fit_halfspace

PARTS = ("candidates_of", "moment_test", "strip_moment_test", "slab_checks", "certify")


def rivals() -> dict[str, Callable[[np.ndarray, np.ndarray], Any]]:
    """Return learners without a certificate; packages that are missing are named."""
    found: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {}
    try:
        linear = importlib.import_module("sklearn.linear_model")
        svm = importlib.import_module("sklearn.svm")
        found["logistic regression"] = linear.LogisticRegression(fit_intercept=False).fit
        found["linear SVC"] = svm.LinearSVC(fit_intercept=False, dual=False).fit
    except ImportError:
        print("scikit-learn is not installed")
    return found


def timed(spent: dict[str, float], name: str) -> Callable[..., Any]:
    """Return a part of the fit that adds its seconds to `spent`."""
    part = getattr(_fit, name)

    def call(*args: Any, **options: Any) -> Any:
        start = perf_counter()
        found = part(*args, **options)
        spent[name] = spent.get(name, 0.0) + perf_counter() - start
        return found

    return call


def compare(rows: int, width: int, rounds: int) -> None:
    """Print medians of interleaved rounds."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, width))
    y = np.where((X[:, 0] >= 0) ^ (rng.random(rows) < 0.25), 1, -1)
    times: dict[str, list[float]] = {}
    calls = {"tester-learner": lambda X, y: fit_halfspace(X, y, rng=0), **rivals()}
    for _ in range(rounds):
        for name, call in calls.items():
            start = perf_counter()
            call(X, y)
            times.setdefault(name, []).append(perf_counter() - start)
    middle = {name: statistics.median(each) for name, each in times.items()}
    ours = middle.pop("tester-learner")
    print(f"{rows:,} rows, {width} columns: {ours:.3f} s")
    for name, theirs in middle.items():
        print(f"  {name} {theirs:.3f} s, a fit takes {ours / theirs:.1f} times as long")
    spent: dict[str, float] = {}
    originals = {name: getattr(_fit, name) for name in PARTS}
    try:
        for name in PARTS:
            setattr(_fit, name, timed(spent, name))
        start = perf_counter()
        fit_halfspace(X, y, rng=0)
        whole = perf_counter() - start
    finally:
        for name, part in originals.items():
            setattr(_fit, name, part)
    shares = ", ".join(f"{name} {spent[name] / whole:.0%}" for name in PARTS)
    print(f"  shares: {shares}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one size, fewer rounds")
    quick = parser.parse_args().quick
    for rows, width in ((40_000, 20),) if quick else ((10_000, 5), (40_000, 20), (80_000, 40)):
        compare(rows, width, 3 if quick else 9)
    return 0


if __name__ == "__main__":
    sys.exit(main())
