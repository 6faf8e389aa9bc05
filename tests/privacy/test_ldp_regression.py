"""Clients, mechanisms, servers: definitions, closed forms, an audit of epsilon, hostile input."""

import math
import warnings

import numpy as np
import pytest
from estimators import check_estimator
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.privacy.ldp_regression import (
    GaussianLaw,
    GradientProtocol,
    HardThresholdingServer,
    NoiseDominatesWarning,
    PublicRows,
    Report,
    StatisticsProtocol,
    SystemEntropy,
    add_reports,
    duchi_radius,
    gaussian_delta,
    gaussian_scale,
    group_sizes,
    hard_threshold,
    privatize_gradient,
    privatize_statistics,
    reference,
    simulate_gaussian_gradients,
    simulate_gaussian_reports,
    simulate_gradients,
    simulate_reports,
    soft_threshold,
    sparse_regression,
    summarize_public,
)
from tractable.privacy.ldp_regression._client import clip_rows
from tractable.privacy.ldp_regression._mechanisms import duchi
from tractable.privacy.ldp_regression._protocol import grid_of

PROTOCOL = StatisticsProtocol(1.0, 1e-5, x_bound=2.0, y_bound=1.5)
PUBLIC = StatisticsProtocol(1.0, 1e-5, x_bound=2.0, y_bound=1.5, public_covariance=True)
GRADIENT = GradientProtocol(1.0, x_bound=2.0, y_bound=1.5)
seeds = st.integers(0, 2**32)
budgets = st.floats(0.05, 20.0)


def quiet(total, protocol, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseDominatesWarning)
        return sparse_regression(total, protocol, **options)


def in_ball(rng, count, d, radius):
    """Vectors of norm up to the radius, most of them on it."""
    v = rng.standard_normal((count, d))
    length = radius * np.where(rng.random(count) < 0.7, 1.0, rng.random(count))
    return v / np.linalg.norm(v, axis=1, keepdims=True) * length[:, None]


# Mechanisms.


@given(distance=st.floats(0.01, 8.0), epsilon=st.floats(0.0, 10.0))
@settings(max_examples=60)
def test_delta_is_the_integral(distance, epsilon):
    def excess(t):
        return max(stats.norm.pdf(t, distance) - math.exp(epsilon) * stats.norm.pdf(t), 0.0)

    edge = distance / 2 + epsilon / distance  # from here on the first density wins
    wanted = quad(excess, edge, edge + 15, epsabs=1e-14)[0]
    assert gaussian_delta(distance, 1.0, epsilon) == pytest.approx(wanted, rel=1e-5, abs=1e-12)


@given(epsilon=budgets, delta=st.floats(1e-12, 0.5), sensitivity=st.floats(1e-3, 1e3))
@settings(max_examples=60)
def test_scale_is_the_least_that_suffices(epsilon, delta, sensitivity):
    scale = gaussian_scale(sensitivity, epsilon, delta)
    assert gaussian_delta(sensitivity, scale, epsilon) <= delta
    assert gaussian_delta(sensitivity, scale * (1 - 1e-6), epsilon) > delta
    classical = sensitivity * math.sqrt(2 * math.log(1.25 / delta)) / epsilon
    assert epsilon > 1 or scale <= classical


def test_classical_noise_is_too_small_above_one():
    scale = math.sqrt(2 * math.log(1.25 / 0.1)) / 10
    assert gaussian_delta(1.0, scale, 10.0) > 0.1 / 2  # why the exact analysis is used
    assert gaussian_delta(0.0, 1.0, 1.0) == 0.0


@given(w=st.floats(0.05, 0.95), d=st.integers(1, 4), seed=seeds, y_bound=st.floats(0.1, 5.0))
@settings(max_examples=60)
def test_no_pair_of_people_differs_more_than_was_priced(w, d, seed, y_bound):
    """Whitened distance of the statistics of random and extreme pairs against the budget."""
    rng = np.random.default_rng(seed)
    least = 1 / gaussian_scale(1.0, 1.0, 1e-5)
    x, other = in_ball(rng, 400, d, 2.0), in_ball(rng, 400, d, 2.0)
    other[:50] = -x[:50]
    y, y_other = rng.choice([-1, 1, 0.3], (2, 400)) * y_bound
    S = x[:, :, None] * x[:, None, :] - other[:, :, None] * other[:, None, :]
    c = x * y[:, None] - other * y_other[:, None]
    upper = np.triu_indices(d)
    for accounting in ("joint", "split"):
        for layout in ("symmetrised", "upper"):
            protocol = StatisticsProtocol(1.0, 1e-5, 2.0, y_bound, w, accounting, layout)
            scales = protocol.scales(d)
            off = math.sqrt(0.5) if layout == "symmetrised" else 1.0
            sd = scales.covariance * np.where(upper[0] == upper[1], 1.0, off)
            matrix = ((S[:, upper[0], upper[1]] / sd) ** 2).sum(axis=1)
            vector = ((c / scales.moment) ** 2).sum(axis=1)
            if accounting == "joint":
                assert np.sqrt(matrix + vector).max() <= least * (1 + 1e-9)
            else:
                first = 1 / gaussian_scale(1.0, w, w * 1e-5)
                second = 1 / gaussian_scale(1.0, 1 - w, (1 - w) * 1e-5)
                assert math.sqrt(matrix.max()) <= first * (1 + 1e-9)
                assert math.sqrt(vector.max()) <= second * (1 + 1e-9)


