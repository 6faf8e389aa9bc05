"""Claim: k nonzeros a column, between exact and quadratic transport, and balanced experts."""

from typing import Any

from tractable.claims import Association, Claim, Experiment, Level, Paper, Sweep

TOKENS, EXPERTS, CAPACITY = 512, 16, 32

claim = Claim(
    Paper(
        "Sparsity-Constrained Optimal Transport",
        authors="Tianlin Liu, Joan Puigcerver, Mathieu Blondel",
        year=2023,
        link="https://arxiv.org/abs/2209.15466",
        tier="scaled down",
    ),
    says="transport plans with at most k nonzeros a column are found by gradients: k = 1 costs "
    "what unregularised transport does, larger k converge in fewer steps, and experts that take at "
    "most k tokens leave few tokens out",
    scope="two clouds of 64 to 256 normal points in the plane, shifted by one, equal weights, "
    "squared distances; the paper's V-MoE accuracies need data that is not public. Cost: one "
    "nonzero a column against an exact assignment, gamma = n, in the plan's own cost; column sums "
    "are exact, row sums are missed by the share shown (an L1 distance over the mass). Steps: one "
    "L-BFGS run from zero at 128 points, gamma = n. Router: 512 random tokens whose scores favour "
    "four of 16 experts, capacity 32, beside the softmax's best expert and Sinkhorn with the "
    "largest entries. Seconds: 512 points, k = 8, gamma = 0.1 n, POT's solver at its defaults, "
    "which is NumPy where this is compiled; objectives may not be lower. At gamma = n both end at "
    "kinks, about 1e-6 apart",
    solves=(
        "match each item to at most k others",
        "balanced mixture of experts routing with capacity",
        "sparse transport plan",
        "Sinkhorn plans are dense",
        "optimal transport with few nonzeros",
        "color transfer between images with few matches",
        "tokens dropped by overloaded experts",
    ),
    agreement="the definition over all supports (1e-12), POT's objective where it converges "
    "(1e-8), scipy's assignment for k = 1 (1e-3), and a cutting-plane maximum of the semi-dual by "
    "scipy's LP (1e-6 for k = m, 1e-3 below)",
)


def most_nonzeros(output: Any, expected: Any, *inputs: Any) -> float:
    """The largest number of nonzeros in a column."""
    return float((output > 0).sum(0).max())


def column_error(output: Any, expected: Any, *inputs: Any) -> float:
    """The largest difference of a column's sum from its mass."""
    return float(abs(output.sum(0) - 1 / output.shape[1]).max())


def row_error(output: Any, expected: Any, *inputs: Any) -> float:
    """L1 distance of the row sums from their masses."""
    return float(abs(output.sum(1) - 1 / output.shape[0]).sum())


def _draw_costs(n: int, rng: Any) -> Any:
    first, second = rng.standard_normal((2, n, 2))
    second[:, 0] += 1.0
    return ((first[:, None] - second) ** 2).sum(-1)


def _solve(costs: Any, gamma: float, k: int, **options: Any) -> Any:
    import numpy as np

    from tractable.algorithms.sparse_ot import sparse_ot

    weights = np.full(len(costs), 1 / len(costs))
    return sparse_ot(weights, weights, costs, gamma * len(costs), k, **options)


# Cost: one nonzero a column is unregularised transport.

cost = Experiment(
    claim,
    "cost",
    sweep=Sweep("points", instances=(64, 128, 256)),
    needs=("numba",),
    criteria=(Level("excess", of="one_each", at_most=1e-3),),
    guards=(
        Level("most nonzeros", of="one_each", at_most=1.0),
        Level("column error", of="one_each", at_most=1e-12),
    ),
    rounds=10,
    short_rounds=5,
)
cost.metric(most_nonzeros)
cost.metric(column_error)
cost.metric(row_error)


