"""Sensitivities, weights, samples and fits: against definitions, closed forms, hostile input."""

import warnings

import numpy as np
import pytest
from estimators import check_estimator
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms.lp_sampling import (
    RowSample,
    _sample,
    leverage_scores,
    lewis_weights,
    lp_regression,
    lp_sensitivities,
    reference,
    root_leverage_sample,
    sample_rows,
    sensitivity_bounds,
    subspace_distortion,
)

POWERS = (1, 1.1, 1.5, 2, 3, 4, 8)
powers = st.sampled_from(POWERS)


def drawn(seed, rows, columns):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rows, columns))
    A[0] *= 10
    return A


def every_score(A, p):
    """Each public function that scores all rows."""
    yield leverage_scores(A)
    yield lewis_weights(A, p)
    yield from sensitivity_bounds(A, p)
    yield lp_sensitivities(A, p)
    yield lp_sensitivities(A, p, method="sampled", rng=0)


# Scores.


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 12), columns=st.integers(1, 3), p=powers)
@settings(max_examples=40, deadline=None)
def test_sensitivities_are_the_definition(seed, rows, columns, p):
    A = drawn(seed, max(rows, columns), columns)
    row = seed % len(A)
    np.testing.assert_allclose(
        lp_sensitivities(A, p, rows=[row])[0], reference(A, p, row), rtol=1e-4
    )


@given(seed=st.integers(0, 2**32), rows=st.integers(4, 25), columns=st.integers(1, 4), p=powers)
@settings(max_examples=40, deadline=None)
def test_every_bound_holds(seed, rows, columns, p):
    A = drawn(seed, rows, columns)
    sigma = lp_sensitivities(A, p)
    lower, upper = sensitivity_bounds(A, p)
    assert (lower <= sigma * (1 + 1e-6)).all()
    assert (sigma <= upper * (1 + 1e-6)).all()
    assert sigma.max() <= 1.0
    estimated = lp_sensitivities(A, p, method="sampled", rng=seed)
    assert (estimated <= upper * (1 + 1e-12)).all()
    np.testing.assert_allclose(sigma, lp_sensitivities(A, p, method="exact", tol=1e-4), rtol=2e-4)
    x = np.random.default_rng(seed).standard_normal((columns, 50))
    shares = np.abs(A @ x) ** p
    assert (shares / shares.sum(axis=0) <= sigma[:, None] * (1 + 1e-6)).all()


@given(seed=st.integers(0, 2**32), columns=st.integers(1, 5), p=powers)
@settings(max_examples=40, deadline=None)
def test_lewis_weights_are_a_fixed_point(seed, columns, p):
    A = drawn(seed, 20, columns)
    w = lewis_weights(A, p)
    assert np.isclose(w.sum(), columns)
    scaled = A * w[:, None] ** (0.5 - 1 / p)
    np.testing.assert_allclose(leverage_scores(scaled), w, rtol=1e-5, atol=1e-12)