@pytest.mark.parametrize("w", [0.1, 0.2, 0.5, 0.9])
def test_the_worst_pair_uses_the_whole_budget(w):
    scales = StatisticsProtocol(1.0, 1e-5, 2.0, 1.5, split=w).scales(2)
    worst = 0.0
    for angle in np.linspace(0, math.pi, 2001):
        x, other = np.array([2.0, 0.0]), 2 * np.array([math.cos(angle), math.sin(angle)])
        S = np.outer(x, x) - np.outer(other, other)
        distance = (S**2).sum() / scales.covariance**2
        distance += ((1.5 * (x - other)) ** 2).sum() / scales.moment**2
        worst = max(worst, distance)
    assert math.sqrt(worst) * gaussian_scale(1.0, 1.0, 1e-5) == pytest.approx(1.0, abs=1e-4)


def test_opposite_gradients_use_the_whole_budget():
    """The two people that differ most: one on either side of the model, at full residuals."""
    from tractable.privacy.ldp_regression._client import clipped_gradients

    protocol = GradientProtocol(1.0, 2.0, 1.5, "gaussian", 1e-5)
    x, w = np.array([[9.0, 0.0], [9.0, 0.0]]), np.array([1.0, 0.0])
    one, two = clipped_gradients(x * [[1], [-1]], np.array([-1.5, -1.5]), 5 * w, protocol)
    assert np.linalg.norm(one) == pytest.approx(protocol.radius)
    assert np.linalg.norm(two) == pytest.approx(protocol.radius)
    one, two = clipped_gradients(x, np.array([9.0, -9.0]), 0 * w, protocol)
    assert one @ two < 0
    distance = 2 * protocol.radius / protocol.scale(2)
    assert gaussian_delta(distance, 1.0, 1.0) == pytest.approx(1e-5, rel=1e-3)
    assert gaussian_delta(distance, 1.0, 1.0) <= 1e-5


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_zero_vector_has_no_side(norm):
    reports = duchi(np.zeros((40_000, 2)), norm, 1.0, 3.0, np.random.default_rng(11))
    corners = (reports > 0) @ [1, 2]
    assert stats.chisquare(np.bincount(corners, minlength=4)).pvalue > 1e-4


def test_joint_pricing_saves_noise():
    joint, split = (
        StatisticsProtocol(1.0, 1e-5, 1.0, 1.0, accounting=a).scales(8) for a in ("joint", "split")
    )
    assert 1.5 < split.covariance / joint.covariance < 1.65
    assert PUBLIC.scales(8).moment < PROTOCOL.scales(8).moment
    assert math.isinf(PUBLIC.scales(8).covariance)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("epsilon", [0.5, 3.0])
def test_duchi_is_unbiased_and_of_one_size(norm, d, epsilon):
    rng = np.random.default_rng(d)
    v = rng.uniform(-1, 1, d) * (1.0 if norm == "linf" else 1 / math.sqrt(d))
    count = 200_000
    reports = duchi(np.tile(v, (count, 1)), norm, 1.0, epsilon, rng)
    size = duchi_radius(norm, d, 1.0, epsilon)
    sizes = np.linalg.norm(reports, axis=1) if norm == "l2" else np.abs(reports)
    np.testing.assert_allclose(sizes, size, rtol=1e-12)
    deviation = np.abs(reports.mean(axis=0) - v) / (reports.std(axis=0) / math.sqrt(count))
    assert deviation.max() < 4.5
    scale = GradientProtocol(epsilon, 1.0, 0.5, f"duchi-{norm}").scale(d)  # radius 1
    np.testing.assert_allclose((reports**2).mean(), scale**2, rtol=1e-2)


def test_duchi_linf_by_enumeration():
    """The law of a report, by summing over all of its coins; its worst ratio is e^epsilon."""
    epsilon = 1.0
    for d in (1, 2, 3, 4, 5):
        signs = np.array(np.meshgrid(*[[-1, 1]] * d)).reshape(d, -1).T
        keep = math.exp(epsilon) / (1 + math.exp(epsilon))

        def law(v, signs=signs, keep=keep, d=d):
            total = np.zeros(len(signs))
            for corner in signs:
                odds = np.prod(0.5 + corner * v / 2)
                inner = signs @ corner
                share = np.where(inner > 0, 2 * keep, np.where(inner < 0, 2 * (1 - keep), 1.0))
                total += odds * share / 2**d
            return total

        rng = np.random.default_rng(d)
        one, two = law(np.ones(d)), law(-np.ones(d))
        assert (one / two).max() == pytest.approx(math.exp(epsilon))
        v = rng.uniform(-1, 1, d)
        size = duchi_radius("linf", d, 1.0, epsilon)
        np.testing.assert_allclose(size * law(v) @ signs, v, atol=1e-12)
        drawn = duchi(np.tile(v, (40_000, 1)), "linf", 1.0, epsilon, rng)
        codes = ((drawn > 0) @ 2 ** np.arange(d)).astype(int)
        wanted = law(v)[np.argsort((signs > 0) @ 2 ** np.arange(d))]
        assert stats.chisquare(np.bincount(codes, minlength=2**d), wanted * 40_000).pvalue > 1e-4


