import importlib
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tractable
from tractable._core import (
    DataError,
    DTypeError,
    RangeError,
    ShapeError,
    SlowPathWarning,
)
from tractable.online import tallying_bandit
from tractable.online.tallying_bandit import (
    EXP3,
    UCB1,
    BatchedEXP3,
    BurnInSuccessiveElimination,
    DoublingBurnIn,
    PlainSuccessiveElimination,
    WeightedTallyingBandit,
    _rivals,
    complete_policy_regret,
    habituation,
    learning_curves,
    lower_bound,
    lower_bound_instance,
    optimal_sequence,
    reference,
    step_at_full_exposure,
    unimodal,
)
from tractable.online.tallying_bandit._exact import best_cycle_mean

WEIGHTS = {
    "ring": lambda memory: np.full(memory, 0.5),
    "recursive": lambda memory: 2.0 * 0.8 ** np.arange(memory),
    "general": lambda memory: 1.0 + np.arange(memory) % 3,
}


def recipes(most_arms=4, most_memory=9):
    return st.tuples(
        st.integers(1, most_arms),
        st.integers(1, most_memory),
        st.sampled_from(sorted(WEIGHTS)),
        st.integers(1, 5),
        st.integers(0, 2**32),
    )


def build(recipe):
    arms, memory, kind, knots, seed = recipe
    table = np.random.default_rng(seed).random((arms, knots))
    return WeightedTallyingBandit(table, memory, weights=WEIGHTS[kind](memory), noise=0.0)


def ten_arms(memory=50, rng=0, **options):
    losses = habituation(np.linspace(0.2, 0.6, 10), np.linspace(0.7, 0.1, 10))
    weights = 0.98 ** np.arange(memory)
    return WeightedTallyingBandit(losses, memory, weights=weights, rng=rng, **options)


# ---- the environment


@given(recipes(), st.lists(st.integers(0, 3), max_size=60))
def test_every_way_to_play_agrees_with_the_formula(recipe, drawn):
    bandit = build(recipe)
    actions = np.array([arm % bandit.n_arms for arm in drawn], dtype=np.int64)
    expected = reference(bandit, actions)
    np.testing.assert_allclose(bandit.expected_losses(actions), expected, atol=1e-9)
    stepped = [bandit.step(int(arm)) for arm in actions]
    np.testing.assert_allclose(stepped, expected, atol=1e-9)
    assert bandit.time == len(actions)
    assert bandit.expected_loss == pytest.approx(expected.sum(), abs=1e-9)
    np.testing.assert_array_equal(bandit.state, actions[-bandit.memory :])


@given(
    recipes(),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 25), st.booleans()), max_size=8),
)
def test_runs_and_steps_mix(recipe, pieces):
    bandit = build(recipe)
    actions, totals = [], []
    for drawn, plays, stepwise in pieces:
        arm = drawn % bandit.n_arms
        actions += [arm] * plays
        if stepwise:
            totals.append(sum(bandit.step(arm) for _ in range(plays)))
        else:
            totals.append(plays * bandit.play_run(arm, plays))
    losses = reference(bandit, actions)
    ends = np.cumsum([plays for _, plays, _ in pieces], dtype=int)
    expected = [part.sum() for part in np.split(losses, ends)[:-1]]
    np.testing.assert_allclose(totals, expected, atol=1e-9)
    assert bandit.regret >= -1e-9