@given(seed=st.integers(0, 2**32), p=powers)
@settings(max_examples=20, deadline=None)
def test_only_the_column_space_counts(seed, p):
    A = drawn(seed, 15, 3)
    R = np.random.default_rng(seed + 1).standard_normal((3, 5)) * [1, 1e5, 1, 1e-5, 1]
    for ours, theirs in zip(every_score(A, p), every_score(A @ R, p), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("p", POWERS)
def test_a_row_repeated_shares_its_sensitivity(p):
    A = drawn(1, 12, 3)
    once, thrice = lp_sensitivities(A, p), lp_sensitivities(np.repeat(A, 3, axis=0), p)
    np.testing.assert_allclose(thrice, np.repeat(once / 3, 3), rtol=1e-6)


@pytest.mark.parametrize("p", POWERS)
def test_stacked_identities(p):
    A = np.tile(np.eye(4), (6, 1)) @ np.linalg.qr(drawn(2, 4, 4))[0]
    apart = 4 ** abs(p / 2 - 1) * (1 + 1e-6)  # d^|p/2-1|, which separates the bounds
    for score in every_score(A, p):
        assert 1 / 6 / apart <= score.min() <= score.max() <= apart / 6
    np.testing.assert_allclose(lp_sensitivities(A, p), 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(lewis_weights(A, p), 1 / 6, rtol=1e-6)


def test_all_scores_are_one_at_two():
    A = drawn(3, 30, 4)
    hat = np.diag(A @ np.linalg.pinv(A))
    for score in every_score(A, 2):
        np.testing.assert_allclose(score, hat, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 1.5, 4])
def test_estimates_on_a_sample_are_within_a_factor(p):
    A = np.random.default_rng(4).standard_t(3, (200, 4))
    ratio = lp_sensitivities(A, p, method="sampled", rng=1) / lp_sensitivities(A, p, tol=1e-3)
    assert ratio.min() > 0.5
    assert ratio.max() < 4


def test_iterations_that_do_not_suffice_are_told():
    A = drawn(5, 20, 3)
    with pytest.warns(RuntimeWarning, match="Lewis weights still changed"):
        lewis_weights(A, 16, max_iter=2)
    with pytest.warns(RuntimeWarning, match="certain only up to"):
        lp_sensitivities(A, 4, max_iter=1)
    with pytest.warns(RuntimeWarning, match="certain only up to"):
        lp_regression(A, np.arange(20), 4, max_iter=1)


# Samples.


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("scores", ["auto", "sensitivity", "leverage", "uniform"])
def test_norms_are_kept_in_expectation(scores, replace):
    rng = np.random.default_rng(6)
    A, p = rng.standard_t(4, (300, 3)), 3.0
    x = rng.standard_normal(3)
    truth = (np.abs(A @ x) ** p).sum()
    values, sizes = [], []
    for _ in range(200):
        sample = sample_rows(A, p, 60, scores=scores, replace=replace, rng=rng)
        values.append((np.abs(sample.scale(A, p) @ x) ** p).sum() / truth)
        sizes.append(sample.indices.size)
    error = np.std(values) / np.sqrt(200)
    assert abs(np.mean(values) - 1) < 4 * error
    assert replace or abs(np.mean(sizes) - 60) < 2


@given(
    scores=st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda s: max(s) > 1e-3),
    size=st.integers(1, 50),
)
@example(scores=[1.0] * 5 + [2e-313] * 2, size=6)
@example(scores=[1.0, 77.0, 2e-313], size=1)
@example(scores=[1.0] * 13 + [134.0, 2e-313, 2e-309], size=15)
@settings(max_examples=100)
def test_probabilities_add_up_to_the_size(scores, size):
    scores = np.array(scores)
    q = _sample._probabilities(scores, size)
    assert ((q >= 0) & (q <= 1)).all()
    assert np.isclose(q.sum(), min(size, (scores > 0).sum()))
    free = (q < 1) & (np.minimum(q, scores) > 1e-300)  # below, numbers have fewer digits
    if free.any():
        alphas = scores[free] / q[free]
        np.testing.assert_allclose(alphas, alphas[0], rtol=1e-9)
        assert (scores[q == 1] >= scores[free].max() * (1 - 1e-9)).all()


def test_heavy_rows_are_always_kept():
    A = np.random.default_rng(7).standard_normal((3000, 4))
    A[5], A[9] = [1e6, 0, 0, 0], [0, 1e9, 0, 0]
    for p in (1, 1.5, 3, 4):
        for scores in ("auto", "sensitivity", "lewis"):
            sample = sample_rows(A, p, 200, scores=scores, rng=1)
            assert {5, 9} <= set(sample.indices.tolist())
            low, high = subspace_distortion(A, sample.scale(A, p), p, n_starts=3, rng=1)
            assert 0.2 < low <= high < 2.5