@given(d=st.integers(1, 400), epsilon=st.floats(0.01, 20.0))
def test_duchi_radius_is_one_over_a_mean(d, epsilon):
    beta = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    ratio = (math.exp(epsilon) + 1) / (math.exp(epsilon) - 1)
    assert duchi_radius("l2", d, 2.0, epsilon) == pytest.approx(2 * ratio / beta)
    mean = math.comb(d - 1, (d - 1) // 2) / 2 ** (d - 1)
    assert duchi_radius("linf", d, 2.0, epsilon) == pytest.approx(2 * ratio / mean)


# Entropy.


def test_system_entropy_draws_the_right_laws():
    source = SystemEntropy()
    uniform, normal = source.random(50_000), source.standard_normal((500, 100)).ravel()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-5
    assert stats.kstest(normal, "norm").pvalue > 1e-5
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert np.isfinite(normal).all()
    assert not np.intersect1d(normal, source.standard_normal(50_000)).size


def test_normal_tails_are_fine_grained(monkeypatch):
    """Words of zeros give the furthest number, neighbours of it differ; the law is symmetric."""
    source = SystemEntropy()
    words = iter([np.array([0, 1, 2, 3], np.uint64), np.zeros(4, np.uint64)])
    monkeypatch.setattr(source, "_words", lambda size: next(words))
    z = source.standard_normal(4)
    assert z[0] == -z[1]
    assert z[2] == -z[3]
    assert abs(z[0]) > 12
    assert 8 < abs(z[2]) < abs(z[0])
    words = iter([np.array([2, 2], np.uint64), np.array([0, 2**63], np.uint64)])
    low, high = source.standard_normal(2)
    assert low != high  # the finer bits count out there


@pytest.mark.parametrize("seed", [0, 7, np.random.default_rng(1)])
def test_seeds_are_refused(seed):
    x = [0.5, 1.0]
    with pytest.raises(RangeError, match="simulation=True"):
        privatize_statistics(x, 1.0, PROTOCOL, rng=seed)
    with pytest.raises(RangeError, match="simulation=True"):
        privatize_gradient(x, 1.0, x, GRADIENT, rng=seed)
    privatize_statistics(x, 1.0, PROTOCOL, rng=seed, simulation=True)
    privatize_gradient(x, 1.0, x, GRADIENT, rng=seed, simulation=True)


def test_reports_of_one_person_differ_unless_simulated():
    x = [0.5, 1.0]
    one, two = (privatize_statistics(x, 1.0, PROTOCOL) for _ in range(2))
    assert (one.c != two.c).all()
    assert (one.S != two.S).all()
    np.random.seed(0)  # the global state must not matter
    first = privatize_gradient(x, 1.0, x, GRADIENT)
    np.random.seed(0)
    assert (first != privatize_gradient(x, 1.0, x, GRADIENT)).all()
    a, b = (privatize_statistics(x, 1.0, PROTOCOL, rng=3, simulation=True) for _ in range(2))
    np.testing.assert_array_equal(a.S, b.S)


# Audit: lower bounds on epsilon from reports of two people.


def audited(reports, others, delta, confidence=0.999):
    """The largest epsilon that some threshold proves, each side by Clopper and Pearson."""
    count, best = len(reports), 0.0
    edges = np.quantile(np.concatenate((reports, others)), np.linspace(0.01, 0.99, 49))
    for edge in edges:
        for hit, miss in ((reports > edge, others > edge), (others <= edge, reports <= edge)):
            a, b = hit.sum(), miss.sum()
            low = stats.beta.ppf((1 - confidence) / 2, a, count - a + 1) if a else 0.0
            high = stats.beta.ppf((1 + confidence) / 2, b + 1, count - b) if b < count else 1.0
            if low > delta:
                best = max(best, math.log((low - delta) / high))
    return best


def statistic_scores(x, y, towards, protocol, noise):
    """Likelihood ratio scores of many reports; `noise` below 1 breaks the mechanism."""
    scales, rng = protocol.scales(len(x)), np.random.default_rng(abs(hash(tuple(x))) % 2**32)
    scores = np.empty(6_000)
    clean = privatize_noiseless(x, y, protocol)
    for i in range(scores.size):
        report = privatize_statistics(x, y, protocol, rng=rng, simulation=True)
        S = clean.S + noise * (report.S - clean.S)
        c = clean.c + noise * (report.c - clean.c)
        scores[i] = (S * towards.S).sum() / scales.covariance**2
        scores[i] += c @ towards.c / scales.moment**2
    return scores


def privatize_noiseless(x, y, protocol):
    row = clip_rows(np.array([x]), protocol.x_bound)[0]
    return Report(np.outer(row, row), row * np.clip(y, -protocol.y_bound, protocol.y_bound))


@pytest.mark.parametrize("delta", [1e-5, 0.05])
def test_audit_of_statistics(unchecked, delta):
    """The worst pair, at a cosine of -1/4, both outside of the bounds before clipping."""
    protocol = StatisticsProtocol(1.0, delta, x_bound=2.0, y_bound=1.5)
    x, other = [9.0, 0.0], [-9 * 0.25, 9 * math.sqrt(1 - 0.25**2)]
    one, two = (privatize_noiseless(row, 5.0, protocol) for row in (x, other))
    towards = Report(one.S - two.S, one.c - two.c)
    for noise in (1.0, 0.25):
        reports, others = (
            statistic_scores(row, 5.0, towards, protocol, noise) for row in (x, other)
        )
        found = audited(reports, others, delta)
        if noise == 1.0:
            assert 0.2 < found <= 1.0
            gap = (reports.mean() - others.mean()) / reports.std()
            assert gap == pytest.approx(1 / gaussian_scale(1.0, 1.0, delta), rel=0.15)
        else:
            assert found > 1.2  # the audit sees noise that is too small


@pytest.mark.parametrize("mechanism", ["duchi-l2", "duchi-linf", "gaussian"])
def test_audit_of_gradients(unchecked, mechanism):
    delta = 1e-5 if mechanism == "gaussian" else 0.0
    protocol = GradientProtocol(1.0, 2.0, 1.5, mechanism, delta)
    rng, w = np.random.default_rng(1), [0.0, 0.0, 0.0]
    x = np.full(3, 9.0) if mechanism == "duchi-linf" else np.array([9.0, 0.0, 0.0])
    scores = [
        np.array(
            [
                privatize_gradient(x, y, w, protocol, rng=rng, simulation=True) @ x
                for y in np.full(8_000, side)
            ]
        )
        for side in (-7.0, 7.0)
    ]
    found = audited(*scores, delta)
    assert found <= 1.0
    # At w = 0 residuals reach half of their bound: ||v|| is half of the radius.
    tight = GradientProtocol(1.0, 2.0, 1.5, mechanism, delta, residual_bound=1.5)
    reports = [
        np.array(
            [
                privatize_gradient(x, y, w, tight, rng=rng, simulation=True) @ x
                for y in np.full(8_000, side)
            ]
        )
        for side in (-7.0, 7.0)
    ]
    sharp = audited(*reports, delta)
    assert sharp <= 1.0
    assert sharp > (0.2 if mechanism == "gaussian" else 0.8)
    assert sharp > found


def test_reports_lie_on_one_grid_for_everybody():
    step = grid_of(PROTOCOL.scales(2).covariance)
    assert math.frexp(step)[0] == 0.5
    for x, y in (([0.1, 1 / 3], 0.7), ([1e-300, 2.0], -1e300), ([0.0, 0.0], 0.0)):
        report = privatize_statistics(x, y, PROTOCOL)
        whole = report.S / step
        np.testing.assert_array_equal(whole, np.rint(whole))
        whole = report.c / grid_of(PROTOCOL.scales(2).moment)
        np.testing.assert_array_equal(whole, np.rint(whole))


# Client.


@given(seed=seeds, d=st.integers(1, 5), bound=st.floats(1e-6, 1e6))
@settings(max_examples=50)
def test_rows_are_shrunk_and_else_left_alone(seed, d, bound):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, d)) * 10.0 ** rng.integers(-8, 9, (20, 1))
    X[0] = 0.0
    clipped = clip_rows(X, bound)
    length = np.linalg.norm(X, axis=1)
    assert (np.linalg.norm(clipped, axis=1) <= bound * (1 + 1e-12)).all()
    inside = length < bound * (1 - 1e-12)
    np.testing.assert_array_equal(clipped[inside], X[inside])
    cosine = (clipped * X).sum(axis=1)
    np.testing.assert_allclose(cosine, np.linalg.norm(clipped, axis=1) * length, rtol=1e-9)


