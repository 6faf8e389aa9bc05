"""The maximizer against all small sets; oracles against formulas; hostile input."""

import math

import numpy as np
import pytest
from estimators import check_estimator
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import numpy_only

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms import submodular
from tractable.algorithms.submodular import (
    CallableOracle,
    CoverageOracle,
    DynamicSubmodularMaximizer,
    FacilityLocationOracle,
    LogDetOracle,
    SieveStreaming,
    greedy,
    lazy_greedy,
    reference,
    stochastic_greedy,
)

KINDS = ("sets", "weighted sets", "facilities", "determinant", "callable", "modular")


def make(kind, size, seed):
    """An oracle with repeats, ties and worthless elements among its elements."""
    rng = np.random.default_rng(seed)
    lists = [rng.integers(0, 12, rng.integers(0, 6)).tolist() for _ in range(size)]
    lists[size // 2] = lists[0]
    if kind == "sets":
        return CoverageOracle.from_sets(lists, np.ones(12))
    if kind == "weighted sets":
        return CoverageOracle.from_sets(lists, rng.pareto(1.0, 12))
    if kind == "facilities":
        return FacilityLocationOracle(rng.standard_normal((size, 7)))
    if kind == "determinant":
        points = rng.standard_normal((size, 3))
        return LogDetOracle(points @ points.T, 0.5)
    if kind == "callable":
        return CallableOracle(lambda s: len(set().union(*(lists[e] for e in s))), size)
    worth = rng.integers(0, 9, size)
    return CallableOracle(lambda s: float(sum(worth[e] for e in s)), size)


# The maximizer.


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=12, deadline=None)
def test_half_of_the_best_after_every_update(kind, seed, data):
    size = data.draw(st.integers(1, 12))
    k = data.draw(st.integers(1, 4))
    epsilon = data.draw(st.sampled_from([0.1, 0.2, 0.5]))
    oracle = make(kind, size, seed)
    ours = DynamicSubmodularMaximizer(oracle, k, epsilon, rng=0)
    alive = set()
    for element in data.draw(st.lists(st.integers(0, size - 1), max_size=30)):
        (ours.delete if element in alive else ours.insert)(element)
        alive ^= {element}
        check_state(ours, alive)
        best = oracle.value(reference(oracle, sorted(alive), k))
        # Buckets this small are taken element by element, so that chance plays no part.
        assert ours.value() >= (0.5 - 2 * epsilon) * best - 1e-9


def check_state(ours, alive):
    """Invariants of the whole and of each guess that is up to date."""
    solution = ours.solution()
    assert set(solution.tolist()) <= alive
    assert solution.size <= ours.k
    assert ours.n_alive == len(alive)
    assert ours.value() == pytest.approx(ours.oracle.value(solution), abs=1e-9)
    for guess in ours._active:
        check_copy(ours._copies[guess])


def check_copy(copy):
    assert not copy.behind
    oracle, known, levels = copy.oracle, copy.known, copy.levels
    chosen = [number for level in levels for number in level.sample]
    assert len(chosen) == len(set(chosen)) <= copy.rules.k
    for i, level in enumerate(levels):
        held = copy._held(i)
        assert level.size == len(held)
        assert level.size <= copy.rules.growth * level.built
        assert level.bucket <= held
        assert level.lost <= copy.rules.tolerance * level.bucket_built
        state = levels[i - 1].state if i else oracle.empty()
        if held:
            gains = oracle.gains(state, known.elements_of(held))
            assert gains.min() >= copy.tau * (1 - 1e-9)
    if levels and levels[-1].total < copy.rules.k:
        everyone = copy._held(0) | copy.loose
        gains = oracle.gains(levels[-1].state, known.elements_of(everyone))
        assert gains.max(initial=0.0) < copy.tau