def test_root_leverage_sampling_ends_at_a_size_that_does_not_see_n():
    rng, sizes = np.random.default_rng(8), []
    for n in (2000, 20_000, 100_000):
        A = rng.standard_t(3, (n, 5))
        with tractable.count() as cost:
            sample = root_leverage_sample(A, 1, 6.0, rng=rng)
        sizes.append(sample.indices.size)
        assert cost["iterations"] > 1
        assert cost["samples"] == sizes[-1]
        once = root_leverage_sample(A, 1, 6.0, n_rounds=1, rng=rng).indices.size
        assert once < 6 * np.sqrt(5 * n) * 1.1
        assert once > 2 * sizes[-1] or n == 2000
    assert max(sizes) < 36 * 5 * 1.2
    drawn_ = sample_rows(A, 1.5, 100, scores="root-leverage", rng=rng)
    assert 60 < drawn_.indices.size < 140
    mass = drawn_.sample_weight * np.abs(A[drawn_.indices]).sum(axis=1) ** 1.5
    assert 0.6 < mass.sum() / (np.abs(A).sum(axis=1) ** 1.5).sum() < 1.5


def test_same_seed_same_sample_and_targets_count():
    A = drawn(9, 500, 3)
    b = np.zeros(500)
    b[77] = 1e6
    first, second = (sample_rows(A, 1, 50, b=b, rng=3) for _ in range(2))
    np.testing.assert_array_equal(first.indices, second.indices)
    assert 77 in first.indices
    given_ = sample_rows(A, 1, 50, scores=np.arange(500), rng=3)
    assert 0 not in given_.indices


def test_weights_serve_any_estimator():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(10)
    A = rng.standard_normal((20_000, 4))
    b = A @ [1, 2, 3, 4] + rng.standard_normal(20_000)
    sample = sample_rows(A, 2, 2000, b=b, rng=0)
    model = linear.Ridge(alpha=1e-6, fit_intercept=False)
    model.fit(A[sample.indices], b[sample.indices], sample_weight=sample.sample_weight)
    roots = np.sqrt(sample.sample_weight)
    direct = np.linalg.lstsq(sample.scale(A, 2), b[sample.indices] * roots)[0]
    np.testing.assert_allclose(model.coef_, direct, atol=1e-6)
    assert np.abs(model.coef_ - [1, 2, 3, 4]).max() < 0.1


# Regression.


@given(seed=st.integers(0, 2**32), columns=st.integers(1, 3), p=powers)
@settings(max_examples=40, deadline=None)
def test_fits_are_optimal(seed, columns, p):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((15, columns)), rng.standard_normal(15)
    weights = rng.integers(0, 4, 15) * 0.5 + (np.arange(15) < 5)
    fit = lp_regression(A, b, p, sample_weight=weights)

    def loss(x):
        return (weights * np.abs(A @ x - b) ** p).sum()

    np.testing.assert_allclose(fit.loss, loss(fit.coefficients))
    rough = minimize(loss, fit.coefficients, method="Nelder-Mead", options={"xatol": 1e-10})
    assert fit.loss <= rough.fun * (1 + 1e-8)
    assert fit.loss <= minimize(loss, np.zeros(columns), method="Powell").fun * (1 + 1e-8)


@pytest.mark.parametrize("p", POWERS)
def test_whole_weights_are_repeated_rows(p):
    rng = np.random.default_rng(11)
    A, b = rng.standard_normal((25, 3)), rng.standard_normal(25)
    repeats = rng.integers(0, 4, 25)
    weighted = lp_regression(A, b, p, sample_weight=repeats)
    repeated = lp_regression(np.repeat(A, repeats, axis=0), np.repeat(b, repeats), p)
    np.testing.assert_allclose(weighted.loss, repeated.loss, rtol=1e-8)


def test_median_fits_agree_with_peers():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(12)
    A = np.column_stack((rng.standard_normal((200, 3)), np.ones(200)))
    b = rng.standard_t(2, 200)
    ours = lp_regression(A, b, 1)
    theirs = linear.QuantileRegressor(quantile=0.5, alpha=0).fit(A[:, :3], b)
    np.testing.assert_allclose(ours.loss, np.abs(theirs.predict(A[:, :3]) - b).sum(), rtol=1e-8)
    statsmodels = pytest.importorskip("statsmodels.regression.quantile_regression")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        third = statsmodels.QuantReg(b, A).fit(q=0.5, max_iter=5000)
    np.testing.assert_allclose(ours.loss, np.abs(A @ third.params - b).sum(), rtol=1e-4)


