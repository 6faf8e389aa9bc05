"""Claim: one online learner a group, mixed by sleeping experts, is good for every group."""

import math
from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

LARGE = 300
"""Groups with fewer rows are not judged on Adult: both sides only learn there."""
NOISE = 0.1
RATES = (0.003, 0.01)

claim = Claim(
    Paper(
        "Oracle Efficient Algorithms for Groupwise Regret",
        authors="Krishna Acharya, Eshwar Ram Arunachaleswaran, Sampath Kannan, Aaron Roth, "
        "Juba Ziani",
        year=2024,
        link="https://arxiv.org/abs/2310.04652",
        tier="scaled down",
    ),
    says="one online learner for each of many overlapping groups, mixed by sleeping experts, has "
    "on every group hardly more loss than the group's own best model in hindsight, where one "
    "learner for everybody does not; the work grows with the number of groups, not of models",
    scope="linear models under the squared loss: the 32,561 rows of Adult's training part with "
    "income as 0 or 1 and groups by age, sex and race, shuffled and sorted by age (the paper's "
    "medical costs come with no installable package and are left out); synthetic labels that are "
    "linear in each group up to noise of 0.1; groups of half the rows each; shortest paths on a "
    "grid of 16 nodes. Regret is against ridge in hindsight on each group, clipped as the "
    "predictions are; on Adult, groups of fewer than 300 rows are left out, since there every "
    "learner still learns. The knock-out gives each row to random groups of the same sizes. On "
    "Adult one ridge with the groups as further features is raced too; it is as good or better up "
    "to 8,000 rows. Hedge for specialists, which knows that the loss is squared, is shown beside "
    "AdaNormalHedge, which does not, and has less regret on Adult. River's regression by gradient "
    "steps, a slow learner, gains little from groups before some thousands of rows; its Bayesian "
    "regression is the ridge itself",
    solves=(
        "fair predictions for overlapping groups",
        "online regression by subgroup",
        "model is good on average and bad for a minority",
        "mix experts of which some sleep",
        "regret for every group",
        "multigroup fairness",
        "credit scores as good for each group as its own model",
    ),
    agreement="coefficients of scikit-learn's Ridge and predictions of river's "
    "BayesianLinearRegression to 1e-8, AdaNormalHedge in 50 digits of mpmath to 1e-12",
    stakes="compliance use",
)


class Stream(NamedTuple):
    """What one round predicts, and what each group's own best loses on it."""

    X: Any
    y: Any
    groups: Any
    best: Any
    own: Any
    seed: int


class Traffic(NamedTuple):
    """Travellers, their groups, and the costs that all edges turn out to have."""

    edges: Any
    groups: Any
    costs: Any
    seed: int


# ---- arms on streams of rows: each returns its predictions


def groupwise(stream: Stream) -> Any:
    """The paper's: a ridge for each group and for everybody, under AdaNormalHedge."""
    return _mix(stream, stream.groups)


def ridge(stream: Stream) -> Any:
    """One online ridge, which knows of no groups."""
    return _mix(stream, stream.groups[:, :0])


def one_hot(stream: Stream) -> Any:
    """One online ridge with the groups as further features."""
    import numpy as np

    return _mix(stream._replace(X=np.column_stack(stream[:3:2])), stream.groups[:, :0])


def cells(stream: Stream) -> Any:
    """One online ridge for each combination of groups that occurs."""
    import numpy as np

    found, cell = np.unique(stream.groups, axis=0, return_inverse=True)
    return _mix(stream, cell[:, None] == np.arange(len(found)), include_all=False)


def specialists(stream: Stream) -> Any:
    """The paper's ridges, under Hedge for specialists."""
    return _mix(stream, stream.groups, meta="hedge")


def random_groups(stream: Stream) -> Any:
    """The paper's with groups that have nothing to do with the rows."""
    return _mix(stream, _random(stream.groups, stream.seed))


def river_linear(stream: Stream) -> Any:
    """River's linear regression, at the best of its learning rates."""
    return _river(stream, stream.groups[:, :0])


def river_groupwise(stream: Stream) -> Any:
    """A linear regression of river's for each group, at the best of its learning rates."""
    return _river(stream, stream.groups)


def river_random(stream: Stream) -> Any:
    """The same with groups that have nothing to do with the rows."""
    return _river(stream, _random(stream.groups, stream.seed))