@pytest.mark.parametrize("kind", ["sets", "facilities"])
def test_long_streams_keep_their_value_and_invariants(kind):
    rng = np.random.default_rng(1)
    size, window, k = 300, 100, 8
    if kind == "sets":
        oracle = CoverageOracle.from_sets([rng.integers(0, 200, 8).tolist() for _ in range(size)])
    else:
        oracle = FacilityLocationOracle(rng.random((size, 40)) ** 4)
    ours = DynamicSubmodularMaximizer(oracle, k, rng=2)
    ratios = []
    for step in range(size):
        gone = [step - window] if step >= window else []
        ours.update(insert=[step], delete=gone)
        if step % 20 == 19:
            alive = set(range(max(0, step + 1 - window), step + 1))
            check_state(ours, alive)
            ratios.append(ours.value() / oracle.value(lazy_greedy(oracle, sorted(alive), k)))
    assert min(ratios) >= 0.5
    assert np.median(ratios) >= 0.8
    stats = ours.stats
    assert stats.rebuilds > 0
    assert stats.copies >= stats.active > 0
    assert stats.levels > 0


def test_modular_functions_get_half_of_the_largest_sum():
    rng = np.random.default_rng(3)
    worth = rng.pareto(1.0, 500)
    oracle = CoverageOracle(np.arange(501), np.arange(500), worth)
    ours = DynamicSubmodularMaximizer(oracle, 10, rng=0)
    ours.update(insert=rng.permutation(500))
    top = np.sort(worth)[-10:].sum()
    assert ours.value() >= 0.3 * top


def test_everything_leaves_and_comes_back():
    oracle = make("weighted sets", 40, 4)
    ours = DynamicSubmodularMaximizer(oracle, 5, rng=0)
    for _ in range(3):
        ours.update(insert=range(40))
        assert ours.value() > 0
        ours.update(insert=[3, 4], delete=[4, 3])
        ours.update(delete=range(40))
        assert (ours.n_alive, ours.value(), ours.solution().size) == (0, 0.0, 0)
        assert ours.stats.copies == 0