@pytest.mark.parametrize("p", POWERS)
def test_fits_of_odd_data(p):
    exact = lp_regression(np.eye(3)[:, :2], [1, 2, 0], p)
    np.testing.assert_allclose(exact.coefficients, [1, 2], atol=1e-12)
    one = lp_regression([[2.0]], [4.0], p)
    np.testing.assert_allclose(one.coefficients, [2.0])
    nothing = lp_regression(np.zeros((3, 2)), [1, 2, 3], p)
    assert nothing.coefficients.tolist() == [0, 0]
    twins = lp_regression(np.ones((4, 2)), [1, 1, 1, 1], p)
    np.testing.assert_allclose(twins.coefficients, [0.5, 0.5])
    huge = lp_regression(np.ones((5, 1)) * 1e200, np.arange(5) * 1e200, p)
    np.testing.assert_allclose(huge.coefficients, [2.0], rtol=1e-4)
    assert lp_regression(np.ones((4, 1), bool), np.zeros(4, np.int8), p).loss == 0


def test_least_absolute_deviations_ignore_an_outlier():
    A = np.column_stack((np.arange(20), np.ones(20)))
    b = 3.0 * np.arange(20) + 1
    b[4] = 1e6
    np.testing.assert_allclose(lp_regression(A, b, 1).coefficients, [3, 1], atol=1e-7)


# Distortion.


def test_the_worst_direction_is_found():
    rng = np.random.default_rng(13)
    for p in (1, 1.5, 2, 4):
        which = np.repeat(np.arange(6), 40)
        mixing = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        sample = sample_rows(mixing[which], p, 60, scores="uniform", rng=rng)
        kept = np.bincount(which[sample.indices], sample.sample_weight, 6) / 40
        A = mixing[which]
        low, high = subspace_distortion(A, sample.scale(A, p), p, rng=rng)
        np.testing.assert_allclose((low, high), (kept.min(), kept.max()), rtol=1e-4)
    A = rng.standard_normal((50, 4))
    SA = A[:20] * 1.5
    values = np.linalg.eigvals(np.linalg.solve(A.T @ A, SA.T @ SA)).real
    np.testing.assert_allclose(
        subspace_distortion(A, SA, 2, rng=0), (values.min(), values.max()), rtol=1e-6
    )


def test_distortion_of_nothing():
    assert subspace_distortion(np.eye(2), np.eye(2), 3, rng=0) == pytest.approx((1, 1))
    assert subspace_distortion(np.eye(2), np.zeros((0, 2)), 3, rng=0) == (0, 0)
    assert subspace_distortion(np.eye(2), np.zeros((1, 2)), 3, rng=0) == (0, 0)
    assert subspace_distortion(np.zeros((2, 2)), np.zeros((1, 2)), 3, rng=0) == (1, 1)
    assert subspace_distortion(np.eye(2), np.eye(2)[:1], 3, rng=0).low == pytest.approx(0, abs=1e-6)
    with pytest.raises(ShapeError, match="columns"):
        subspace_distortion(np.eye(2), np.eye(3), 3)


# Hostile input.