@given(recipes(), st.integers(0, 20), st.integers(1, 30), st.randoms(use_true_random=False))
def test_cycles_agree_with_the_formula(recipe, before, rounds, random):
    bandit = build(recipe)
    arms = random.sample(range(bandit.n_arms), random.randint(1, bandit.n_arms))
    first = [random.randrange(bandit.n_arms) for _ in range(before)]
    for arm in first:
        bandit.step(arm)
    means = bandit.play_cycle(arms, rounds)
    losses = reference(bandit, first + arms * rounds)[before:].reshape(rounds, -1)
    np.testing.assert_allclose(means, losses.mean(axis=0), atol=1e-9)
    follow = random.randrange(bandit.n_arms)
    again = reference(bandit, [*first, *arms * rounds, follow])[-1]
    assert bandit.step(follow) == pytest.approx(again, abs=1e-9)


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
def test_tally_implementations_agree(kind):
    rng = np.random.default_rng(3)
    weights = WEIGHTS[kind](40)
    fast, naive = (
        WeightedTallyingBandit(rng.random((3, 1)), 40, weights=weights, tally=tally)
        for tally in (kind, "general")
    )
    for arm in rng.integers(0, 3, 2000):
        fast._window.push(int(arm)), naive._window.push(int(arm))
    np.testing.assert_allclose(fast.tallies(), naive.tallies(), rtol=1e-9)
    ours = [fast._window.push(int(arm)) for arm in rng.integers(0, 3, 500)]
    rng = np.random.default_rng(3)
    rng.random((3, 1)), rng.random((3, 1)), rng.integers(0, 3, 2000)
    theirs = [naive._window.push(int(arm)) for arm in rng.integers(0, 3, 500)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
def test_a_full_memory_gives_the_saturated_loss(kind):
    bandit = WeightedTallyingBandit(
        habituation([0.2, 0.3], [0.7, 0.1]), 12, weights=WEIGHTS[kind](12), noise=0.0
    )
    bandit.play_run(1, 5)
    bandit.play_run(0, 12)
    assert bandit.play_run(0, 7) == pytest.approx(0.2, abs=1e-12)
    assert bandit.step(0) == pytest.approx(0.2, abs=1e-12)
    np.testing.assert_allclose(bandit.saturated_losses(), [0.2, 0.3])
    assert bandit.best_fixed() == 0


def test_memory_of_one_is_an_ordinary_bandit():
    bandit = WeightedTallyingBandit([[0.9, 0.1], [0.3, 0.7]], 1, noise=0.2, rng=5)
    noise = np.random.default_rng(5)
    for arm in np.random.default_rng(1).integers(0, 2, 200):
        ordinary = [0.1, 0.7][arm] + 0.2 * noise.standard_normal()
        assert bandit.step(int(arm)) == pytest.approx(ordinary, abs=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "bernoulli"])
def test_the_noise_of_a_runs_mean_is_right(kind):
    bandit = WeightedTallyingBandit([[0.8, 0.3]], 10, noise=0.5, noise_kind=kind, rng=0)
    means = []
    for _ in range(4000):
        bandit.reset()
        means.append(bandit.play_run(0, 25))
    losses = reference(bandit, [0] * 25)
    variance = 0.25 / 25 if kind == "gaussian" else (losses * (1 - losses)).sum() / 25**2
    assert np.mean(means) == pytest.approx(losses.mean(), abs=4 * np.sqrt(variance / 4000))
    assert np.var(means) == pytest.approx(variance, rel=0.1)


def test_bernoulli_cycles_and_steps_have_the_right_mean():
    bandit = WeightedTallyingBandit(
        [[0.8, 0.3], [0.5, 0.5]], 4, noise_kind="bernoulli", rng=np.random.default_rng(2)
    )
    losses = bandit.expected_losses([0, 1] * 20_000).reshape(-1, 2)
    np.testing.assert_allclose(bandit.play_cycle([0, 1], 20_000), losses.mean(axis=0), atol=0.02)
    steps = [bandit.step(1) for _ in range(2000)]
    assert set(steps) == {0.0, 1.0}
    assert np.mean(steps) == pytest.approx(0.5, abs=0.05)


def test_functions_and_tables_are_the_same_environment():
    weights = 0.9 ** np.arange(20)
    table = habituation([0.2, 0.5], [0.6, 0.2])
    curves = [lambda share: 0.8 - 0.6 * share, lambda share: 0.7 - 0.2 * share]
    actions = np.random.default_rng(0).integers(0, 2, 300)
    one, two = (WeightedTallyingBandit(form, 20, weights=weights) for form in (table, curves))
    np.testing.assert_allclose(one.expected_losses(actions), two.expected_losses(actions))
    assert one.floor == pytest.approx(two.floor)


# ---- exact answers


