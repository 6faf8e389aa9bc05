"""Claim: with burn-in, arms that need exposure cost hardly more regret than ordinary ones."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

NOISE = 0.25
HORIZON = 320_000
ARMS = 10
MEMORY = 50

claim = Claim(
    Paper(
        "Weighted Tallying Bandits: Overcoming Intractability via Repeated Exposure Optimality",
        authors="Dhruv Malik, Conor Igoe, Yuanzhi Li, Aarti Singh",
        year=2023,
        link="https://arxiv.org/abs/2305.02955",
        tier="same quantity",
    ),
    says="where arms pay only after repeated exposure, playing each arm unmeasured for a while "
    "before measuring it keeps the regret near the square root of arms times horizon, with the "
    "memory and its known bound merely added, where the regret of UCB1 and EXP3 grows with the "
    "horizon itself (epochs scaled by 1/16, confidence radius by 1)",
    scope="ten arms (4 to 64 where arms are swept) whose losses fall in a straight line with "
    "exposure, the best arm the worst at first; weights 0.98^j, or all one where the memory is "
    "swept; Gaussian noise of 0.25, known to the learner and to UCB1; burn-in of twice the "
    "memory; horizons of 10,000 to 320,000, a million for the lower bound. The samples of an "
    "epoch are scaled by 1/16 of the theory's, which shortens the epochs; the confidence radius "
    "is the theory's at the samples taken. Regret in expected losses against the lowest "
    "reachable loss at every play, which no sequence beats. The knock-out plays arms in turn; "
    "leaving out the burn-in alone does no harm once runs are far longer than the memory, so it "
    "is knocked out where it matters, under the lower bound: arms that show nothing before the "
    "memory is full, beside one that lures. With a memory of 1, an ordinary bandit, UCB1 has "
    "the smaller regret at these horizons: the sweep over the memory shows it and judges from "
    "50 on. A round of the sweep over the horizon is the mean regret of four runs, since the "
    "promise is about the expected regret, and single runs of UCB1 differ widely",
    solves=(
        "bandit whose rewards depend on recent plays",
        "slow starters are discarded too early",
        "recommendations that people must get used to",
        "exercises that pay only after practice",
        "crowd workers who improve with repetition",
        "policy regret with bounded memory",
    ),
    agreement="the best sequence and its loss by search over all sequences, and the paper's "
    "formula for the losses of a sequence, both to 1e-9",
)


class Problem(NamedTuple):
    """What one round plays: everything but the seed."""

    instances: str  # "base", "worst gap" or "hidden"
    horizon: int = HORIZON
    arms: int = ARMS
    memory: int = MEMORY
    bound: int = 2 * MEMORY
    weighted: bool = True
    repeats: int = 1  # bandits whose mean regret is one round's figure


def _bandits(problem: Problem, seed: int) -> list[Any]:
    """Build the bandits of a problem; each learner plays each of them once."""
    import numpy as np

    from tractable.online.tallying_bandit import WeightedTallyingBandit, habituation
    from tractable.online.tallying_bandit import lower_bound_instance as hide

    arms, memory = problem.arms, problem.memory
    if problem.instances == "hidden":
        return [hide(arms - 1, memory, good, lure=0.5, rng=seed + good) for good in range(arms - 1)]
    if problem.instances == "base":
        base = habituation(np.linspace(0.2, 0.6, arms), np.linspace(0.7, 0.1, arms))
        curves = [base] * problem.repeats
    else:
        others = np.arange(arms) > 0
        gaps = (8.0 * math.sqrt(arms / problem.horizon), 0.4)
        slopes = np.where(others, 0.1, 0.7)
        curves = [habituation(0.2 + min(gap, 0.4) * others, slopes) for gap in gaps]
    weights = 0.98 ** np.arange(memory) if problem.weighted else None
    return [
        WeightedTallyingBandit(losses, memory, weights=weights, noise=NOISE, rng=seed + i)
        for i, losses in enumerate(curves)
    ]


def _regret(problem: Problem, seed: int, build: Callable[[int], Any]) -> float:
    """The largest regret over gaps, or the mean over repeats or placements of the good arm."""
    bandits = _bandits(problem, seed)
    regrets = [build(seed + i).run(bandit).final for i, bandit in enumerate(bandits)]
    if problem.instances == "worst gap":
        return float(max(regrets))
    return float(sum(regrets) / len(regrets))


def burn_in(problem: Problem, seed: int) -> float:
    """The paper's learner: a burn-in as long as the bound, then measured plays."""
    from tractable.online.tallying_bandit import BurnInSuccessiveElimination as Learner

    arms, horizon, bound = problem.arms, problem.horizon, problem.bound
    return _regret(
        problem,
        seed,
        lambda seed: Learner(arms, horizon, bound, sigma=NOISE, scale=1 / 16, rng=seed),
    )