@pytest.mark.parametrize("layout", ["symmetrised", "upper"])
@pytest.mark.parametrize("source", [{}, {"rng": np.random.default_rng(2), "simulation": True}])
def test_noise_of_reports_has_the_stated_law(unchecked, layout, source):
    protocol = StatisticsProtocol(2.0, 1e-3, 2.0, 1.5, layout=layout)
    x = [0.5, -1.0, 0.25]
    reports = [privatize_statistics(x, 0.3, protocol, **source) for _ in range(4000)]
    S, c = np.array([r.S for r in reports]), np.array([r.c for r in reports])
    scales = protocol.scales(3)
    np.testing.assert_array_equal(S, S.transpose(0, 2, 1))
    off = math.sqrt(0.5) if layout == "symmetrised" else 1.0
    wanted = scales.covariance * np.where(np.eye(3), 1.0, off)
    np.testing.assert_allclose(S.std(axis=0), wanted, rtol=0.06)
    np.testing.assert_allclose(c.std(axis=0), scales.moment, rtol=0.06)
    assert (np.abs(S.mean(axis=0) - np.outer(x, x)) < 4.5 * wanted / math.sqrt(4000)).all()
    assert (np.abs(c.mean(axis=0) - 0.3 * np.array(x)) < 4.5 * scales.moment / 63).all()
    public = privatize_statistics(x, 0.3, PUBLIC)
    assert public.S is None


@given(seed=seeds, mechanism=st.sampled_from(["duchi-l2", "duchi-linf", "gaussian"]))
@settings(max_examples=30)
def test_gradients_never_exceed_the_radius(seed, mechanism):
    from tractable.privacy.ldp_regression._client import clipped_gradients

    protocol = GradientProtocol(1.0, 2.0, 1.5, mechanism, 1e-5 if mechanism == "gaussian" else 0.0)
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 3)) * 10.0 ** rng.integers(-3, 4, (50, 1))
    w = rng.standard_normal(3) * 10.0 ** rng.integers(-3, 200)
    gradients = clipped_gradients(X, rng.standard_normal(50) * 9, w, protocol)
    order = np.inf if mechanism == "duchi-linf" else 2
    assert np.isfinite(gradients).all()
    assert (np.linalg.norm(gradients, order, axis=1) <= protocol.radius * (1 + 1e-12)).all()


# Server.


def sums_of(X, y):
    return Report(X.T @ X, X.T @ y, len(X))


@given(seed=seeds, d=st.integers(1, 6))
@settings(max_examples=40)
def test_without_noise_it_is_least_squares(seed, d):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((30, d)), rng.standard_normal(30)
    fit = quiet(sums_of(X, y), PROTOCOL, threshold=0.0)
    np.testing.assert_allclose(fit.coef, np.linalg.lstsq(X, y)[0], rtol=1e-7, atol=1e-9)
    cut = float(rng.random())
    fit = quiet(sums_of(X, y), PROTOCOL, threshold=cut)
    reports = [(np.outer(x, x), x * t) for x, t in zip(X, y, strict=True)]
    np.testing.assert_allclose(fit.coef, reference(reports, cut), rtol=1e-7, atol=1e-9)
    hard = quiet(sums_of(X, y), PROTOCOL, threshold=cut, rule="hard")
    np.testing.assert_array_equal(hard.coef != 0, fit.coef != 0)
    kept = quiet(sums_of(X, y), PROTOCOL, threshold=0.0, k=1)
    assert np.flatnonzero(kept.coef).tolist() == [np.abs(kept.raw_coef).argmax()]