def test_a_giant_comes_and_goes():
    # While it is there, all other guesses wait; then they carry out what they missed.
    lists = [[i, i + 1] for i in range(100)] + [list(range(5000))]
    oracle = CoverageOracle.from_sets(lists)
    ours = DynamicSubmodularMaximizer(oracle, 4, rng=0)
    for step in range(100):
        ours.insert(step)
        if step % 10 == 3:
            ours.insert(100)
            assert ours.solution().tolist() == [100]
            assert ours.value() == 5000
        if step % 10 == 7:
            ours.delete(100)
            check_state(ours, set(range(step + 1)))
            assert ours.value() >= min(4, step // 2)
    assert ours.n_alive == 100


def test_same_seed_same_answers_and_calls():
    answers = []
    for _ in range(2):
        oracle = make("facilities", 200, 5)
        ours = DynamicSubmodularMaximizer(oracle, 8, rng=7)
        trace = []
        for element in range(200):
            ours.insert(element)
            if element % 3 == 2:
                ours.delete(element - 1)
            trace.append(ours.solution().tolist())
        answers.append((trace, oracle.calls))
    assert answers[0] == answers[1]


def test_calls_are_evaluations():
    asked = []
    lists = [{e % 30, e % 7, e % 11} for e in range(120)]

    def function(chosen):
        asked.append(chosen)
        return len(set().union(*(lists[e] for e in chosen)))

    with tractable.count() as cost:
        oracle = CallableOracle(function, 120)
        ours = DynamicSubmodularMaximizer(oracle, 10, rng=0)
        for element in range(120):
            ours.insert(element)
        ours.update(delete=range(0, 120, 2))
    assert oracle.calls == cost["oracle queries"] == len(asked)
    assert ours.stats.calls == oracle.calls - 1  # the empty set, when the oracle was made
    # A compiled oracle counts the same for the same stream.
    twin = CoverageOracle.from_sets(lists)
    other = DynamicSubmodularMaximizer(twin, 10, rng=0)
    for element in range(120):
        other.insert(element)
    other.update(delete=range(0, 120, 2))
    assert other.solution().tolist() == ours.solution().tolist()
    assert twin.calls == oracle.calls - 1


def test_few_calls_on_a_long_stream():
    rng = np.random.default_rng(6)
    oracle = FacilityLocationOracle(rng.random((3000, 20)) ** 3)
    ours = DynamicSubmodularMaximizer(oracle, 10, rng=0)
    ours.update(insert=range(2000))
    before = oracle.calls
    for step in range(2000, 2300):
        ours.update(insert=[step], delete=[step - 2000])
    assert (oracle.calls - before) / 600 < 400  # a selection from scratch asks 2,000 and more


def test_samples_are_not_built_again_for_each_death():
    calls = {}
    for sampled in (True, False):
        rng = np.random.default_rng(8)
        sets = [rng.integers(0, 4000, 12).tolist() for _ in range(1500)]
        oracle = CoverageOracle.from_sets(sets)
        ours = DynamicSubmodularMaximizer(oracle, 150, rng=0)
        ours._rules = ours._rules._replace(sampled=sampled)
        ours.update(insert=range(1500))
        before = oracle.calls
        for element in rng.permutation(1500)[:150].tolist():
            ours.delete(element)
        calls[sampled] = oracle.calls - before
    assert calls[True] < 0.6 * calls[False]


@pytest.mark.parametrize("worth", [1e-300, 1.0, 1e300])
def test_scale_does_not_matter(worth):
    rng = np.random.default_rng(9)
    matrix = rng.random((60, 5))
    plain = DynamicSubmodularMaximizer(FacilityLocationOracle(matrix), 6, rng=0)
    scaled = DynamicSubmodularMaximizer(FacilityLocationOracle(matrix * worth), 6, rng=0)
    for ours in (plain, scaled):
        ours.update(insert=range(60))
        ours.update(delete=range(20))
    assert scaled.value() >= 0.7 * worth * plain.value()


def test_more_room_than_elements_and_worthless_ones():
    ours = DynamicSubmodularMaximizer(CoverageOracle.from_sets([{0}, {1}, set()]), 100, rng=0)
    ours.update(insert=[0, 1, 2])
    assert ours.solution().tolist() == [0, 1]
    nothing = DynamicSubmodularMaximizer(CoverageOracle.from_sets([set(), set()]), 2, rng=0)
    nothing.update(insert=[0, 1])
    assert (nothing.value(), nothing.solution().tolist()) == (0.0, [])
    nothing.delete(0)
    assert nothing.n_alive == 1


def test_duplicates_are_chosen_once():
    oracle = FacilityLocationOracle(np.tile(np.random.default_rng(0).random(9), (50, 1)))
    ours = DynamicSubmodularMaximizer(oracle, 5, rng=0)
    ours.update(insert=range(50))
    assert ours.solution().size == 1
    for element in range(49):
        ours.delete(element)
        assert ours.value() == pytest.approx(oracle.value([49]))


def test_updates_are_all_or_nothing(unchecked):
    oracle = make("sets", 10, 0)
    ours = DynamicSubmodularMaximizer(oracle, 3, rng=0)
    ours.update(insert=[1, 2])
    for insert, delete, words in (
        ([3, 1], [], "there already"),
        ([3], [4], "not there"),
        ([3, 3], [], "twice"),
        ([], [1, 1], "twice"),
    ):
        with pytest.raises(DataError, match=words):
            ours.update(insert=insert, delete=delete)
        assert ours.n_alive == 2
    ours.update()
    for bad, error in (
        ([10], RangeError),
        ([-1], RangeError),
        ([0.5], DTypeError),
        ([True], DTypeError),
        ([[3]], ShapeError),
        ([math.nan], DTypeError),
        ("ab", DTypeError),
    ):
        with pytest.raises(error):
            ours.update(insert=bad)
        with pytest.raises(error):
            ours.update(delete=bad)
    ours.update(insert=np.arange(20, dtype=np.uint8)[6:10][::2])
    assert ours.n_alive == 4


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, RangeError),
        ({"k": 2.5}, DTypeError),
        ({"k": True}, DTypeError),
        ({"epsilon": 0.0}, RangeError),
        ({"epsilon": 0.6}, RangeError),
        ({"epsilon": math.nan}, RangeError),
        ({"epsilon": "a"}, DTypeError),
        ({"n_trials": 0}, RangeError),
        ({"rebuild_ratio": 1.0}, RangeError),
        ({"rebuild_ratio": 0.5}, RangeError),
        ({"rng": 1.5}, DTypeError),
    ],
)
def test_refuses_bad_parameters(unchecked, options, error):
    with pytest.raises(error):
        DynamicSubmodularMaximizer(make("sets", 4, 0), **{"k": 2, **options})


