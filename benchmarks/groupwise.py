"""Seconds of groupwise regression: 12,000 rounds, 43 features, 10 groups and everybody.

Wanted: under 0.15 s for the compiled loop, and seconds that grow like the number of groups.
The arms alternate; medians of seven rounds, after one that compiles. River's Bayesian regression
is the same ridge, in a group each and alone.
"""

import statistics
import time

import numpy as np
from river import linear_model

from tractable.online.groupwise import GroupwiseRegressor, OnlineRidge

ROUNDS = 7


def stream(rounds, groups, share):
    """Rows like Adult's: six numbers and indicators, of which a fifth are 1."""
    rng = np.random.default_rng(0)
    X = (rng.random((rounds, 43)) < 0.2).astype(float)
    X[:, :6] = rng.random((rounds, 6))
    return X, rng.random(rounds), rng.random((rounds, groups)) < share


def step_by_step(X, y, groups):
    model = GroupwiseRegressor(groups.shape[1])
    for row, label, member in zip(X, y, groups, strict=True):
        model.predict_one(row, member)
        model.learn_one(row, label, member)


def main():
    X, y, groups = stream(12_000, 10, 0.3)
    few = slice(0, 1_000)
    named = [dict(enumerate(row.tolist())) for row in X[few]]
    nobody = groups[:, :0]
    bayes = linear_model.BayesianLinearRegression
    arms = {
        "compiled": lambda: GroupwiseRegressor(10).partial_fit(X, y, groups),
        "compiled, vaw": lambda: GroupwiseRegressor(10, OnlineRidge(1.0, "vaw")).partial_fit(
            X, y, groups
        ),
        "one ridge": lambda: GroupwiseRegressor(0).partial_fit(X, y, nobody),
        "single steps": lambda: step_by_step(X[few], y[few], groups[few]),
        "river by group": lambda: GroupwiseRegressor(10, bayes()).partial_fit(
            named, y[few], groups[few]
        ),
        "river alone": lambda: GroupwiseRegressor(0, bayes()).partial_fit(
            named, y[few], nobody[few]
        ),
    }
    slow = ("single steps", "river by group", "river alone")
    rounds = {name: 1_000 if name in slow else 12_000 for name in arms}
    taken = measure(arms)
    for name, values in taken.items():
        middle = statistics.median(values)
        rate = middle / rounds[name] * 1e6
        print(f"{name:16s} {rounds[name]:7,} rounds {middle:8.4f} s {rate:8.1f} us a round")
    sizes = (8, 16, 32, 64, 128, 256)
    data = {size: stream(2_000, size, 0.25) for size in sizes}
    growing = measure(
        {
            size: lambda size=size: GroupwiseRegressor(size).partial_fit(*data[size])
            for size in sizes
        }
    )
    medians = [statistics.median(growing[size]) for size in sizes]
    for size, middle in zip(sizes, medians, strict=True):
        print(f"{size:4d} groups, a quarter active: {middle:8.4f} s for 2,000 rounds")
    slope = np.polyfit(np.log(sizes), np.log(medians), 1)[0]
    print(f"seconds go like groups^{slope:.2f}")


def measure(arms):
    taken = {name: [] for name in arms}
    for turn in range(ROUNDS + 1):
        for name, arm in arms.items():
            start = time.perf_counter()
            arm()
            if turn:  # the first one compiles
                taken[name].append(time.perf_counter() - start)
    return taken


if __name__ == "__main__":
    main()