@given(seed=seeds, d=st.integers(1, 6), cut=st.floats(0, 3))
def test_soft_threshold_solves_its_problem_and_does_not_expand(seed, d, cut):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, d)) * 3
    fit, other = soft_threshold(a, cut), soft_threshold(b, cut)
    assert np.linalg.norm(fit - other) <= np.linalg.norm(a - b) * (1 + 1e-12)
    # The minimiser of |u - a|^2 / 2 + cut |u|, by brute force.
    grid = np.linspace(-12, 12, 4801)
    for found, value in zip(fit, a, strict=True):
        losses = (grid - value) ** 2 / 2 + cut * np.abs(grid)
        assert (found - value) ** 2 / 2 + cut * abs(found) <= losses.min() + 1e-9


def test_standard_errors_are_right():
    d, n = 6, 10**11
    for layout in ("symmetrised", "upper"):
        protocol = StatisticsProtocol(1.0, 1e-5, 5.0, 5.0, layout=layout)
        Sigma = 0.4 ** np.abs(np.subtract.outer(range(d), range(d)))
        law = GaussianLaw(Sigma, [1.0, 0, -2.0, 0, 0, 0.5], 0.1)
        rng = np.random.default_rng(3)
        fits = [
            sparse_regression(simulate_gaussian_reports(law, n, protocol, rng=rng), protocol)
            for _ in range(600)
        ]
        spread = np.array([fit.raw_coef for fit in fits]).std(axis=0)
        np.testing.assert_allclose(fits[0].standard_error, spread, rtol=0.12)
    public = StatisticsProtocol(1.0, 1e-5, 5.0, 5.0, public_covariance=True)
    for rows in (300, 10**9):  # the rows' error dominates, then the reports'
        fits = []
        for _ in range(600):
            matrix = law.sums(rows, rng)[0] / rows
            total = simulate_gaussian_reports(law, 10**9, public, rng=rng)
            fits.append(sparse_regression(total, public, public=PublicRows(matrix, rows)))
        spread = np.array([fit.raw_coef for fit in fits]).std(axis=0)
        typical = np.median([fit.standard_error for fit in fits], axis=0)
        np.testing.assert_allclose(typical, spread, rtol=0.15)


def test_few_coordinates_without_effect_pass():
    law = GaussianLaw(np.eye(20), np.eye(20)[0], 0.1)
    protocol = StatisticsProtocol(1.0, 1e-5, 9.0, 8.0)
    passed, found = 0, 0
    for seed in range(200):
        fit = sparse_regression(
            simulate_gaussian_reports(law, 10**11, protocol, rng=seed), protocol
        )
        passed += np.count_nonzero(fit.coef[1:])
        found += fit.coef[0] != 0
    assert found == 200
    assert 5 <= passed <= 40  # about 0.1 x 200


def test_warns_where_noise_dominates_and_clipping_helps():
    law = GaussianLaw(np.eye(10), np.eye(10)[0], 0.1)
    protocol = StatisticsProtocol(1.0, 1e-5, 6.0, 8.0)
    small = simulate_gaussian_reports(law, 10**5, protocol, rng=0)
    with pytest.warns(NoiseDominatesWarning, match="100,000 people"):
        sparse_regression(small, protocol)
    with pytest.warns(NoiseDominatesWarning, match="ask more people"):
        fit = sparse_regression(small, protocol, psd="clip")
    assert np.linalg.eigvalsh(fit.covariance).min() > 0
    public = StatisticsProtocol(1.0, 1e-5, 6.0, 8.0, public_covariance=True)
    total = simulate_gaussian_reports(law, 1000, public, rng=0)
    with pytest.warns(NoiseDominatesWarning, match="standard error"):
        sparse_regression(total, public, public=PublicRows(np.eye(10), 10**6))
    large = simulate_gaussian_reports(law, 10**11, protocol, rng=0)
    assert np.linalg.norm(sparse_regression(large, protocol).coef - law.theta) < 0.05


def test_sums_add_up_in_any_order():
    rng = np.random.default_rng(4)
    reports = [
        privatize_statistics(row, 0.1, PROTOCOL, rng=rng, simulation=True)
        for row in rng.standard_normal((30, 3))
    ]
    whole = add_reports(reports)
    halves = add_reports([add_reports(reports[20:]), add_reports(reports[:20])])
    np.testing.assert_array_equal(whole.S, halves.S)  # whole numbers of grid steps: exact
    np.testing.assert_array_equal(whole.c, halves.c)
    assert whole.n == halves.n == 30
    with pytest.raises(ShapeError, match="two protocols"):
        add_reports([reports[0], Report(None, reports[0].c)])
    with pytest.raises(ShapeError, match="no reports"):
        add_reports([])


# Simulation.