def grid(stream: Stream) -> Any:
    """One sleeping expert a group and model, over a grid that holds the true model."""
    import itertools

    import numpy as np

    from tractable.online.groupwise import grid_of_models

    width = stream.X.shape[1] - 1
    steps = np.array([-0.4, -0.2, 0.0, 0.2, 0.4]) / math.sqrt(width)
    models = [(0.5, *slopes) for slopes in itertools.product(steps, repeat=width)]
    return grid_of_models(stream.X, stream.y, stream.groups, models)


def _mix(stream: Stream, groups: Any, **options: Any) -> Any:
    from tractable.online.groupwise import GroupwiseRegressor

    return GroupwiseRegressor(groups.shape[1], **options).partial_fit(stream.X, stream.y, groups)


def _random(groups: Any, seed: int) -> Any:
    import numpy as np

    rng = np.random.default_rng(seed)
    return np.column_stack([rng.permutation(column) for column in groups.T])


def _river(stream: Stream, groups: Any) -> Any:
    import numpy as np
    from river import linear_model, optim

    from tractable.online.groupwise import GroupwiseRegressor

    rows: Any = [{j: float(row[j]) for j in np.flatnonzero(row)} for row in stream.X]
    runs = []
    for rate in RATES:
        learner = linear_model.LinearRegression(optimizer=optim.SGD(rate))
        model = GroupwiseRegressor(groups.shape[1], learner)
        runs.append((model.partial_fit(rows, stream.y, groups), model.cumulative_loss_[-1]))
    return min(runs, key=lambda run: run[1])[0]


# ---- metrics


def regret(output: Any, expected: Any, stream: Stream) -> float:
    """Loss beyond the best in hindsight, summed over large groups and everybody."""
    loss, rounds = _losses(output, stream)
    return float((loss - stream.best)[rounds >= LARGE].sum())


def worst_regret(output: Any, expected: Any, stream: Stream) -> float:
    """The largest regret of a group."""
    loss, _ = _losses(output, stream)
    return float((loss - stream.best).max())


def worst_regret_a_round(output: Any, expected: Any, stream: Stream) -> float:
    """The largest regret of a group over its rounds."""
    loss, rounds = _losses(output, stream)
    return float(((loss - stream.best) / rounds).max())


def worst_loss(output: Any, expected: Any, stream: Stream) -> float:
    """The largest ratio, over large groups, to the loss of one ridge for everybody."""
    loss, rounds = _losses(output, stream)
    plain, _ = _losses(expected, stream)
    return float((loss / plain)[rounds >= LARGE].max())


def share_of_bound(output: Any, expected: Any, stream: Stream) -> float:
    """Loss beyond the group's own learner over 2 √(T_g ln G), the largest of all groups."""
    import numpy as np

    loss, rounds = _losses(output, stream)
    return float(((loss - stream.own) / (2.0 * np.sqrt(rounds * math.log(len(loss))))).max())


def _losses(output: Any, stream: Stream) -> Any:
    members = _with_everybody(stream.groups)
    return members.T @ (output - stream.y) ** 2, members.sum(axis=0)


def _with_everybody(groups: Any) -> Any:
    import numpy as np

    return np.column_stack((groups, np.ones(len(groups), np.bool_)))


# ---- inputs


def _stream(X: Any, y: Any, groups: Any, rng: Any) -> tuple[Stream]:
    import numpy as np

    from tractable.online.groupwise import GroupwiseRegressor, group_regret

    best = group_regret(np.zeros(len(y)), X, y, groups).best
    model = GroupwiseRegressor(groups.shape[1])
    model.partial_fit(X, y, groups)
    return (Stream(X, y, groups, best, model.expert_loss_, int(rng.integers(2**31))),)


def _adult(rows: int, rng: Any, by_age: bool) -> tuple[Stream]:
    import numpy as np

    from tractable.online.groupwise.adult import load_adult

    adult = load_adult()
    order = rng.permutation(len(adult.labels))[:rows]
    if by_age:
        order = order[np.argsort(adult.ages[order], kind="stable")]
    groups = adult.groups[order]
    return _stream(adult.features[order], adult.labels[order], groups[:, groups.any(axis=0)], rng)


def _linear(rounds: int, leading: Any, rng: Any, features: int = 10) -> tuple[Any, Any]:
    """Rows and labels that follow the model of each row's leading group, up to noise."""
    import numpy as np

    X = np.column_stack((np.ones(rounds), rng.uniform(-1.0, 1.0, (rounds, features))))
    models = 0.11 * rng.standard_normal((leading.max() + 1, features + 1))
    models[:, 0] = 0.5
    labels = (X * models[leading]).sum(axis=1) + NOISE * rng.standard_normal(rounds)
    return X, np.clip(labels, 0.0, 1.0)


# ---- Adult