@settings(max_examples=30)
@given(recipes(most_arms=3, most_memory=4), st.integers(1, 5))
def test_best_sequence_is_the_best_of_all(recipe, horizon):
    bandit = build(recipe)
    every = itertools.product(range(bandit.n_arms), repeat=horizon)
    least = min(bandit.expected_losses(np.array(actions)).sum() for actions in every)
    actions, loss = optimal_sequence(bandit, horizon)
    assert loss == pytest.approx(least, abs=1e-9)
    assert reference(bandit, actions).sum() == pytest.approx(least, abs=1e-9)
    assert complete_policy_regret(bandit, actions) == pytest.approx(0.0, abs=1e-9)
    assert loss >= horizon * bandit.floor - 1e-9


def test_under_repeated_exposure_the_best_sequence_is_near_the_floor():
    bandit = WeightedTallyingBandit(habituation([0.1, 0.4], [0.6, 0.2]), 6)
    assert bandit.is_reo()
    actions, loss = optimal_sequence(bandit, 200)
    assert set(actions[6:-6]) == {0}
    assert 200 * bandit.floor <= loss <= 200 * bandit.floor + bandit.memory
    played = np.zeros(200, dtype=int)
    floor = complete_policy_regret(bandit, played, comparator="floor")
    exact = complete_policy_regret(bandit, played, comparator="sequence")
    assert -1e-9 <= exact <= floor + 1e-9 <= exact + bandit.memory


def test_repeated_exposure_fails_where_alternating_is_better():
    tired = WeightedTallyingBandit([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], 2)  # twice running hurts
    assert not tired.is_reo()
    assert best_cycle_mean(tired) == pytest.approx(0.0, abs=1e-12)
    lucky = WeightedTallyingBandit([[0.0, 0.9, 0.3], [0.0, 0.9, 0.4]], 2, weights=[0.0, 1.0])
    mean = best_cycle_mean(lucky)
    assert mean == pytest.approx(optimal_sequence(lucky, 2000)[1] / 2000, abs=2e-3)


@settings(max_examples=20)
@given(recipes(most_arms=3, most_memory=4))
def test_best_cycle_is_the_long_run_of_the_best_sequence(recipe):
    bandit = build(recipe)
    mean = best_cycle_mean(bandit)
    assert mean == pytest.approx(optimal_sequence(bandit, 800)[1] / 800, abs=2 * 4 / 800)
    best = bandit.saturated_losses().min()
    assert bandit.is_reo() == (mean >= best - 1e-9)


def test_best_sequence_refuses_more_than_tiny_sizes():
    bandit = ten_arms(memory=200)
    with pytest.raises(RangeError, match="too many histories"):
        optimal_sequence(bandit, 10)
    assert best_cycle_mean(bandit) is None
    assert complete_policy_regret(bandit, [0, 0]) > 0.0
    assert complete_policy_regret(bandit, np.array([], dtype=int)) == 0.0


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_lower_bound_is_what_the_best_plan_reaches(memory):
    """Before the first 0 is seen a learner only follows a plan; afterwards it stays."""
    horizon = 3 * memory
    instances = [lower_bound_instance(2, memory, good) for good in range(2)]
    least = np.inf
    for plan in itertools.product(range(2), repeat=horizon):
        losses = []
        for bandit in instances:
            seen = bandit.expected_losses(np.array(plan)) == 0.0
            losses.append(int(np.argmax(seen)) if seen.any() else horizon)
        least = min(least, np.mean(losses) - (memory - 1))
    assert least == pytest.approx(lower_bound(2, memory))


# ---- learners