def ucb1(problem: Problem, seed: int) -> float:
    """UCB1, told the noise as the paper's learner is."""
    from tractable.online.tallying_bandit import UCB1

    arms, horizon = problem.arms, problem.horizon
    return _regret(problem, seed, lambda seed: UCB1(arms, horizon, sigma=NOISE, rng=seed))


def wide_ucb1(problem: Problem, seed: int) -> float:
    """UCB1 with the textbook's width, for losses between 0 and 1."""
    from tractable.online.tallying_bandit import UCB1

    return _regret(problem, seed, lambda seed: UCB1(problem.arms, problem.horizon, rng=seed))


def exp3(problem: Problem, seed: int) -> float:
    """EXP3, made for losses without any law."""
    from tractable.online.tallying_bandit import EXP3

    return _regret(problem, seed, lambda seed: EXP3(problem.arms, problem.horizon, rng=seed))


def batched_exp3(problem: Problem, seed: int) -> float:
    """EXP3 in batches of the horizon's cube root, the standard for a bounded memory."""
    from tractable.online.tallying_bandit import BatchedEXP3

    return _regret(problem, seed, lambda seed: BatchedEXP3(problem.arms, problem.horizon, rng=seed))


def long_batches(problem: Problem, seed: int) -> float:
    """EXP3 in batches as long as the bound that the paper's learner is told, or twice that."""
    from tractable.online.tallying_bandit import BatchedEXP3

    batch = problem.bound * (2 if problem.instances == "hidden" else 1)
    return _regret(
        problem,
        seed,
        lambda seed: BatchedEXP3(problem.arms, problem.horizon, batch=batch, rng=seed),
    )


def in_turn(problem: Problem, seed: int) -> float:
    """The same epochs with the arms played in turn, never twice running."""
    from tractable.online.tallying_bandit import PlainSuccessiveElimination as Learner

    arms, horizon = problem.arms, problem.horizon
    return _regret(problem, seed, lambda seed: Learner(arms, horizon, sigma=NOISE, rng=seed))


def no_burn_in(problem: Problem, seed: int) -> float:
    """The paper's learner with a burn-in of one play."""
    return burn_in(problem._replace(bound=1), seed)


def least(problem: Problem, seed: int) -> float:
    """The lower bound: no learner has less mean regret over the placements."""
    from tractable.online.tallying_bandit import lower_bound

    return lower_bound(problem.arms - 1, problem.memory)


def regret(output: float, expected: float, *inputs: Any) -> float:
    """Expected losses beyond the lowest reachable loss at every play."""
    return output


def share_of_bound(output: float, expected: float, *inputs: Any) -> float:
    """Regret over (√(KT) + (m + M) K) log2 T, the paper's bound with its logarithm."""
    problem: Problem = inputs[0]
    added = (problem.memory + problem.bound) * problem.arms
    root = math.sqrt(problem.arms * problem.horizon)
    return output / ((root + added) * math.log2(problem.horizon))


def _seed(rng: Any) -> int:
    return int(rng.integers(2**31))