def test_a_function_that_is_not_monotone_is_noticed(unchecked):
    falling = CallableOracle(lambda chosen: -len(chosen), 3)
    ours = DynamicSubmodularMaximizer(falling, 2, rng=0)
    with pytest.raises(DataError, match="monotone"):
        ours.insert(0)
    assert ours.n_alive == 0
    with pytest.raises(DataError, match="nan"):
        CallableOracle(lambda chosen: math.nan, 3)
    with pytest.raises(DataError, match="no number"):
        CallableOracle(lambda chosen: None, 3)
    with pytest.raises(DTypeError, match="call"):
        CallableOracle(7, 3)


# Oracles.


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=15, deadline=None)
def test_gains_are_differences_of_values(kind, seed, data):
    size = data.draw(st.integers(1, 9))
    oracle = make(kind, size, seed)
    chosen = data.draw(st.lists(st.integers(0, size - 1), unique=True))
    state = oracle.empty()
    if chosen:
        oracle.add(state, chosen)
    kept = oracle.copy(state)
    gains = oracle.gains(state, np.arange(size))
    for element in range(size):
        wanted = oracle.value([*chosen, element]) - oracle.value(chosen)
        assert gains[element] == pytest.approx(wanted, abs=1e-9)
        assert oracle.gain(state, element) == pytest.approx(wanted, abs=1e-9)
    assert gains[chosen].tolist() == pytest.approx([0.0] * len(chosen))
    extra = data.draw(st.integers(0, size - 1))
    oracle.add(state, extra)
    np.testing.assert_allclose(oracle.gains(kept, np.arange(size)), gains, atol=1e-12)
    # Submodular and monotone: gains fall, never below 0.
    later = oracle.gains(state, np.arange(size))
    assert (later <= gains + 1e-9).all()
    assert later.min() >= 0.0


def test_oracles_are_their_formulas():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((8, 5))
    chosen = [1, 4, 6]
    facilities = FacilityLocationOracle(matrix)
    wanted = np.maximum(matrix[chosen].max(axis=0), 0).sum()
    assert facilities.value(chosen) == pytest.approx(wanted)
    kernel = matrix @ matrix.T
    sign, logarithm = np.linalg.slogdet(np.eye(3) + kernel[np.ix_(chosen, chosen)] / 0.09)
    assert sign == 1
    assert LogDetOracle(kernel, 0.3).value(chosen) == pytest.approx(logarithm)
    many = LogDetOracle(np.eye(40), 1.0)  # more than a state first has room for
    assert many.value(range(40)) == pytest.approx(40 * math.log(2))


@pytest.mark.parametrize("kind", KINDS)
def test_calls_count_sets_whose_value_was_unknown(kind):
    oracle = make(kind, 9, 0)
    start = oracle.calls
    state = oracle.empty()
    oracle.gains(state, [0, 1, 2])
    oracle.add(state, 1)
    assert oracle.calls - start == 3
    oracle.add(state, [2, 3])
    assert oracle.calls - start == 4
    oracle.value([4, 5])
    assert oracle.calls - start == 5
    oracle.gains(state, [])
    assert oracle.calls - start == 5


def test_a_callable_is_not_asked_twice_nor_uncounted():
    oracle = CallableOracle(len, 5)
    state = oracle.empty()
    oracle.add(state, 3)  # nobody asked for its gain
    assert oracle.calls == 2
    assert oracle.gains(state, [3, 4]).tolist() == [0.0, 1.0]


