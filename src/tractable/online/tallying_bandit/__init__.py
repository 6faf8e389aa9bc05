"""Bandits whose arms get better or worse with repeated exposure.

An arm's loss depends on how often it was played lately: a lesson pays only after practice, a
song after the third hearing. Ordinary bandits sample all arms by turns, see slow starters at
their worst and throw them away. Here each arm is played for a while and *discarded* first, so
that its memory is full and every other arm's is flushed, and only then measured.

Paper: Dhruv Malik, Conor Igoe, Yuanzhi Li and Aarti Singh, "Weighted Tallying Bandits:
    Overcoming Intractability via Repeated Exposure Optimality", 2023.
    https://arxiv.org/abs/2305.02955
Symbols: K arms, T horizon, m memory, M the known bound on m, w weights of the last m plays,
    y = Σ_j w_j 1{a_{t-j} = x} the tally of arm x (the current play counts, j = 0), h_x(y) its
    loss, σ the noise, Δ_s = 2^-s the gap that epoch s looks for, n_s its samples an arm.
Departures: the paper's loss is a function of y; ours of the share y / Σw, the same functions
    on a fixed grid. The samples of an epoch are `scale` (1/16) times the theory's, while the
    confidence radius is always the theory's own at the samples taken, so the guarantee keeps
    its probability and only the epochs shift by two. The burn-in is skipped where the next run
    is of the arm just played. `pool=True`, the tally's fast updates, the closed form of long
    runs and `DoublingBurnIn` (a heuristic without guarantee) are not in the paper. Where M < m
    nothing is promised, and the learner cannot notice. Regret is counted with expected losses
    against T times the lowest reachable loss, which no sequence of plays beats; under
    repeated exposure optimality it is at most the m first plays away from the best sequence.

The environment in gymnasium's form is `tractable.online.tallying_bandit.gym.TallyingEnv`.
"""

from tractable.online.tallying_bandit._environment import RegretTrace, WeightedTallyingBandit
from tractable.online.tallying_bandit._exact import (
    complete_policy_regret,
    optimal_sequence,
    reference,
)
from tractable.online.tallying_bandit._families import (
    habituation,
    learning_curves,
    lower_bound,
    lower_bound_instance,
    step_at_full_exposure,
    unimodal,
)
from tractable.online.tallying_bandit._learner import (
    BurnInSuccessiveElimination,
    DoublingBurnIn,
    PlainSuccessiveElimination,
)
from tractable.online.tallying_bandit._rivals import EXP3, UCB1, BatchedEXP3

__all__ = [
    "EXP3",
    "UCB1",
    "BatchedEXP3",
    "BurnInSuccessiveElimination",
    "DoublingBurnIn",
    "PlainSuccessiveElimination",
    "RegretTrace",
    "WeightedTallyingBandit",
    "complete_policy_regret",
    "habituation",
    "learning_curves",
    "lower_bound",
    "lower_bound_instance",
    "optimal_sequence",
    "reference",
    "step_at_full_exposure",
    "unimodal",
]