@cost.inputs
def clouds(points: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Squared distances between two clouds, and the cost of the best assignment."""
    from scipy.optimize import linear_sum_assignment

    costs = _draw_costs(points, rng)
    return costs, float(costs[linear_sum_assignment(costs)].mean())


@cost.metric
def excess(output: Any, expected: Any, costs: Any, best: float) -> float:
    """How far the plan's cost is from the best assignment's, up or down, over the latter."""
    return abs(float((output * costs).sum()) / best - 1.0)


@cost.method
def one_each(costs: Any, best: float) -> Any:
    """The sparse solver with k = 1, until it converges."""
    return _solve(costs, 1.0, 1, num_iter_max=5000)


@cost.baseline
def quadratic(costs: Any, best: float) -> Any:
    """Quadratic transport of the same gamma, whose columns take as many rows as they like."""
    return _solve(costs, 1.0, len(costs), num_iter_max=5000)


@cost.knockout
def cut_after(costs: Any, best: float) -> Any:
    """No constraint while solving: the largest entry of each quadratic column takes its mass."""
    import numpy as np

    plan = _solve(costs, 1.0, len(costs), num_iter_max=5000)
    out = np.zeros_like(plan)
    out[plan.argmax(0), np.arange(len(plan))] = 1 / len(plan)
    return out


# Steps: the objective is smoother for larger k.

steps = Experiment(
    claim,
    "steps",
    sweep=Sweep("nonzeros", instances=(2, 4, 8, 16, 32, 128)),
    needs=("numba",),
    criteria=(
        Association("iterations", of="constrained", at_most=-0.5),
        Level("iterations", of="constrained", over="unconstrained", at_least=2.0, within=(2, 4)),
    ),
    guards=(Level("column error", of="constrained", at_most=1e-12),),
    rounds=20,
    short_rounds=5,
)
steps.metric(most_nonzeros)
steps.metric(column_error)
steps.metric(row_error)


@steps.inputs
def one_size(nonzeros: int, rng: Any, device: str) -> tuple[Any, ...]:
    """128 points, and k."""
    return _draw_costs(128, rng), nonzeros


def _run_once(costs: Any, k: int) -> Any:
    """One run from zero, as the paper has it: no larger k first."""
    import numpy as np

    return _solve(costs, 1.0, k, num_iter_max=5000, warm_start=np.zeros(len(costs)))


@steps.method
def constrained(costs: Any, nonzeros: int) -> Any:
    """The semi-dual with k nonzeros."""
    return _run_once(costs, nonzeros)


@steps.baseline
def unconstrained(costs: Any, nonzeros: int) -> Any:
    """Quadratic transport, whatever k is."""
    return _run_once(costs, len(costs))


@steps.knockout
def always_four(costs: Any, nonzeros: int) -> Any:
    """The same constraint for every k."""
    return _run_once(costs, 4)


# Router: experts with a capacity.

router = Experiment(
    claim,
    "router",
    sweep=Sweep("spread", instances=(1, 2, 4)),
    needs=("torch",),
    criteria=(
        Level("dropped", of="sparse", over="softmax_best", at_most=0.5),
        Level("kept score", of="sparse", over="sinkhorn", at_least=1.0),
    ),
    guards=(Level("largest load", of="sparse", at_most=float(CAPACITY)),),
    rounds=20,
    short_rounds=5,
)


@router.inputs
def favoured(spread: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Scores of unit noise; four experts are better for everybody by `spread`."""
    import torch

    scores = torch.from_numpy(rng.standard_normal((TOKENS, EXPERTS))).float()
    scores[:, :4] += spread
    return (scores.to(device),)


@router.metric
def dropped(output: Any, expected: Any, scores: Any) -> float:
    """Tokens that no expert takes."""
    return float((~output.any(1)).sum())


@router.metric
def kept_score(output: Any, expected: Any, scores: Any) -> float:
    """Sum over tokens of the best softmax weight among the experts that take them."""
    return float((scores.softmax(1) * output).amax(1).sum())


@router.metric
def largest_load(output: Any, expected: Any, scores: Any) -> float:
    """Tokens of the fullest expert."""
    return float(output.sum(0).max())


@router.method
def sparse(scores: Any) -> Any:
    """The router: nonzeros of the sparse plan."""
    from tractable.algorithms.sparse_ot.torch import route

    indices = route(scores, CAPACITY).indices
    return _mark(indices, scores)


@router.baseline
def softmax_best(scores: Any) -> Any:
    """Each token goes to its best expert, which takes the highest weights up to its capacity."""
    import torch

    from tractable import _core

    _core.note("operations", scores.numel())
    gates = scores.softmax(1)
    best = torch.zeros_like(gates).scatter(1, gates.argmax(1, keepdim=True), 1.0)
    wanted = (gates * best).T
    found, indices = wanted.topk(CAPACITY, dim=1)
    return _mark(indices.masked_fill(found <= 0, -1), scores)


@router.peer()
def sinkhorn(scores: Any) -> Any:
    """Entropic transport at unit temperature, the largest entries of each expert's column."""
    import torch

    from tractable import _core

    log = scores.double()
    for _ in range(200):
        log = log - log.logsumexp(1, keepdim=True)
        log = log - log.logsumexp(0, keepdim=True)
        _core.note("operations", log.numel())
    indices: torch.Tensor = log.T.topk(CAPACITY, dim=1).indices
    return _mark(indices, scores)


@router.knockout
def no_transport(scores: Any) -> Any:
    """No potentials: each expert takes the tokens of the highest weights."""
    from tractable import _core

    _core.note("operations", scores.numel())
    return _mark(scores.softmax(1).T.topk(CAPACITY, dim=1).indices, scores)


def _mark(indices: Any, scores: Any) -> Any:
    """Which token is taken by which expert."""
    import torch

    taken = torch.zeros(len(scores) + 1, scores.shape[1], dtype=torch.bool, device=scores.device)
    taken[indices.T, torch.arange(scores.shape[1], device=scores.device)] = True
    return taken[:-1]


# Seconds: beside the solver that the paper's first author wrote for POT.

seconds = Experiment(
    claim,
    "seconds",
    sweep=Sweep("points", instances=(512,)),
    needs=("numba", "ot"),
    criteria=(Level("seconds", of="compiled", over="pot", at_most=0.33),),
    guards=(
        Level("objective missing", of="compiled", at_most=1e-8),
        Level("fullest column", of="compiled", at_most=8.0),
    ),
    limit=120.0,
)


@seconds.inputs
def large(points: int, rng: Any, device: str) -> tuple[Any, ...]:
    """The costs of 512 points."""
    return (_draw_costs(points, rng),)


@seconds.metric
def fullest_column(output: Any, expected: Any, costs: Any) -> float:
    """The largest number of nonzeros in a column."""
    return most_nonzeros(output[1], None)


@seconds.metric
def objective_missing(output: Any, expected: Any, costs: Any) -> float:
    """How much lower the dual value is than the baseline's, as a share of it; 0 if higher."""
    return max(0.0, (expected[0] - output[0]) / abs(expected[0]))


@seconds.method
def compiled(costs: Any) -> Any:
    """This library's solver at its defaults."""
    plan, log = _solve(costs, 0.1, 8, log=True)
    return log["value"], plan


@seconds.baseline
def pot(costs: Any) -> Any:
    """POT's solver at its defaults, its prints swallowed."""
    import contextlib
    import importlib
    import io
    import warnings

    import numpy as np

    weights = np.full(len(costs), 1 / len(costs))
    smooth = importlib.import_module("ot.smooth")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # options that SciPy will drop
        plan, log = smooth.smooth_ot_semi_dual(
            weights,
            weights,
            costs,
            0.1 * len(costs),
            reg_type="sparsity_constrained",
            max_nz=8,
            log=True,
        )
    return -float(log["res"].fun), plan


@seconds.knockout
def full_columns(costs: Any) -> Any:
    """The same solver without the constraint."""
    plan, log = _solve(costs, 0.1, len(costs), log=True)
    return log["value"], plan