def test_odd_layouts_and_types_are_taken():
    matrix = np.arange(24, dtype=np.int16).reshape(4, 6)[::-1, ::2]
    matrix.flags.writeable = False
    oracle = FacilityLocationOracle(matrix)
    assert oracle.value(np.array([0, 3], np.uint8)) == matrix[[0, 3]].max(axis=0).sum()
    indptr = np.array([0, 9, 2, 9, 4], np.int32)[::2]
    indices = np.array([1, 7, 1, 7, 0, 7, 2, 7], np.uint16)[::2]
    covered = CoverageOracle(indptr, indices, np.array([1, 2, 4], np.float32))
    assert covered.gains(covered.empty(), range(2)).tolist() == [2.0, 5.0]
    kernel = np.asfortranarray(np.eye(3, dtype=np.float32))
    assert LogDetOracle(kernel).value([0]) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: CoverageOracle([0, 2], [0]), ShapeError),
        (lambda: CoverageOracle([1, 1], [0]), ShapeError),
        (lambda: CoverageOracle([0, 2, 1, 2], [0, 1]), ShapeError),
        (lambda: CoverageOracle(np.zeros(0, int), []), ShapeError),
        (lambda: CoverageOracle([0, 1], [-1]), RangeError),
        (lambda: CoverageOracle([0, 1], [0.5]), DTypeError),
        (lambda: CoverageOracle([0, 1], [3], [1.0]), RangeError),
        (lambda: CoverageOracle([0, 1], [0], [-1.0]), DataError),
        (lambda: CoverageOracle([0, 1], [0], [np.nan]), DataError),
        (lambda: FacilityLocationOracle([[np.inf]]), DataError),
        (lambda: FacilityLocationOracle([1.0]), ShapeError),
        (lambda: FacilityLocationOracle(np.zeros((0, 3))), ShapeError),
        (lambda: FacilityLocationOracle([[True]]), DTypeError),
        (lambda: FacilityLocationOracle([["a"]]), DTypeError),
        (lambda: LogDetOracle([[1.0, 2.0]]), ShapeError),
        (lambda: LogDetOracle([[1.0, 2.0], [0.0, 1.0]]), DataError),
        (lambda: LogDetOracle([[-1.0]]), DataError),
        (lambda: LogDetOracle([[np.nan]]), DataError),
        (lambda: LogDetOracle([[1.0]], 0.0), RangeError),
        (lambda: LogDetOracle([[1.0]], np.inf), RangeError),
        (lambda: CallableOracle(len, -1), RangeError),
        (lambda: FacilityLocationOracle([[1.0]]).value([1]), RangeError),
        (lambda: FacilityLocationOracle([[1.0]]).value([0.0]), DTypeError),
    ],
)
def test_oracles_refuse(unchecked, build, error):
    with pytest.raises(error):
        build()


def test_without_numba():
    fast = [make(kind, 9, 3) for kind in ("weighted sets", "facilities")]
    every = np.arange(9)
    wanted = []
    for oracle in fast:
        state = oracle.empty()
        first = oracle.gains(state, every)
        oracle.add(state, [2, 5])
        wanted.append((first, oracle.gains(state, every[::-1]), oracle.value([1, 2, 8])))
    with numpy_only(submodular):
        for oracle, (first, second, value) in zip(fast, wanted, strict=True):
            state = oracle.empty()
            np.testing.assert_allclose(oracle.gains(state, every), first)
            oracle.add(state, [2, 5])
            np.testing.assert_allclose(oracle.gains(state, every[::-1]), second)
            assert oracle.value([1, 2, 8]) == pytest.approx(value)


