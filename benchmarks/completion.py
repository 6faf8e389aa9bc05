"""Whole completions at rank 256, rough regressions beside exact ones; prints seconds and errors.

Wanted: exact over rough at least 3, at equal recovery. Run with
`python benchmarks/completion.py [--rank 256] [--rounds 3]`.
"""

import argparse
import statistics
import sys
from time import perf_counter

import numpy as np
from scipy import sparse

import tractable
from tractable.algorithms.completion import complete


def draw(rank: int, seed: int) -> tuple[np.ndarray, sparse.coo_array]:
    """Six times as many rows and columns as the rank, three quarters of the entries."""
    rng = np.random.default_rng(seed)
    side = 6 * rank
    truth = rng.standard_normal((side, rank)) @ rng.standard_normal((rank, side))
    row, column = np.nonzero(rng.random(truth.shape) < 0.75)
    return truth, sparse.coo_array((truth[row, column], (row, column)), shape=truth.shape)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warm = draw(40, 0)[1]
    for solver in ("cg", "cholesky"):
        complete(warm, 40, solver=solver, max_iter=1, rng=0)  # compiles
    ratios = []
    for turn in range(options.rounds):
        truth, seen = draw(options.rank, turn)
        hidden = np.ones(truth.shape, bool)
        hidden[seen.row, seen.col] = False
        spent = {}
        for solver in ("cg", "cholesky")[:: 1 if turn % 2 else -1]:
            before = perf_counter()
            with tractable.count() as cost:
                fit = complete(seen, options.rank, solver=solver, tol=1e-3, rng=0)
            spent[solver] = perf_counter() - before
            error = np.linalg.norm((fit.dense() - truth)[hidden]) / np.linalg.norm(truth[hidden])
            print(
                f"rank {options.rank}, {solver}: {spent[solver]:.2f} s, {cost['flops']:.3g} flops, "
                f"{fit.n_iter} sweeps, hidden error {error:.2e}"
            )
        ratios.append(spent["cholesky"] / spent["cg"])
    print(f"exact over rough: {statistics.median(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
