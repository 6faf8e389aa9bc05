"""Rules, exactness, invariances and hostile tables."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tractable._core import RangeError, ShapeError
from tractable.stats import (
    Crossover,
    Estimate,
    Interval,
    association,
    combine,
    crossover,
    growth,
    judge,
    level,
    noise_floor,
    rule,
)

SIZES = 2.0 ** np.arange(6, 13)
KINDS = st.sampled_from(["clocked", "seeded", "counted"])
HOSTILE = st.one_of(
    st.floats(1e-9, 1e9), st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf])
)


def seconds(power=2.0, rounds=5, noise=0.05, seed=0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return sizes**power * np.exp(noise * rng.standard_normal((rounds, sizes.size)))


@pytest.mark.parametrize(
    ("low", "high", "at_most", "at_least"),
    [
        (1.0, 1.2, "agrees", "disagrees"),
        (1.4, 1.6, "undecided", "undecided"),
        (1.6, 1.7, "disagrees", "agrees"),
        (1.5, 1.5, "agrees", "agrees"),
        (1.5, 1.5 + 1e-12, "agrees", "agrees"),
        (math.nan, math.nan, "undecided", "undecided"),
        (-math.inf, math.inf, "undecided", "undecided"),
        (-math.inf, 1.0, "agrees", "disagrees"),
    ],
)
def test_rule_looks_at_the_worse_and_the_better_end(low, high, at_most, at_least):
    interval = Interval((low + high) / 2, low, high)
    assert rule(interval, at_most=1.5) == at_most
    assert rule(interval, at_least=1.5) == at_least


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1.0, "at_least": 1.0}, {"at_most": math.nan}])
def test_rule_and_judge_want_one_bound(bounds):
    with pytest.raises(RangeError, match="exactly one"):
        rule(Interval(1.0, 1.0, 1.0), **bounds)
    with pytest.raises(RangeError, match="exactly one"):
        judge(Estimate(), **bounds)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ([], "not run"),
        (["not run", "not run"], "not run"),
        (["agrees", "agrees"], "agrees"),
        (["agrees", "not run"], "undecided"),
        (["agrees", "undecided"], "undecided"),
        (["undecided", "not run", "disagrees"], "disagrees"),
    ],
)
def test_combine(words, verdict):
    assert combine(words) == verdict


def test_a_level_is_met_by_all_sizes_and_refuted_by_any():
    good, bad, unsure = Interval(0.5, 0.4, 0.6), Interval(2.0, 1.9, 2.1), Interval(1.0, 0.8, 1.2)
    assert judge(Estimate((good, good)), at_most=0.9).word == "agrees"
    assert judge(Estimate((good, unsure)), at_most=0.9).interval == unsure
    assert judge(Estimate((good, bad, None)), at_most=0.9).word == "disagrees"
    assert judge(Estimate((good, bad, unsure)), at_most=0.9).interval == bad
    assert judge(Estimate((good, None)), at_most=0.9).reason == "not measured at every size"
    assert judge(Estimate((None, None)), at_most=0.9).word == "not run"
    assert judge(Estimate((bad,), reason="fixed cost"), at_most=0.9).word == "undecided"


def test_noise_leaves_everything_undecided_but_what_did_not_run():
    estimate = Estimate((Interval(0.5, 0.4, 0.6),))
    assert judge(estimate, at_most=0.9, noise=0.16).reason == "noisy"
    assert judge(estimate, at_least=0.9, noise=0.16).word == "undecided"
    assert judge(estimate, at_most=0.9, noise=0.14).word == "agrees"
    assert judge(Estimate(), at_most=0.9, noise=0.16).word == "not run"


def test_noise_floor_is_the_pooled_spread():
    rng = np.random.default_rng(0)
    table = np.arange(2000.0) + 0.1 * rng.standard_normal((5, 2000))
    assert noise_floor(table) == pytest.approx(0.1, rel=0.05)
    assert math.isnan(noise_floor(table[:1]))
    table[1:, ::2] = np.nan
    assert noise_floor(table) == pytest.approx(0.1, rel=0.05)


def test_counts_that_agree_are_exact():
    reads = np.tile(3 * SIZES**2, (3, 1))
    (interval,) = growth(SIZES, reads, kind="counted").intervals
    assert interval.low == interval.high == pytest.approx(2.0)
    assert judge(growth(SIZES, reads, kind="counted"), at_most=2.0).word == "agrees"
    ratios = level(reads, 3 * reads, kind="counted").intervals
    for each in ratios:
        assert (each.low, each.point, each.high) == pytest.approx((1 / 3,) * 3, rel=1e-12)
    assert judge(level(reads, reads, kind="counted"), at_most=1.0).word == "agrees"


def test_counts_that_differ_once_are_not_exact():
    reads = np.tile(SIZES**2, (3, 1))
    reads[0, 0] += 100
    (interval,) = growth(SIZES, reads, kind="counted").intervals
    assert interval.low < interval.high
    assert any(each.low < each.high for each in level(reads, kind="counted").intervals)


def test_one_round_of_counts_proves_nothing():
    once = SIZES[None] ** 2
    assert judge(growth(SIZES, once, kind="counted"), at_most=3.0).reason == "one round"
    assert judge(level(once, kind="counted"), at_least=1.0).reason == "one round"
    ruling = judge(growth(SIZES, once, kind="clocked"), at_most=3.0)
    assert (ruling.word, ruling.reason) == ("undecided", "one round")
    assert ruling.interval.point == pytest.approx(2.0)
    assert ruling.interval.high == math.inf


def test_a_pure_fixed_cost_is_said_to_be_one():
    flat = np.ones((5, 7)) * np.exp(0.05 * np.random.default_rng(0).standard_normal((5, 7)))
    ruling = judge(growth(SIZES, flat, kind="clocked"), at_most=0.5)
    assert (ruling.word, ruling.reason) == ("undecided", "fixed cost")
    # It matters in the denominator as well, and not at all for counts and regret.
    assert growth(SIZES, seconds(), flat, kind="clocked").reason == "fixed cost"
    assert judge(growth(SIZES, flat, kind="seeded"), at_most=0.5).word == "agrees"


def test_growth_names_the_sizes_that_it_rests_on():
    sizes = 2.0 ** np.arange(6, 15)
    table = seconds(sizes=sizes, noise=0.01) + 10 * sizes[0] ** 2
    kept = growth(sizes, table, kind="clocked").sizes
    assert kept == tuple(sizes[3:])


def test_a_censored_size_is_ignored_by_growth_and_not_met_by_levels():
    table = seconds()
    for hole in (math.nan, math.inf):
        short = table.copy()
        short[:, -1] = hole
        assert growth(SIZES, short, kind="clocked") == growth(
            SIZES[:-1], table[:, :-1], kind="clocked"
        )
        assert level(short, kind="clocked").intervals[-1] is None
        ruling = judge(level(short, kind="clocked"), at_most=1e9)
        assert (ruling.word, ruling.reason) == ("undecided", "not measured at every size")


def test_one_run_that_never_ends_leaves_its_size_out_and_one_missing_run_does_not():
    table = np.full((5, 3), 2.0)
    table[0, 0], table[0, 1] = math.inf, math.nan
    intervals = level(table, kind="seeded").intervals
    assert intervals == (None, Interval(2.0, 2.0, 2.0), Interval(2.0, 2.0, 2.0))


def test_paired_log_ratios_go_before_the_ratio_of_medians():
    of, over = seconds(2.0), seconds(1.0, seed=1)
    paired = np.log(SIZES) * 0.5 + 0.01 * np.random.default_rng(2).standard_normal((5, 7))
    estimate = growth(SIZES, of, over, log_ratio=paired, kind="clocked")
    assert estimate.intervals[0].point == pytest.approx(0.5, abs=0.05)
    intervals = level(of, over, log_ratio=paired, kind="clocked").intervals
    assert intervals[0].point == pytest.approx(8.0, rel=0.05)


def test_a_bare_direction_takes_the_wider_interval():
    table = seconds()
    for usual, bare in zip(
        level(table, kind="clocked").intervals,
        level(table, kind="clocked", bare_direction=True).intervals,
        strict=True,
    ):
        assert bare.low < usual.low < usual.point == bare.point < usual.high < bare.high


def test_denominators_of_zero():
    zero, one = np.zeros((4, 3)), np.ones((4, 3))
    for kind in ("seeded", "counted"):
        ruling = judge(level(one, zero, kind=kind), at_most=1.0)
        assert (ruling.word, ruling.reason) == ("undecided", "undefined ratio")
        sizes = np.array([1.0, 10.0, 100.0])
        assert growth(sizes, one, zero, kind=kind).reason == "undefined ratio"
    now_and_then = np.array([[2.0], [3.0], [0.0], [3.0], [2.5], [2.0], [3.0], [2.0]])
    estimate = level(0.5 * now_and_then, now_and_then, kind="seeded")
    assert estimate.note == judge(estimate, at_most=0.9).reason == "ratio of means"
    assert estimate.intervals[0].high == pytest.approx(0.5, abs=1e-6)
    assert judge(level(zero, one, kind="seeded"), at_most=0.0).word == "agrees"
    holes = np.where([True, True, False], np.tile(now_and_then, 3), math.nan)
    estimate = level(holes, np.tile(now_and_then, 3), kind="seeded")
    assert estimate.note == "ratio of means"
    assert estimate.intervals[2] is None


@pytest.mark.parametrize(("kind", "count"), [("clocked", 4), ("seeded", 2), ("counted", 2)])
def test_too_few_sizes(kind, count):
    estimate = growth(SIZES[:count], seconds()[:, :count], kind=kind)
    assert judge(estimate, at_most=9.0).reason == "too few sizes"


def test_seeded_growth_wants_a_factor_of_ten_on_a_log_axis_only():
    sizes = np.array([10.0, 20.0, 40.0])
    table = seconds(sizes=sizes)
    assert growth(sizes, table, kind="seeded").reason == "too few sizes"
    assert growth(sizes, table, kind="seeded", axis="linear").reason == ""


@settings(max_examples=30, deadline=None)
@given(
    factor=st.floats(1e-6, 1e6),
    stretch=st.floats(1e-3, 1e3),
    kind=KINDS,
    seed=st.integers(0, 50),
)
def test_units_leave_growth_unchanged(factor, stretch, kind, seed):
    table = seconds(power=1.5, seed=seed)
    (plain,) = growth(SIZES, table, kind=kind).intervals
    (scaled,) = growth(stretch * SIZES, factor * table, kind=kind).intervals
    assert scaled.point == pytest.approx(plain.point)
    assert (scaled.low, scaled.high) == pytest.approx((plain.low, plain.high))


@settings(max_examples=30, deadline=None)
@given(power=st.floats(-0.4, 2.0), seed=st.integers(0, 50))
def test_dividing_by_an_exact_power_takes_it_off_the_slope(power, seed):
    table = seconds(power=1.5, seed=seed)
    over = np.tile(SIZES**power, (5, 1))
    (plain,) = growth(SIZES, table, kind="seeded").intervals
    (divided,) = growth(SIZES, table, over, kind="seeded").intervals
    assert divided.point == pytest.approx(plain.point - power)
    assert divided.high - divided.low == pytest.approx(plain.high - plain.low)


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(1e-6, 1e6), seed=st.integers(0, 50))
def test_levels_scale_and_invert(factor, seed):
    of, over = seconds(1.5, seed=seed), seconds(2.0, seed=seed + 100)
    one = level(of, over, kind="clocked").intervals
    scaled = level(factor * of, over, kind="clocked").intervals
    inverse = level(over, of, kind="clocked").intervals
    paired = level(of, over, log_ratio=np.log(of / over), kind="clocked").intervals
    for a, b, c, d in zip(one, scaled, inverse, paired, strict=True):
        assert (d.low, d.high) == pytest.approx((a.low, a.high))
        assert (b.low, b.high) == pytest.approx((factor * a.low, factor * a.high))
        assert (c.low, c.high) == pytest.approx((1 / a.high, 1 / a.low))


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(5)))
def test_levels_and_noise_do_not_depend_on_the_order_of_rounds(order):
    table = seconds()
    shuffled = table[list(order)]
    for one, other in zip(
        level(table, kind="clocked").intervals,
        level(shuffled, kind="clocked").intervals,
        strict=True,
    ):
        assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert noise_floor(np.log(table)) == pytest.approx(noise_floor(np.log(shuffled)))


def test_the_same_rows_give_the_same_interval():
    table = seconds()
    assert growth(SIZES, table, kind="clocked") == growth(SIZES, table, kind="clocked")
    assert growth(SIZES, table, kind="clocked", rng=1) != growth(SIZES, table, kind="clocked")


def ratio(cross, rounds=5, slope=-0.8, seed=0):
    noise = 0.03 * np.random.default_rng(seed).standard_normal((rounds, SIZES.size))
    return slope * np.log(SIZES / cross) + noise


def test_crossover_knows_both_directions_and_one_sided_cases():
    found = crossover(SIZES, ratio(500))
    assert found.cheaper == "above"
    assert found.low <= 500 <= found.high
    mirrored = crossover(SIZES, -ratio(500))
    assert (mirrored.cheaper, mirrored.point) == ("below", pytest.approx(found.point))
    assert str(crossover(SIZES, ratio(5))) == "below 64"
    assert str(crossover(SIZES, ratio(1e6))) == "above 4,096"
    assert crossover(SIZES, ratio(SIZES[0])) is None  # the smallest size is not decided
    assert crossover(SIZES, ratio(500, rounds=1)) is None
    assert crossover(SIZES, ratio(500) * np.nan) is None
    assert crossover(SIZES[:2], ratio(500)[:, :2]) is None
    assert str(Crossover(1000.0, 0.0, 2000.0, "above")) == "below 2,000"


def test_crossover_is_not_shown_where_an_end_is_undecided():
    assert crossover(SIZES, ratio(SIZES[0] * 1.02, slope=-0.5)) is None
    assert crossover(SIZES, ratio(SIZES[-1] / 1.02, slope=-0.5)) is None


def test_crossover_is_one_sided_where_resamples_reach_past_the_last_size():
    noise = 0.3 * np.random.default_rng(0).standard_normal((40, 10, 7))
    found = [crossover(SIZES, 0.4 * np.log(2500 / SIZES) + each) for each in noise]
    shown = [each for each in found if each is not None]
    reaching = [each for each in shown if math.isinf(each.high)]
    assert 0 < len(reaching) < len(shown)
    assert all(str(each) == f"above {each.low:,.0f}" for each in reaching)
    assert all(each.low <= each.point <= SIZES[-1] for each in shown)


@settings(max_examples=30, deadline=None)
@given(stretch=st.floats(0.1, 10))
def test_crossovers_move_with_the_unit_of_size(stretch):
    plain, moved = crossover(SIZES, ratio(500)), crossover(stretch * SIZES, ratio(500))
    assert moved.point == pytest.approx(stretch * plain.point)
    assert (moved.low, moved.high) == pytest.approx((stretch * plain.low, stretch * plain.high))


def test_association_is_about_ranks():
    x = np.arange(12.0)
    y = np.exp(x) * np.exp(0.8 * np.random.default_rng(0).standard_normal((5, 12)))
    estimate = association(x, y)
    assert association(x**3, np.log(y)).intervals[0].point == pytest.approx(
        estimate.intervals[0].point
    )
    assert judge(estimate, at_least=0.5).word == "agrees"
    (turned,) = association(-x, y).intervals
    assert turned.point == pytest.approx(-estimate.intervals[0].point)
    censored = y.copy()
    censored[:, -1] = math.inf
    assert association(x, censored).intervals[0].point == estimate.intervals[0].point


def test_association_is_less_sure_where_seeds_differ():
    x = np.arange(12.0)
    y = x + 3 * np.random.default_rng(0).standard_normal((5, 12))
    (noisy,), (settled,) = (
        association(x, each).intervals for each in (y, np.median(y, axis=0)[None])
    )
    assert noisy.low < settled.low < settled.high < noisy.high


def test_association_agrees_with_scipy():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 15).astype(float), rng.integers(0, 5, (1, 15)).astype(float)
    assert association(x, y).intervals[0].point == pytest.approx(spearmanr(x, y[0]).statistic)


def test_association_without_enough_to_rank():
    x = np.arange(6.0)
    assert association(x, np.ones((3, 6))).reason == "constant values"
    assert association(x[:4], np.ones((3, 4))).reason == "too few instances"
    assert judge(association(x, np.full((3, 6), np.nan)), at_least=0.5).word == "not run"
    (perfect,) = association(x, x[None]).intervals
    assert perfect.point == perfect.high == 1.0
    assert 0.5 < perfect.low < 0.9  # six instances in perfect order are no certainty


@settings(max_examples=30, deadline=None)
@given(data=st.data(), kind=KINDS, divided=st.booleans(), paired=st.booleans())
def test_hostile_tables_are_judged_without_warnings(data, kind, divided, paired):
    shape = (data.draw(st.integers(0, 4)), data.draw(st.integers(1, 7)))
    draw = lambda: data.draw(arrays(np.float64, shape, elements=HOSTILE))  # noqa: E731
    of = draw()
    over = draw() if divided else None
    log_ratio = (
        data.draw(arrays(np.float64, shape, elements=st.floats(-20, 20))) if paired else None
    )
    sizes = np.arange(1.0, shape[1] + 1) ** 2
    estimates = [
        growth(sizes, of, over, log_ratio=log_ratio, kind=kind),
        level(of, over, log_ratio=log_ratio, kind=kind),
        association(sizes, of),
    ]
    for estimate in estimates:
        word = judge(estimate, at_most=1.0).word
        assert word in ("agrees", "disagrees", "undecided", "not run")
        if shape[0] == 0 or np.isnan(of).all():
            assert word == "not run"
        for interval in estimate.intervals:
            assert interval is None or not interval.low > interval.high
    crossover(sizes, of)
    noise_floor(of)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_a_table_is_refused():
    table = seconds()
    refused = pytest.raises((ShapeError, RangeError), match="wanted")
    for call in (
        lambda: growth(SIZES[:3], table, kind="clocked"),
        lambda: growth(SIZES[::-1], table, kind="clocked"),
        lambda: growth(SIZES - SIZES[0], table, kind="clocked"),
        lambda: growth(SIZES, table, table[:, :3], kind="clocked"),
        lambda: growth(SIZES, table, kind="guessed"),
        lambda: growth(SIZES, table, kind="clocked", axis="cubic"),
        lambda: level(table[0], kind="clocked"),
        lambda: level(table, kind="guessed"),
        lambda: crossover(SIZES[:3], table),
        lambda: association(SIZES[:3], table),
    ):
        with refused:
            call()