def test_sums_of_simulated_people_have_the_law_of_sums_of_reports(unchecked):
    rng, protocol = np.random.default_rng(5), StatisticsProtocol(3.0, 1e-3, 2.0, 1.5)
    X, y = rng.standard_normal((40, 2)), rng.standard_normal(40)
    one, many = [], []
    for _ in range(300):
        reports = (
            privatize_statistics(row, t, protocol, rng=rng, simulation=True)
            for row, t in zip(X, y, strict=True)
        )
        total = add_reports(reports)
        many.append((*total.S[np.triu_indices(2)], *total.c))
    for _ in range(1000):
        total = simulate_reports(X, y, protocol, rng=rng)
        one.append((*total.S[np.triu_indices(2)], *total.c))
    for ours, theirs in zip(np.transpose(one), np.transpose(many), strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-4


def test_drawn_sums_have_the_law_of_peoples():
    Sigma = np.array([[1.0, 0.3], [0.3, 0.5]])
    law, w = GaussianLaw(Sigma, [0.5, -1.0], 0.7), np.array([0.1, 0.2])
    rng, drawn, summed = np.random.default_rng(6), [], []
    for _ in range(3000):
        X = rng.standard_normal((5, 2)) @ law.root.T
        y = X @ law.theta + 0.7 * rng.standard_normal(5)
        summed.append((*(X.T @ X)[np.triu_indices(2)], *(X.T @ y), *(X.T @ (X @ w - y))))
        S, c = law.sums(5, rng)
        drawn.append((*S[np.triu_indices(2)], *c, *law.gradient(5, w, rng)))
    for ours, theirs in zip(np.transpose(drawn), np.transpose(summed), strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-4
    ours, theirs = np.corrcoef(np.transpose(drawn)[-2:]), np.corrcoef(np.transpose(summed)[-2:])
    np.testing.assert_allclose(ours, theirs, atol=0.1)
    exact = GaussianLaw(Sigma, [0.5, -1.0], 0.0)
    assert exact.gradient(5, exact.theta, rng).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("mechanism", ["duchi-l2", "duchi-linf", "gaussian"])
def test_drawn_gradients_have_the_law_of_peoples(unchecked, mechanism):
    delta = 1e-5 if mechanism == "gaussian" else 0.0
    protocol = GradientProtocol(1.0, 5.0, 3.0, mechanism, delta)
    law, w = GaussianLaw(np.eye(3), [0.6, 0, 0], 0.2), np.array([0.0, 0.3, 0.0])
    rng, drawn, summed = np.random.default_rng(7), [], []
    for _ in range(400):
        X = rng.standard_normal((500, 3))
        y = X @ law.theta + 0.2 * rng.standard_normal(500)
        summed.append(simulate_gradients(X, y, w, protocol, rng=rng))
        drawn.append(simulate_gaussian_gradients(law, 500, w, protocol, rng=rng))
    for ours, theirs in zip(np.transpose(drawn), np.transpose(summed), strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-4


def test_costs_are_counted():
    with tractable.count() as cost:
        privatize_statistics([1.0], 0.0, PROTOCOL)
        simulate_reports(np.eye(2), [0, 1], PROTOCOL)
        privatize_gradient([1.0], 0.0, [0.0], GRADIENT)
        quiet(Report(np.eye(2), np.ones(2), 5), PROTOCOL)
    assert dict(cost) == {"samples": 3, "gradients": 1, "solves": 1}


# Rounds.


@given(seed=seeds, d=st.integers(1, 6), k=st.integers(1, 6))
def test_hard_threshold_is_the_nearest_sparse_vector(seed, d, k):
    from itertools import combinations

    k = min(k, d)
    values = np.random.default_rng(seed).standard_normal(d)
    kept = hard_threshold(values, k)
    best = min(
        float((np.delete(values, list(chosen)) ** 2).sum()) for chosen in combinations(range(d), k)
    )
    assert ((values - kept) ** 2).sum() == pytest.approx(best)


@given(
    n=st.integers(1, 10**15),
    rounds=st.integers(1, 40),
    step=st.floats(0.01, 2.0),
    groups=st.sampled_from(["geometric", "equal"]),
)
def test_everybody_is_in_one_group(n, rounds, step, groups):
    n = max(n, rounds)
    sizes = group_sizes(n, rounds, step, groups)
    assert sum(sizes) == n
    assert min(sizes) >= 1
    assert len(sizes) == rounds


def test_groups_that_grow_leave_less_noise():
    """Errors of round t shrink by (1 - step)^(T - t); the best shares cost no more than T = 1."""
    weight = 0.5 * 0.5 ** np.arange(9, -1, -1)
    grown, equal = (
        (weight**2 / np.array(group_sizes(10**9, 10, groups=g))).sum() * 10**9
        for g in ("geometric", "equal")
    )
    assert grown == pytest.approx(1.0, rel=1e-2)
    assert equal > 3 * grown


def test_rounds_find_the_truth_without_noise():
    rng = np.random.default_rng(8)
    X = rng.standard_normal((4000, 8))
    theta = np.array([0.6, 0, 0, -0.7, 0, 0, 0, 0])
    server = HardThresholdingServer(8, 2)
    for _ in range(40):
        server.update(X.T @ (X @ server.coef - X @ theta), 4000)
    np.testing.assert_allclose(server.final(), theta, atol=1e-6)
    assert server.n_rounds == 40


def test_the_model_stays_in_the_ball_and_sparse():
    server = HardThresholdingServer(5, 1, k_ratio=2, ball=0.5)
    server.update([1e300, -1e300, 5, 4, 3], 1)
    assert np.linalg.norm(server.coef) == pytest.approx(0.5)
    assert np.count_nonzero(server.coef) == 2
    assert np.count_nonzero(server.final()) == 1


# Hostile input.


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        ([], 0.0, ShapeError, "at least one"),
        ([[1.0]], 0.0, ShapeError, "1 axes"),
        ([1.0, np.nan], 0.0, DataError, "NaN"),
        ([1.0, np.inf], 0.0, DataError, "NaN"),
        (["a"], 0.0, DTypeError, "dtype"),
        ([1j], 0.0, DTypeError, "complex"),
        ([1.0], np.nan, RangeError, "y is nan"),
        ([1.0], "3", DTypeError, "y is '3'"),
        ([1.0], None, DTypeError, "y is None"),
        ([1.0], [1.0], DTypeError, "number"),
    ],
)
def test_clients_refuse(unchecked, x, y, error, words):
    with pytest.raises(error, match=words):
        privatize_statistics(x, y, PROTOCOL)
    with pytest.raises(error, match=words):
        privatize_gradient(x, y, [0.0], GRADIENT)


@pytest.mark.parametrize(
    "x",
    [
        [0.0, 0.0],
        [1e308, 1e308],
        [-1.7e308, 5e-324],
        [5e-324, 0.0],
        np.array([1, 2], np.int8),
        np.float16([1, 60000]),
        np.arange(8.0)[::4],
        np.array([200, 255], np.uint8),
    ],
)
def test_clients_take_rows_of_every_kind(x):
    given_ = np.array(x)
    given_.flags.writeable = False
    report = privatize_statistics(given_, 1e308, PROTOCOL)
    assert np.isfinite(report.S).all()
    assert np.isfinite(report.c).all()
    gradient = privatize_gradient(given_, -1e308, [1e308, -1e308], GRADIENT)
    assert np.linalg.norm(gradient) == pytest.approx(GRADIENT.scale(2) * math.sqrt(2))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: StatisticsProtocol(0.0, 1e-5, 1.0, 1.0), RangeError, "epsilon is 0"),
        (lambda: StatisticsProtocol(math.inf, 1e-5, 1.0, 1.0), RangeError, "epsilon is inf"),
        (lambda: StatisticsProtocol(1.0, 0.0, 1.0, 1.0), RangeError, "delta is 0"),
        (lambda: StatisticsProtocol(1.0, 1.0, 1.0, 1.0), RangeError, "delta is 1"),
        (lambda: StatisticsProtocol(1.0, 1e-5, None, 1.0), RangeError, "known beforehand"),
        (lambda: StatisticsProtocol(1.0, 1e-5, 1.0, None), RangeError, "y_bound is None"),
        (lambda: StatisticsProtocol(1.0, 1e-5, 0.0, 1.0), RangeError, "x_bound is 0"),
        (lambda: StatisticsProtocol(1.0, 1e-5, 1e200, 1.0), RangeError, "x_bound"),
        (lambda: StatisticsProtocol(1.0, 1e-5, 1.0, 1.0, 1.0), RangeError, "split is 1"),
        (lambda: StatisticsProtocol(1.0, 1e-5, 1, 1, 0.5, "both"), RangeError, "'both'"),
        (lambda: StatisticsProtocol(1.0, 1e-5, 1, 1, layout="full"), RangeError, "'full'"),
        (lambda: StatisticsProtocol("1", 1e-5, 1.0, 1.0), DTypeError, "epsilon"),
        (lambda: PROTOCOL.scales(0), RangeError, "d is 0"),
        (lambda: PROTOCOL.scales(10**6), RangeError, "fewer columns"),
        (lambda: GradientProtocol(21.0, 1.0, 1.0), RangeError, "epsilon is 21"),
        (lambda: GradientProtocol(1.0, None, 1.0), RangeError, "x_bound is None"),
        (lambda: GradientProtocol(1.0, 1.0, 1.0, delta=1e-5), RangeError, "wants 0"),
        (lambda: GradientProtocol(1.0, 1.0, 1.0, "gaussian"), RangeError, "delta is 0"),
        (lambda: GradientProtocol(1.0, 1.0, 1.0, "laplace"), RangeError, "'laplace'"),
        (lambda: GradientProtocol(1, 1, 1, residual_bound=0.0), RangeError, "residual"),
        (lambda: duchi_radius("l1", 2, 1.0, 1.0), RangeError, "'l1'"),
        (lambda: duchi_radius("l2", 2, 1.0, 0.0), RangeError, "epsilon is 0"),
        (lambda: gaussian_scale(1.0, -1.0, 0.1), RangeError, "epsilon"),
        (lambda: gaussian_delta(1.0, 0.0, 0.1), RangeError, "scale"),
        (lambda: group_sizes(3, 4), RangeError, "n is 3"),
        (lambda: group_sizes(3, 2, groups="odd"), RangeError, "'odd'"),
        (lambda: HardThresholdingServer(3, 4), RangeError, "k is 4"),
        (lambda: HardThresholdingServer(3, 1, step=0.0), RangeError, "step"),
        (lambda: HardThresholdingServer(3, 1).final(), RangeError, "no round"),
        (lambda: HardThresholdingServer(3, 1).update([1, 2], 1), ShapeError, r"\(2,\)"),
        (lambda: HardThresholdingServer(1, 1).update([np.nan], 1), DataError, "NaN"),
        (lambda: HardThresholdingServer(1, 1).update([1.0], 0), RangeError, "n is 0"),
        (lambda: GaussianLaw(np.eye(2), [1.0], 0.1), ShapeError, "Sigma"),
        (lambda: GaussianLaw(-np.eye(1), [1.0], 0.1), DataError, "positive definite"),
        (lambda: GaussianLaw([[1, 2], [0, 1]], [1, 1], 0.1), DataError, "symmetric"),
        (lambda: GaussianLaw(np.eye(1), [1.0], -0.1), RangeError, "noise_sd"),
        (lambda: GaussianLaw(np.eye(3), np.ones(3), 1.0).sums(2, None), RangeError, "n is 2"),
        (lambda: simulate_reports([[1.0]], [1, 2], PROTOCOL), ShapeError, "y has 2"),
        (lambda: simulate_reports([[np.nan]], [1], PROTOCOL), DataError, "NaN"),
        (lambda: simulate_reports([[1.0]], [1], PROTOCOL, rng="x"), DTypeError, "rng"),
        (lambda: simulate_gradients([[1.0]], [1], [1, 2], GRADIENT), ShapeError, "w has"),
        (lambda: privatize_gradient([1.0], 1.0, [1, 2], GRADIENT), ShapeError, "w has"),
    ],
)
def test_refuses_bad_parameters(unchecked, make, error, words):
    with pytest.raises(error, match=words):
        make()