largest = (32_000, 32_000)
shuffled = Experiment(
    claim,
    "shuffled",
    sweep=Sweep("rows", 2_000, 32_000, points=3),
    needs=("numba", "xai"),
    criteria=(
        Level("regret", of="groupwise", over="ridge", at_most=0.7, within=largest),
        Level("worst loss", of="groupwise", at_most=1.0, within=largest),
        Level("regret", of="groupwise", over="one_hot", at_most=0.9, within=largest),
    ),
    guards=(Level("share of bound", of="groupwise", at_most=1.0),),
    rounds=20,
    short_rounds=3,
)


@shuffled.inputs
def shuffled_inputs(rows: int, rng: Any, device: str) -> tuple[Stream]:
    return _adult(rows, rng, by_age=False)


by_age = Experiment(
    claim,
    "sorted by age",
    sweep=Sweep("rows", 2_000, 32_000, points=3),
    needs=("numba", "xai"),
    criteria=(Level("regret", of="groupwise", over="ridge", at_most=0.9, within=largest),),
    guards=(Level("share of bound", of="groupwise", at_most=1.0),),
    rounds=20,
    short_rounds=3,
)


@by_age.inputs
def by_age_inputs(rows: int, rng: Any, device: str) -> tuple[Stream]:
    return _adult(rows, rng, by_age=True)


for on_adult in (shuffled, by_age):
    on_adult.method(groupwise)
    on_adult.baseline(ridge)
    on_adult.peer()(one_hot)
    on_adult.peer()(cells)
    on_adult.peer()(specialists)
    on_adult.knockout(random_groups)
    on_adult.metric(regret)
    on_adult.metric(worst_loss)
    on_adult.metric(share_of_bound)


# ---- labels linear in each of three shapes, while two colours only overlap

