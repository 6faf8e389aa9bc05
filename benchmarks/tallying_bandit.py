"""Step rates of the tallying bandit: runs in closed form, the compiled loop, single steps.

Prints plays a second, and ratios to single steps; the arms alternate, medians of five rounds.
"""

import statistics
import time

import numpy as np

from tractable.online.tallying_bandit import (
    UCB1,
    BatchedEXP3,
    BurnInSuccessiveElimination,
    WeightedTallyingBandit,
    habituation,
)

ROUNDS = 5


def bandit(kind, rng):
    memory = 200
    weights = {
        "ring": np.ones(memory),
        "recursive": 0.98 ** np.arange(memory),
        "general": 1.0 / (1.0 + np.arange(memory)),
    }[kind]
    losses = habituation(np.linspace(0.2, 0.6, 10), np.linspace(0.7, 0.1, 10))
    return WeightedTallyingBandit(losses, memory, weights=weights, rng=rng)


def single_steps(kind, seed):
    env, learner = bandit(kind, seed), UCB1(10, 5_000, rng=seed)
    for _ in range(5_000):
        learner.observe(env.step(learner.next()))
    return 5_000


def compiled_ucb1(kind, seed):
    UCB1(10, 300_000, rng=seed).run(bandit(kind, seed))
    return 300_000


def batches(kind, seed):
    BatchedEXP3(10, 300_000, rng=seed).run(bandit(kind, seed))
    return 300_000


def burn_in(kind, seed):
    BurnInSuccessiveElimination(10, 10_000_000, 400, sigma=0.25, rng=seed).run(bandit(kind, seed))
    return 10_000_000


def main():
    arms = (single_steps, compiled_ucb1, batches, burn_in)
    for kind in ("ring", "recursive", "general"):
        rates = {arm.__name__: [] for arm in arms}
        for seed in range(-1, ROUNDS):
            for arm in arms:
                start = time.perf_counter()
                plays = arm(kind, abs(seed))
                rate = plays / (time.perf_counter() - start)
                if seed >= 0:  # the first one compiles
                    rates[arm.__name__].append(rate)
        slow = rates["single_steps"]
        for name, values in rates.items():
            ratio = statistics.median(np.divide(values, slow))
            rate = statistics.median(values)
            print(f"{kind:10s} {name:14s} {rate:15,.0f} plays/s {ratio:12,.1f} x single steps")


if __name__ == "__main__":
    main()