ONE = Report(np.eye(2), np.ones(2), 1)


@pytest.mark.parametrize(
    ("total", "options", "error", "words"),
    [
        (Report(None, np.ones(2), 1), {}, ShapeError, "S is None"),
        (Report(np.eye(3), np.ones(2), 1), {}, ShapeError, "S has shape"),
        (Report(np.array([[1.0, 2], [0, 1]]), np.ones(2), 1), {}, DataError, "symmetric"),
        (Report(np.zeros((2, 2)), np.ones(2), 1), {}, DataError, "singular"),
        (Report(np.ones((2, 2)), np.ones(2), 1), {}, DataError, "psd='clip'"),
        (Report(np.eye(2), np.array([1, np.nan]), 1), {}, DataError, "NaN"),
        (Report(np.eye(2), np.ones(2), 0), {}, RangeError, "n is 0"),
        (ONE, {"rule": "firm"}, RangeError, "'firm'"),
        (ONE, {"psd": "yes"}, RangeError, "'yes'"),
        (ONE, {"k": 3}, RangeError, "k is 3"),
        (ONE, {"threshold": -1.0}, RangeError, "threshold"),
        (ONE, {"public": PublicRows(np.eye(2), 5)}, RangeError, "go together"),
    ],
)
def test_servers_refuse(unchecked, total, options, error, words):
    with pytest.raises(error, match=words):
        sparse_regression(total, PROTOCOL, **options)


