"""Median regression on all rows and on a sample, beside its rivals; prints ratios.

Run with `python benchmarks/lp_sampling.py [--quick]`.
"""

import argparse
import importlib
import statistics
import sys
import warnings
from collections.abc import Callable
from time import perf_counter

import numpy as np

from tractable.algorithms.lp_sampling import lp_regression, sample_rows

WIDTH = 10
KEPT = 1000


def on_sample(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    sample = sample_rows(A, 1, KEPT, b=b, rng=0)
    kept = sample.indices
    return lp_regression(A[kept], b[kept], 1, sample_weight=sample.sample_weight).coefficients


def rivals() -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Return solvers of min ||Ax - b||_1; packages that are missing are named."""
    found: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "sample": on_sample,
        "all rows": lambda A, b: lp_regression(A, b, 1).coefficients,
    }
    try:
        linear = importlib.import_module("sklearn.linear_model")
        found["scikit-learn"] = lambda A, b: (
            linear.QuantileRegressor(quantile=0.5, alpha=0, fit_intercept=False).fit(A, b).coef_
        )
    except ImportError:
        print("scikit-learn is not installed")
    try:
        quantile = importlib.import_module("statsmodels.regression.quantile_regression")
        found["statsmodels"] = lambda A, b: quantile.QuantReg(b, A).fit(q=0.5).params
    except ImportError:
        print("statsmodels is not installed")
    return found


def compare(rows: int, rounds: int) -> None:
    """Print times over the sample's and excess losses, in interleaved rounds."""
    rng = np.random.default_rng(rows)
    A = rng.standard_normal((rows, WIDTH))
    b = A @ rng.standard_normal(WIDTH) + rng.standard_t(2, rows)
    times: dict[str, list[float]] = {}
    losses: dict[str, float] = {}
    for _ in range(rounds):
        for name, call in rivals().items():
            start = perf_counter()
            x = call(A, b)
            times.setdefault(name, []).append(perf_counter() - start)
            losses[name] = float(np.abs(A @ x - b).sum())
    least = min(losses.values())
    middle = {name: statistics.median(each) for name, each in times.items()}
    shown = ", ".join(
        f"{name} {spent:.3f} s ({spent / middle['sample']:.1f}x, "
        f"loss {losses[name] / least - 1:+.4%})"
        for name, spent in middle.items()
    )
    print(f"{rows:,} rows: {shown}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")  # rivals' notes on convergence
    for rows in (2_000, 10_000) if quick else (2_000, 10_000, 50_000):
        compare(rows, 2 if quick else 3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