synthetic = Experiment(
    claim,
    "synthetic",
    sweep=Sweep("rounds", 1_000, 64_000, points=7),
    needs=("numba",),
    criteria=(
        Growth("worst regret a round", of="groupwise", over="ridge", at_most=-0.2),
        Level("worst regret a round", of="groupwise", at_most=0.002, within=(64_000, 64_000)),
        Level("worst regret a round", of="ridge", at_least=0.01),
        Level("worst regret a round", of="groupwise", over="one_hot", at_most=0.5),
    ),
    guards=(Level("share of bound", of="groupwise", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
synthetic.method(groupwise)
synthetic.baseline(ridge)
synthetic.peer()(one_hot)
synthetic.peer()(cells)
synthetic.peer()(specialists)
synthetic.knockout(random_groups)
synthetic.metric(worst_regret_a_round)
synthetic.metric(share_of_bound)


@synthetic.inputs
def synthetic_inputs(rounds: int, rng: Any, device: str) -> tuple[Stream]:
    import numpy as np

    shape, colour = rng.integers(0, 3, rounds), rng.integers(0, 2, rounds)
    groups = np.column_stack((shape[:, None] == np.arange(3), colour[:, None] == np.arange(2)))
    return _stream(*_linear(rounds, shape, rng), groups, rng)


# ---- many groups of half the rows each; labels follow the first one's model, or the others'

many = Experiment(
    claim,
    "groups",
    sweep=Sweep("groups", 2, 64, points=6),
    needs=("numba",),
    criteria=(
        Growth("operations", of="groupwise", at_most=1.3),
        Growth("worst regret", of="groupwise", at_most=0.6),
        Level("worst regret", of="groupwise", over="cells", at_most=0.5, within=(16, 64)),
        Level("worst regret", of="groupwise", over="ridge", at_most=0.5),
    ),
    guards=(Level("share of bound", of="groupwise", at_most=1.0),),
    rounds=20,
    short_rounds=5,
)
many.method(groupwise)
many.baseline(cells)
many.peer()(ridge)
many.peer()(one_hot)
many.peer()(specialists)
many.knockout(random_groups)
many.metric(worst_regret)
many.metric(share_of_bound)


@many.inputs
def many_inputs(groups: int, rng: Any, device: str) -> tuple[Stream]:
    members = rng.random((4_000, groups)) < 0.5
    return _stream(*_linear(4_000, 1 - members[:, 0], rng), members, rng)


# ---- against sleeping experts over every model

features = Experiment(
    claim,
    "features",
    sweep=Sweep("features", 1, 6, points=6, scale="linear"),
    criteria=(
        Growth("operations", of="groupwise", over="grid", at_most=-0.5),
        Level("worst regret a round", of="groupwise", over="ridge", at_most=0.5),
    ),
    guards=(Level("worst regret a round", of="groupwise", at_most=0.01),),
    rounds=20,
    short_rounds=3,
)
features.method(groupwise)
features.baseline(grid)
features.peer()(ridge)
features.knockout(random_groups)
features.metric(worst_regret_a_round)


@features.inputs
def features_inputs(features: int, rng: Any, device: str) -> tuple[Stream]:
    import numpy as np

    groups = rng.random((500, 2)) < 0.5
    X = np.column_stack((np.ones(500), rng.uniform(-1.0, 1.0, (500, features))))
    slopes = rng.choice([-0.4, -0.2, 0.2, 0.4], features) / math.sqrt(features)
    labels = 0.5 + np.where(groups[:, 0], 1.0, -1.0) * (X[:, 1:] @ slopes)
    return _stream(X, np.clip(labels, 0.0, 1.0), groups, rng)


# ---- shortest paths


def paths(traffic: Traffic) -> Any:
    """The paper's: a perturbed leader for each group and for everybody."""
    return _travel(traffic, traffic.groups)


def one_leader(traffic: Traffic) -> Any:
    """One perturbed leader, which knows of no groups."""
    return _travel(traffic, traffic.groups[:, :0])


def paths_of_random_groups(traffic: Traffic) -> Any:
    """The paper's with groups that have nothing to do with the costs."""
    return _travel(traffic, _random(traffic.groups, traffic.seed))


def _travel(traffic: Traffic, groups: Any) -> Any:
    """Return the cost of each round's path."""
    import numpy as np

    from tractable.online.groupwise import GroupwiseShortestPath

    planner = GroupwiseShortestPath(
        traffic.edges, (0, 0), (3, 3), groups.shape[1], longest=6, rng=traffic.seed
    )
    taken = np.zeros(len(groups))
    for t, (member, costs) in enumerate(zip(groups, traffic.costs, strict=True)):
        taken[t] = costs[planner.choose(member)].sum()
        planner.update(costs)
    return taken


def worst_path_regret(output: Any, expected: Any, traffic: Traffic) -> float:
    """The largest regret of a group, a round, to its best path in hindsight."""
    import numpy as np

    from tractable.online.groupwise import shortest_path

    find = shortest_path(traffic.edges, (0, 0), (3, 3))
    regrets = []
    for member in traffic.groups.T:
        sums = traffic.costs[member].sum(axis=0)
        regrets.append((output[member].sum() - sums[find(sums)].sum()) / member.sum())
    return float(np.max(regrets))


traffic = Experiment(
    claim,
    "paths",
    sweep=Sweep("rounds", 250, 4_000, points=5),
    criteria=(
        Growth("worst path regret", of="paths", over="one_leader", at_most=-0.2),
        Level("worst path regret", of="paths", over="one_leader", at_most=0.5, within=(4e3, 4e3)),
    ),
    rounds=10,
    short_rounds=5,
)
traffic.method(paths)
traffic.baseline(one_leader)
traffic.knockout(paths_of_random_groups)
traffic.metric(worst_path_regret)


@traffic.inputs
def traffic_inputs(rounds: int, rng: Any, device: str) -> tuple[Traffic]:
    import numpy as np

    nodes = [(i, j) for i in range(4) for j in range(4)]
    right = [((i, j), (i, j + 1)) for i, j in nodes if j < 3]
    down = [((i, j), (i + 1, j)) for i, j in nodes if i < 3]
    edges = right + down
    kind, other = rng.integers(0, 2, rounds), rng.random(rounds) < 0.5
    means = rng.random(len(edges))
    means = np.stack((means, 1.0 - means))  # what is quick for one kind is slow for the other
    costs = (rng.random((rounds, len(edges))) < means[kind]).astype(float)
    groups = np.column_stack((kind == 0, kind == 1, other))
    return (Traffic(edges, groups, costs, int(rng.integers(2**31))),)


# ---- somebody else's learner in each group

learners = Experiment(
    claim,
    "river",
    sweep=Sweep("rows", 1_000, 16_000, points=3),
    needs=("numba", "river", "xai"),
    criteria=(
        Level(
            "regret",
            of="river_groupwise",
            over="river_linear",
            at_most=0.9,
            within=(16_000, 16_000),
        ),
    ),
    rounds=20,
    short_rounds=3,
)
learners.method(river_groupwise)
learners.baseline(river_linear)
learners.knockout(river_random)
learners.metric(regret)


@learners.inputs
def learners_inputs(rows: int, rng: Any, device: str) -> tuple[Stream]:
    return _adult(rows, rng, by_age=False)
