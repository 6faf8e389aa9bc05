"""Which of eight exercises should a tutor set? Each pays only after some practice.

Three ways to choose 100,000 exercises, on the same simulated pupil.
"""

import numpy as np

import tractable
from tractable.online.tallying_bandit import (
    EXP3,
    UCB1,
    BurnInSuccessiveElimination,
    WeightedTallyingBandit,
    learning_curves,
)

SESSIONS = 100_000
MEMORY = 60  # what was practised longer ago than this is forgotten
ERRORS = np.linspace(0.1, 0.5, 8)  # error rate of each exercise, once practised
RATES = np.linspace(1.0, 9.0, 8)  # the best exercise is the one that is learnt most slowly


def main():
    tutors = {
        "UCB1": UCB1(8, SESSIONS, rng=1),
        "EXP3": EXP3(8, SESSIONS, rng=1),
        "burn-in": BurnInSuccessiveElimination(8, SESSIONS, 2 * MEMORY, sigma=0.5, rng=1),
    }
    for name, tutor in tutors.items():
        curves = learning_curves(ERRORS, RATES)
        pupil = WeightedTallyingBandit(curves, MEMORY, noise_kind="bernoulli", rng=0)
        with tractable.count() as cost:
            trace = tutor.run(pupil)
        more = trace.final / cost["pulls"]
        print(f"{name:8s} {cost['pulls']:,} exercises, {more:.1%} more errors than the best plan")


if __name__ == "__main__":
    main()