CALLS = {
    "leverage_scores": leverage_scores,
    "lewis_weights": lambda A: lewis_weights(A, 3),
    "sensitivity_bounds": lambda A: sensitivity_bounds(A, 3),
    "lp_sensitivities": lambda A: lp_sensitivities(A, 3),
    "reference": lambda A: reference(A, 3, 0),
    "sample_rows": lambda A: sample_rows(A, 3, 1, rng=0),
    "root_leverage_sample": lambda A: root_leverage_sample(A, 1, 1.0, rng=0),
    "lp_regression": lambda A: lp_regression(A, np.ones(len(A)), 3).coefficients,
    "subspace_distortion": lambda A: subspace_distortion(A, A, 3, rng=0),
    "scale": lambda A: RowSample(np.zeros(1, int), np.ones(1), np.ones(1)).scale(A, 3),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("A", "error", "words"),
    [
        ([], ShapeError, "2 axes"),
        (np.zeros((0, 3)), ShapeError, "at least one element"),
        (np.zeros((3, 0)), ShapeError, "at least one element"),
        ([1.0, 2.0], ShapeError, "2 axes"),
        (np.ones((2, 2, 2)), ShapeError, "2 axes"),
        ([[1, np.nan]], DataError, "NaN"),
        ([[1, np.inf]], DataError, "NaN"),
        ([["a"]], DTypeError, "dtype"),
        ([[1j]], DTypeError, "complex"),
        ([[None]], DTypeError, "object"),
    ],
)
def test_refuses_bad_matrices(unchecked, call, A, error, words):
    with pytest.raises(error, match=words):
        call(A)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "A",
    [
        [[5.0]],
        np.ones((6, 1)),
        np.ones((6, 3)),
        np.zeros((4, 2)),
        np.eye(3)[:1],
        np.full((4, 2), 1e308),
        np.full((4, 2), 1e-308),
        np.array([[1e300, 1e-300], [1.0, 1.0], [1.0, 2.0]]),
        np.ones((4, 2), bool),
        np.arange(8, dtype=np.uint8).reshape(4, 2),
        np.float16([[1, 2], [3, 4], [5, 7]]),
    ],
)
def test_takes_matrices_of_every_kind(call, A):
    call(A)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_memory_layout_does_not_matter(call):
    A = drawn(14, 20, 3)
    wide = np.zeros((40, 6), order="F")
    wide[::2, ::2] = A
    frozen = A.copy()
    frozen.flags.writeable = False
    wanted = call(A)
    for other in (wide[::2, ::2], frozen, A[::-1][::-1], A.tolist()):
        for ours, theirs in zip(np.atleast_1d(call(other)), np.atleast_1d(wanted), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_array_equal(A, frozen)


@pytest.mark.parametrize("p", POWERS)
def test_scores_of_odd_matrices(p):
    for score in every_score(np.zeros((3, 2)), p):
        assert score.tolist() == [0, 0, 0]
    for score in every_score([[7.0]], p):
        np.testing.assert_allclose(score, [1.0])
    for score in every_score([[1e200, 0], [0, 1e-200], [0, 0]], p):
        np.testing.assert_allclose(score[2], 0)
    assert lp_sensitivities([[1e200, 0], [0, 1e-200], [0, 0]], p).tolist() == pytest.approx(
        [1, 1, 0]
    )
    np.testing.assert_allclose(lp_sensitivities(np.ones((5, 2)), p), 0.2)
    assert sample_rows(np.zeros((5, 2)), p, 5, rng=0).indices.size == 5
    assert lp_sensitivities(np.eye(3), p, rows=[]).size == 0
    assert lp_sensitivities(np.eye(3), p, rows=[2, 2]).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda A: lewis_weights(A, 0.5), RangeError, "p is 0.5"),
        (lambda A: lewis_weights(A, np.nan), RangeError, "p is nan"),
        (lambda A: lewis_weights(A, "2"), DTypeError, "number"),
        (lambda A: lewis_weights(A, 3, tol=0.0), RangeError, "tol"),
        (lambda A: lewis_weights(A, 3, max_iter=0), RangeError, "max_iter"),
        (lambda A: lp_sensitivities(A, 3, method="fast"), RangeError, "'fast'"),
        (lambda A: lp_sensitivities(A, 3, rows=[3]), RangeError, "rows span 3"),
        (lambda A: lp_sensitivities(A, 3, rows=[0.5]), DTypeError, "rows"),
        (lambda A: lp_sensitivities(A, 3, rng="x"), DTypeError, "rng"),
        (lambda A: reference(A, 3, 5), RangeError, "row is 5"),
        (lambda A: sample_rows(A, 3, 0), RangeError, "n_samples"),
        (lambda A: sample_rows(A, 3, 2.5), DTypeError, "n_samples"),
        (lambda A: sample_rows(A, 3, 2, scores="best"), RangeError, "'best'"),
        (lambda A: sample_rows(A, 3, 2, scores="root-leverage"), RangeError, "below 2"),
        (
            lambda A: sample_rows(A, 1, 2, scores="root-leverage", replace=True),
            RangeError,
            "replace",
        ),
        (lambda A: sample_rows(A, 1, 2, scores="leverage+sensitivity"), RangeError, "above 2"),
        (lambda A: sample_rows(A, 3, 2, scores=[1, 2]), ShapeError, "scores"),
        (lambda A: sample_rows(A, 3, 2, scores=[1, -2, 1]), RangeError, "negative"),
        (lambda A: sample_rows(A, 3, 2, scores=[0, 0, 0]), RangeError, "zero"),
        (lambda A: sample_rows(A, 3, 2, scores=[1, np.nan, 0]), DataError, "NaN"),
        (lambda A: sample_rows(A, 3, 2, b=[1, 2]), ShapeError, "b has shape"),
        (lambda A: sample_rows(A, 3, 2, b=[1, 2, np.inf]), DataError, "NaN"),
        (lambda A: sample_rows(A, 3, 3).scale(A[:2], 3), ShapeError, "2 rows"),
        (lambda A: root_leverage_sample(A, 2, 1.0), RangeError, "below 2"),
        (lambda A: root_leverage_sample(A, 1, 0.0), RangeError, "alpha"),
        (lambda A: root_leverage_sample(A, 1, 1.0, n_rounds=0), RangeError, "n_rounds"),
        (lambda A: lp_regression(A, [1, 2], 3), ShapeError, "b has shape"),
        (lambda A: lp_regression(A, [1, 2, np.nan], 3), DataError, "NaN"),
        (lambda A: lp_regression(A, [1, 2, 3], 0), RangeError, "p is 0"),
        (lambda A: lp_regression(A, A[:, 0], 3, sample_weight=[1]), ShapeError, "sample_weight"),
        (lambda A: lp_regression(A, A[:, 0], 3, sample_weight=[1, -1, 1]), RangeError, "negative"),
        (lambda A: lp_regression(A, A[:, 0], 3, sample_weight=[0, 0, 0]), RangeError, "zero"),
        (lambda A: subspace_distortion(A, A, 3, n_starts=0), RangeError, "n_starts"),
    ],
)
def test_refuses_bad_arguments(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call(np.eye(3))


# The estimator.


def estimator(*args, **options):
    module = pytest.importorskip("tractable.algorithms.lp_sampling.sklearn")
    return module.LpCoresetRegressor(*args, **options)


@pytest.mark.parametrize("p", [1, 1.5, 4])
def test_is_a_scikit_learn_estimator(unchecked, p):
    check_estimator(estimator(p=p))


def test_estimator_fits_a_sample_with_weights():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(15)
    X = rng.standard_normal((4000, 3))
    y = X @ [1, 2, 3] + 5 + 0.1 * rng.standard_normal(4000)
    weights = np.where(np.arange(4000) < 3000, 1.0, 0.0)
    y[3000:] = 1e3
    ours = estimator(300, p=1, random_state=0).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, [1, 2, 3], atol=0.05)
    assert 200 < ours.sample_.indices.size < 400
    other = estimator(300, p=2, estimator=linear.HuberRegressor(), random_state=0)
    other.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(other.estimator_.coef_, [1, 2, 3], atol=0.05)
    np.testing.assert_allclose(other.predict(X[:5]), ours.predict(X[:5]), atol=0.1)
    with pytest.raises(ValueError, match="zero"):
        ours.fit(X, y, sample_weight=np.zeros(4000))
    with pytest.raises(RangeError, match="n_samples"):
        estimator(0).fit(X, y)
    with pytest.raises(RangeError, match="p is 0"):
        estimator(p=0).fit(X, y)