LEARNERS = {
    "burn-in": lambda horizon, rng: BurnInSuccessiveElimination(10, horizon, 30, rng=rng),
    "pool": lambda horizon, rng: BurnInSuccessiveElimination(
        10, horizon, 30, sigma=0.3, pool=True, rng=rng
    ),
    "doubling": lambda horizon, rng: DoublingBurnIn(10, horizon, sigma=0.1, rng=rng),
    "plain": lambda horizon, rng: PlainSuccessiveElimination(10, horizon, sigma=0.3, rng=rng),
    "batched": lambda horizon, rng: BatchedEXP3(10, horizon, rng=rng),
}


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_running_is_stepping(name):
    horizon = 7001
    bandit = ten_arms(memory=15, noise=0.0)
    trace = LEARNERS[name](horizon, 4).run(bandit)
    assert trace.steps[-1] == horizon
    assert np.all(np.diff(trace.steps) > 0)
    learner = LEARNERS[name](horizon, 4)
    bandit.reset()
    regret = []
    for _ in range(horizon):
        learner.observe(bandit.step(learner.next()))
        regret.append(bandit.regret)
    np.testing.assert_allclose(trace.regret, np.array(regret)[trace.steps - 1], atol=1e-6)


@pytest.mark.parametrize("noise_kind", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("kind", sorted(WEIGHTS))
@pytest.mark.parametrize("rival", [UCB1, EXP3])
def test_the_compiled_loop_is_stepping(rival, kind, noise_kind):
    pytest.importorskip("numba")
    horizon = 3000
    table = np.random.default_rng(8).random((4, 6))

    def bandit():
        return WeightedTallyingBandit(
            table, 11, weights=WEIGHTS[kind](11), noise_kind=noise_kind, rng=1
        )

    trace = rival(4, horizon, rng=2).run(bandit())
    learner, slow, regret = rival(4, horizon, rng=2), bandit(), []
    for _ in range(horizon):
        learner.observe(slow.step(learner.next()))
        regret.append(slow.regret)
    np.testing.assert_allclose(trace.regret, np.array(regret)[trace.steps - 1], atol=1e-6)


def test_without_numba_the_same_result_comes_slowly(monkeypatch):
    pytest.importorskip("numba")
    fast = UCB1(10, 2000, rng=2).run(ten_arms())
    monkeypatch.setattr(_rivals.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(_rivals, "_warned", set())
    with pytest.warns(SlowPathWarning, match=r"tractable\[jit\]"):
        slow = UCB1(10, 2000, rng=2).run(ten_arms())
    np.testing.assert_allclose(slow.regret, fast.regret, atol=1e-6)
    UCB1(10, 10, rng=2).run(ten_arms())  # warned already


@pytest.mark.parametrize("pool", [False, True])
def test_burn_in_finds_the_slow_starter(pool):
    horizon = 100_000
    for seed in range(3):
        learner = BurnInSuccessiveElimination(10, horizon, 100, sigma=0.25, pool=pool, rng=seed)
        trace = learner.run(ten_arms(rng=seed))
        assert learner.active == (0,)
        assert 0.0 < trace.final < 0.1 * horizon
        counted = trace.counters["burn-in pulls"]
        most = trace.counters["epochs"] * 10 * 100
        assert 0 < counted < most  # runs that go on with the same arm need none
        repeated = BurnInSuccessiveElimination(10, horizon, 100, sigma=0.25, pool=pool, rng=seed)
        assert repeated.run(ten_arms(rng=seed)).final == trace.final


def test_in_turn_the_slow_starter_is_lost():
    learner = PlainSuccessiveElimination(10, 100_000, sigma=0.25, rng=0)
    assert learner.run(ten_arms()).final > 0.3 * 100_000
    assert 0 not in learner.active


def test_burn_in_matters_where_arms_hide():
    instances = [lower_bound_instance(3, 1000, 1, lure=0.5, rng=0) for _ in range(2)]
    told = BurnInSuccessiveElimination(4, 200_000, 1000, sigma=0.25, rng=0)
    hasty = BurnInSuccessiveElimination(4, 200_000, 1, sigma=0.25, rng=0)
    final = told.run(instances[0]).final
    assert lower_bound(3, 1000) <= final < 0.2 * hasty.run(instances[1]).final
    assert told.active == (1,)
    assert hasty.active == (3,)


def test_doubling_finds_out_that_the_memory_is_longer():
    learner = DoublingBurnIn(10, 200_000, sigma=0.05, rng=0)
    trace = learner.run(ten_arms(memory=200, noise=0.05))
    assert learner.active == (0,)
    assert learner.memory_bound > 1
    assert trace.counters["restarts"] >= 1


def test_renaming_arms_renames_what_is_kept():
    names = np.random.default_rng(0).permutation(10)
    table = habituation(np.linspace(0.2, 0.6, 10), np.linspace(0.7, 0.1, 10))
    kept = []
    for losses in (table, table[names]):
        bandit = WeightedTallyingBandit(losses, 20, noise=0.0)
        learner = BurnInSuccessiveElimination(10, 5000, 20, sigma=0.25, rng=0)
        learner.run(bandit)
        kept.append(set(learner.active))
    assert kept[0] == {int(names[arm]) for arm in kept[1]}


def test_ties_and_single_arms():
    bandit = WeightedTallyingBandit(np.full((3, 2), 0.5), 5, noise=0.0)
    learner = BurnInSuccessiveElimination(3, 2000, 5, sigma=0.25, rng=0)
    assert learner.run(bandit).final == pytest.approx(0.0, abs=1e-9)
    assert learner.active == (0, 1, 2)
    alone = WeightedTallyingBandit([[0.9, 0.1]], 5, noise=0.0)
    for rival in (
        BurnInSuccessiveElimination(1, 50, 5),
        PlainSuccessiveElimination(1, 50),
        DoublingBurnIn(1, 50),
        UCB1(1, 50),
        EXP3(1, 50),
        BatchedEXP3(1, 50),
    ):
        assert rival.run(alone).steps[-1] == 50
        assert alone.expected_loss == pytest.approx(reference(alone, [0] * 50).sum())


def test_pulls_are_counted():
    with tractable.count() as cost:
        for learner in LEARNERS.values():
            learner(500, 0).run(ten_arms(memory=5))
        UCB1(10, 500, rng=0).run(ten_arms())
    assert cost["pulls"] == 500 * (len(LEARNERS) + 1)


def test_a_long_horizon_is_played_in_closed_form():
    learner = BurnInSuccessiveElimination(10, 10**7, 100, sigma=0.25, rng=0)
    trace = learner.run(ten_arms())
    assert len(trace.steps) < 1000
    assert trace.final < 10**5


def test_a_short_horizon_is_warned_about():
    with pytest.warns(UserWarning, match="says nothing here"):
        learner = BurnInSuccessiveElimination(10, 99, 10, rng=0)
    assert learner.run(ten_arms(memory=5)).steps[-1] == 99


# ---- losses, refusals, gymnasium


def test_families_of_losses():
    assert unimodal([0.2], [0.5])[0, [0, 128, 256]] == pytest.approx([0.2, 0.7, 0.2])
    curve = learning_curves([0.1, 0.1], [1.0, 9.0])
    assert curve[:, 0] == pytest.approx([1.0, 1.0])
    assert curve[:, -1] == pytest.approx([0.1, 0.1])
    assert np.all(curve[1, 1:-1] < curve[0, 1:-1])
    step = WeightedTallyingBandit(step_at_full_exposure([0.3]), 4, weights=0.5 ** np.arange(4))
    assert step.expected_losses([0] * 5) == pytest.approx([1, 1, 1, 0.3, 0.3])
    with pytest.raises(ShapeError, match="one an arm each"):
        habituation([0.1, 0.2], [0.1])
    with pytest.raises(RangeError, match="above zero"):
        learning_curves([0.1], [0.0])


REFUSALS = {
    "no memory": (RangeError, lambda: WeightedTallyingBandit([[0.5]], 0)),
    "memory no integer": (DTypeError, lambda: WeightedTallyingBandit([[0.5]], 2.5)),
    "no arms": (ShapeError, lambda: WeightedTallyingBandit(np.zeros((0, 3)), 2)),
    "one axis": (ShapeError, lambda: WeightedTallyingBandit([0.5, 0.4], 2)),
    "loss above 1": (RangeError, lambda: WeightedTallyingBandit([[0.5, 1.5]], 2)),
    "NaN": (DataError, lambda: WeightedTallyingBandit([[0.5, np.nan]], 2)),
    "text": (DTypeError, lambda: WeightedTallyingBandit([["a", "b"]], 2)),
    "mixed": (DTypeError, lambda: WeightedTallyingBandit([lambda z: z, 1.0], 2)),
    "curve above 1": (RangeError, lambda: WeightedTallyingBandit([lambda z: 2 * z], 2)),
    "curve NaN": (DataError, lambda: WeightedTallyingBandit([lambda z: z * np.nan], 2)),
    "negative weight": (
        RangeError,
        lambda: WeightedTallyingBandit([[0.5]], 2, weights=[1.0, -1.0]),
    ),
    "weights zero": (RangeError, lambda: WeightedTallyingBandit([[0.5]], 1, weights=[0.0])),
    "weights short": (ShapeError, lambda: WeightedTallyingBandit([[0.5]], 2, weights=[1.0])),
    "noise below 0": (RangeError, lambda: WeightedTallyingBandit([[0.5]], 2, noise=-1.0)),
    "noise kind": (RangeError, lambda: WeightedTallyingBandit([[0.5]], 2, noise_kind="x")),
    "tally": (
        RangeError,
        lambda: WeightedTallyingBandit([[0.5]], 2, weights=[1.0, 3.0], tally="ring"),
    ),
    "no such arm": (RangeError, lambda: ten_arms().step(10)),
    "no such action": (RangeError, lambda: ten_arms().expected_losses([0, 10])),
    "no plays": (RangeError, lambda: ten_arms().play_run(0, 0)),
    "cycle twice": (RangeError, lambda: ten_arms().play_cycle([0, 0], 3)),
    "no bound": (RangeError, lambda: BurnInSuccessiveElimination(2, 100, 0)),
    "no arm": (RangeError, lambda: BurnInSuccessiveElimination(0, 100, 1)),
    "no horizon": (RangeError, lambda: UCB1(2, 0)),
    "delta": (RangeError, lambda: BurnInSuccessiveElimination(2, 100, 1, delta=1.0)),
    "scale": (RangeError, lambda: BurnInSuccessiveElimination(2, 100, 1, scale=0.0)),
    "rate": (RangeError, lambda: EXP3(2, 100, rate=0.0)),
    "batch": (RangeError, lambda: BatchedEXP3(2, 100, batch=0)),
    "rng": (DTypeError, lambda: UCB1(2, 100, rng="seed")),
    "comparator": (RangeError, lambda: complete_policy_regret(ten_arms(), [0], comparator="x")),
    "good arm": (RangeError, lambda: lower_bound_instance(2, 3, 2)),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refuses_with_a_reason(name):
    error, call = REFUSALS[name]
    with pytest.raises(error) as caught:
        call()
    assert len(str(caught.value)) > 20


def test_odd_but_fair_input():
    table = np.asfortranarray(np.tile([[0.9, 0.1, 0.5]], (4, 1)))[::2, ::-1]
    bandit = WeightedTallyingBandit(table, 3, weights=[0, 1, 2])
    np.testing.assert_allclose(
        bandit.expected_losses([0, 0, 1, 0]), reference(bandit, [0, 0, 1, 0]), atol=1e-12
    )
    whole = WeightedTallyingBandit([[1, 0], [0, 1]], 2, noise=0)
    assert whole.step(1) == 0.5


def test_gymnasium_takes_the_environment():
    gymnasium = pytest.importorskip("gymnasium")
    checker = importlib.import_module("gymnasium.utils.env_checker")
    gym = importlib.import_module(tallying_bandit.__name__ + ".gym")
    env = gym.TallyingEnv(ten_arms(), horizon=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not within the environment registry.*")
        warnings.filterwarnings("ignore", message=".*render.*")
        checker.check_env(env, skip_render_check=True)
    assert isinstance(env, gymnasium.Env)
    env.reset(seed=1)
    total, truncated = 0.0, False
    while not truncated:
        _, reward, terminated, truncated, info = env.step(3)
        total += reward
        assert not terminated
    assert env.bandit.time == 20
    assert info["regret"] == pytest.approx(env.bandit.regret)