def test_public_rows_are_checked():
    total = Report(None, np.ones(2), 1)
    with pytest.raises(RangeError, match="go together"):
        sparse_regression(total, PUBLIC)
    with pytest.raises(ShapeError, match="at least 2 rows"):
        sparse_regression(total, PUBLIC, public=PublicRows(np.eye(2), 1))
    with pytest.raises(ShapeError, match="shape"):
        sparse_regression(total, PUBLIC, public=PublicRows(np.eye(3), 9))
    with pytest.raises(DataError, match="singular"):
        sparse_regression(total, PUBLIC, public=summarize_public(np.ones((5, 2)), PUBLIC))
    rows = np.random.default_rng(9).standard_normal((50, 2)) * 9
    clipped = clip_rows(rows, PUBLIC.x_bound)
    made = summarize_public(rows, PUBLIC)
    np.testing.assert_allclose(made.covariance, clipped.T @ clipped / 50)


# The estimators.


def estimators():
    return pytest.importorskip("tractable.privacy.ldp_regression.sklearn")


@pytest.mark.parametrize("psd", ["none", "clip"])
def test_one_message_is_a_scikit_learn_estimator(unchecked, psd):
    model = estimators().LDPSparseRegression(x_bound=3.0, y_bound=2.0, psd=psd)
    check_estimator(model, NoiseDominatesWarning)


@pytest.mark.parametrize("mechanism", ["duchi-l2", "duchi-linf"])
def test_rounds_are_a_scikit_learn_estimator(unchecked, mechanism):
    options = {"x_bound": 3.0, "y_bound": 2.0, "mechanism": mechanism}
    check_estimator(estimators().LDPIterativeHardThresholding(**options), NoiseDominatesWarning)


def test_estimators_want_bounds(unchecked):
    X, y = np.eye(3), np.ones(3)
    for model in (estimators().LDPSparseRegression(), estimators().LDPIterativeHardThresholding()):
        with pytest.raises(ValueError, match="known beforehand"):
            model.fit(X, y)


def test_estimators_learn_from_many():
    rng = np.random.default_rng(10)
    X = rng.uniform(-1, 1, (300_000, 4))
    y = 0.9 * X[:, 1] + 0.05 * rng.uniform(-1, 1, 300_000)
    bounds = {"x_bound": 2.0, "y_bound": 1.0, "random_state": 0}
    one = estimators().LDPSparseRegression(4.0, **bounds).fit(X, y)
    assert np.flatnonzero(one.coef_).tolist() == [1]
    assert one.coef_[1] == pytest.approx(0.8, abs=0.15)
    assert one.privacy_spent_ == (4.0, 1e-5)
    public = estimators().LDPSparseRegression(4.0, public_X=X[:1000], **bounds).fit(X, y)
    assert public.standard_error_.max() < one.standard_error_.max()
    assert public.coef_[1] == pytest.approx(0.85, abs=0.1)
    again = estimators().LDPSparseRegression(4.0, **bounds)
    again.fit_from_reports(simulate_reports(X, y, again.protocol, rng=0))
    assert np.flatnonzero(again.coef_).tolist() == [1]
    np.testing.assert_allclose(again.predict(X[:3]), X[:3] @ again.coef_)
    for mechanism, x_bound in (("duchi-l2", 2.0), ("duchi-linf", 1.0)):
        rounds = estimators().LDPIterativeHardThresholding(
            1, 4.0, mechanism=mechanism, step=1.5, **{**bounds, "x_bound": x_bound}
        )
        rounds.fit(X, y)
        assert np.flatnonzero(rounds.coef_).tolist() == [1]
        assert rounds.coef_[1] == pytest.approx(0.9, abs=0.15)
        assert rounds.n_iter_ == 7


def test_diabetes_is_too_small():
    """Four hundred people are far too few: the library says so, and is right."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_diabetes(return_X_y=True)
    X, y = X / 0.0476, (y - 150.0) / 80.0  # public units, not the data's
    model = estimators().LDPSparseRegression(x_bound=6.0, y_bound=2.5, random_state=0)
    with pytest.warns(NoiseDominatesWarning, match="442 people"):
        model.fit(X, y)
    assert ((y - model.predict(X)) ** 2).mean() >= 0.99 * (y**2).mean()