# Selections from scratch.


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 9), k=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_selections_keep_their_promises(kind, seed, size, k):
    oracle = make(kind, size, seed)
    every = np.arange(size)
    best = oracle.value(reference(oracle, every, k))
    plain, quick = greedy(oracle, every, k), lazy_greedy(oracle, every, k)
    assert oracle.value(plain) >= (1 - 1 / math.e) * best - 1e-9
    assert oracle.value(quick) >= (1 - 1 / math.e) * best - 1e-9
    singles = oracle.gains(oracle.empty(), every)
    known = lazy_greedy(oracle, every, k, singletons=singles)
    assert known.tolist() == quick.tolist()
    tried = stochastic_greedy(oracle, every, k, epsilon=1e-9, rng=0)
    assert oracle.value(tried) >= (1 - 1 / math.e) * best - 1e-9
    for chosen in (plain, quick, tried):
        assert chosen.size == np.unique(chosen).size <= k
    sieve = SieveStreaming(oracle, k, 0.1)
    for element in every.tolist():
        sieve.insert(element)
    assert sieve.value() >= 0.4 * best - 1e-9
    for element in range(size // 2):
        sieve.delete(element)
    left = oracle.value(reference(oracle, every[size // 2 :], k))
    assert sieve.value() >= 0.4 * left - 1e-9
    assert set(sieve.solution().tolist()) <= set(range(size // 2, size))
    assert sieve.value() == pytest.approx(oracle.value(sieve.solution()))


def test_selections_take_nothing_and_refuse_repeats(unchecked):
    oracle = make("sets", 6, 0)
    for select in (greedy, lazy_greedy, stochastic_greedy, reference):
        assert select(oracle, [], 2).tolist() == []
        with pytest.raises(DataError, match="repeats"):
            select(oracle, [1, 1], 2)
        with pytest.raises(RangeError):
            select(oracle, [1], 0)
        with pytest.raises(RangeError):
            select(oracle, [99], 1)
        with pytest.raises(DTypeError):
            select(oracle, [0.5], 1)
    with pytest.raises(RangeError):
        stochastic_greedy(oracle, [1], 1, epsilon=1.0)
    sieve = SieveStreaming(oracle, 2)
    assert (sieve.value(), sieve.solution().tolist()) == (0.0, [])
    sieve.insert(1)
    with pytest.raises(DataError):
        sieve.insert(1)
    with pytest.raises(DataError):
        sieve.delete(2)
    with pytest.raises(RangeError):
        SieveStreaming(oracle, 0)


def test_lazy_greedy_is_greedy_for_fewer_calls():
    rng = np.random.default_rng(1)
    oracle = FacilityLocationOracle(rng.random((300, 30)) ** 5)
    chosen, calls = [], []
    for select in (greedy, lazy_greedy):
        before = oracle.calls
        chosen.append(select(oracle, np.arange(300), 10).tolist())
        calls.append(oracle.calls - before)
    assert chosen[0] == chosen[1]
    assert calls[1] < calls[0] / 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_apricot():
    apricot = pytest.importorskip("apricot")
    rng = np.random.default_rng(2)
    similarity = rng.random((80, 80))
    similarity = similarity + similarity.T
    model = apricot.FacilityLocationSelection(6, metric="precomputed", optimizer="lazy")
    theirs = model.fit(similarity).ranking
    oracle = FacilityLocationOracle(similarity)
    assert greedy(oracle, np.arange(80), 6).tolist() == theirs.tolist()
    ours = DynamicSubmodularMaximizer(oracle, 6, rng=0)
    ours.update(insert=range(80))
    assert ours.value() >= 0.8 * oracle.value(theirs)


# The summariser of a stream.


def test_summary_follows_its_window():
    sklearn = pytest.importorskip("tractable.algorithms.submodular.sklearn")
    rng = np.random.default_rng(0)
    summary = sklearn.StreamSummarizer(6, window=100, random_state=0)
    rows = rng.normal(size=(350, 3)) + np.arange(350)[:, None] / 20
    for start in range(0, 350, 35):
        summary.partial_fit(rows[start : start + 35])
        assert 0 < summary.indices_.size <= 6
        assert summary.indices_.min() >= summary.n_seen_ - 100
        np.testing.assert_array_equal(summary.items_, rows[summary.indices_])
    assert len(summary._oracle._data) < 400
    live = rows[-100:]
    squares = ((live[:, None] - live) ** 2).sum(axis=2)
    oracle = LogDetOracle(np.exp(-summary._oracle.gamma * squares), 0.5)
    assert summary.value_ == pytest.approx(oracle.value(summary.indices_ - 250))
    assert summary.value_ >= 0.8 * oracle.value(greedy(oracle, range(100), 6))
    assert summary.transform(rows[:2]).shape == (2, summary.indices_.size)
    gone = summary.indices_.copy()
    summary.forget(gone)
    assert not set(gone.tolist()) & set(summary.indices_.tolist())
    with pytest.raises(DataError, match="row 0"):
        summary.forget([0])
    summary.forget(sorted(summary._alive))
    assert summary.transform(rows[:2]).shape == (2, 0)
    summary.partial_fit(rows[:150])  # more than a window at once, after nothing was left
    assert summary.indices_.min() > 350
    np.testing.assert_array_equal(summary.items_, rows[summary.indices_ - 350])


def test_summary_refuses_and_takes_constants():
    sklearn = pytest.importorskip("tractable.algorithms.submodular.sklearn")
    constant = np.ones((20, 2))
    assert sklearn.StreamSummarizer(3, random_state=0).fit(constant).items_.shape[1] == 2
    for options in ({"window": 0}, {"gamma": 0.0}, {"sigma": -1.0}, {"epsilon": 2.0}):
        with pytest.raises(RangeError):
            sklearn.StreamSummarizer(3, **options).fit(constant)
    with pytest.raises(ValueError, match="NaN"):
        sklearn.StreamSummarizer(3).fit([[np.nan]])


def test_summary_is_an_estimator(unchecked):
    sklearn = pytest.importorskip("tractable.algorithms.submodular.sklearn")
    check_estimator(sklearn.StreamSummarizer(5))