ends = (31_000, HORIZON)
largest = (300_000, HORIZON)
horizon = Experiment(
    claim,
    "horizon",
    sweep=Sweep("horizon", 10_000, HORIZON, points=7),
    needs=("numba",),
    criteria=(
        Growth("regret", of="burn_in", at_most=0.5, within=ends),
        Growth("regret", of="burn_in", over="ucb1", at_most=-0.2, within=ends),
        Level("regret", of="burn_in", over="ucb1", at_most=0.25, within=largest),
        Level("regret", of="burn_in", over="wide_ucb1", at_most=0.25, within=largest),
        Level("regret", of="burn_in", over="exp3", at_most=0.25, within=largest),
        Level("regret", of="burn_in", over="batched_exp3", at_most=0.25, within=largest),
    ),
    guards=(Level("share of bound", of="burn_in", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
horizon.method(burn_in)
horizon.baseline(ucb1)
horizon.peer()(wide_ucb1)
horizon.peer()(exp3)
horizon.peer()(batched_exp3)
horizon.knockout(in_turn)


@horizon.inputs
def horizon_inputs(horizon: int, rng: Any, device: str) -> tuple[Problem, int]:
    return Problem("base", horizon=horizon, repeats=4), _seed(rng)


memory = Experiment(
    claim,
    "memory",
    sweep=Sweep("memory", 1, 256, points=9),
    needs=("numba",),
    criteria=(
        Growth("regret", of="burn_in", at_most=1.3, within=(16, 256)),
        Level("regret", of="burn_in", over="ucb1", at_most=0.25, within=(50, 256)),
    ),
    guards=(Level("share of bound", of="burn_in", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
memory.method(burn_in)
memory.baseline(ucb1)
memory.knockout(in_turn)


@memory.inputs
def memory_inputs(memory: int, rng: Any, device: str) -> tuple[Problem, int]:
    return Problem("base", memory=memory, bound=2 * memory, weighted=False), _seed(rng)


arms = Experiment(
    claim,
    "arms",
    sweep=Sweep("arms", 4, 64, points=5),
    criteria=(
        Growth("regret", of="burn_in", at_most=0.8),
        Level("regret", of="burn_in", over="batched_exp3", at_most=0.5),
    ),
    guards=(Level("share of bound", of="burn_in", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
arms.method(burn_in)
arms.baseline(batched_exp3)
arms.knockout(in_turn)


@arms.inputs
def arms_inputs(arms: int, rng: Any, device: str) -> tuple[Problem, int]:
    return Problem("worst gap", arms=arms), _seed(rng)


gaps = Experiment(
    claim,
    "gaps",
    sweep=Sweep("horizon", 10_000, HORIZON, points=7),
    criteria=(
        Growth("regret", of="burn_in", at_most=0.8),
        Level("regret", of="burn_in", over="batched_exp3", at_most=0.5, within=(90_000, HORIZON)),
    ),
    guards=(Level("share of bound", of="burn_in", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
gaps.method(burn_in)
gaps.baseline(batched_exp3)
gaps.knockout(in_turn)


@gaps.inputs
def gaps_inputs(horizon: int, rng: Any, device: str) -> tuple[Problem, int]:
    return Problem("worst gap", horizon=horizon), _seed(rng)


bound = Experiment(
    claim,
    "bound",
    sweep=Sweep("bound", MEMORY, 16 * MEMORY, points=5),
    criteria=(
        Growth("regret", of="burn_in", at_most=1.3),
        Level("regret", of="burn_in", over="long_batches", at_most=0.5),
    ),
    guards=(Level("share of bound", of="burn_in", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
bound.method(burn_in)
bound.baseline(long_batches)
bound.knockout(in_turn)


@bound.inputs
def bound_inputs(bound: int, rng: Any, device: str) -> tuple[Problem, int]:
    return Problem("base", bound=bound), _seed(rng)


lower = Experiment(
    claim,
    "lower bound",
    sweep=Sweep("memory", 256, 4096, points=5),
    criteria=(
        Growth("regret", of="burn_in", over="least", at_most=0.3),
        # M K log2 T plays of burn-in that lose 1 each, over the lower bound m (K - 2) / 2
        Level("regret", of="burn_in", over="least", at_most=66.0),
        Level("regret", of="burn_in", over="long_batches", at_most=0.25),
    ),
    guards=(Level("regret", of="burn_in", over="least", at_least=1.0),),
    rounds=20,
    short_rounds=5,
)
lower.method(burn_in)
lower.baseline(long_batches)
lower.peer()(least)
lower.knockout(no_burn_in)


@lower.inputs
def lower_inputs(memory: int, rng: Any, device: str) -> tuple[Problem, int]:
    problem = Problem("hidden", horizon=1_000_000, arms=5, memory=memory, bound=memory)
    return problem, _seed(rng)


for experiment in claim:
    experiment.metric(regret)
    experiment.metric(share_of_bound)
