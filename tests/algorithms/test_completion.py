"""Completion against exact regressions, truncated SVDs and its twins; hostile input."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from estimators import check_estimator
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import numpy_only
from scipy import sparse

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms import completion
from tractable.algorithms.completion import (
    Completion,
    _lines,
    _plain,
    _start,
    complete,
    reference,
    sketched_lstsq,
)
from tractable.algorithms.completion._lines import Inner, choose_solver, solve_side
from tractable.algorithms.completion._observed import read_observed

SOLVERS = ("cholesky", "cg", "sketch-cg", "sketch-gradient")


def make(m=60, n=50, rank=3, share=0.6, *, seed=0, noise=0.0):
    """A matrix of low rank, and the same with entries missing."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    seen = truth + noise * rng.standard_normal((m, n))
    return truth, np.where(rng.random((m, n)) < share, seen, np.nan)


def as_sparse(seen):
    row, column = np.nonzero(~np.isnan(seen))
    return sparse.coo_array((seen[row, column], (row, column)), shape=seen.shape)


def error_of(fit, truth):
    whole = fit.dense() if isinstance(fit, Completion) else fit
    return np.linalg.norm(whole - truth) / np.linalg.norm(truth)


# Whole completions.


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_recovers_what_the_reference_recovers(solver):
    truth, seen = make()
    assert error_of(reference(seen, 3), truth) < 1e-6
    fit = complete(seen, 3, solver=solver, tol=1e-9, rng=0)
    assert fit.converged
    assert error_of(fit, truth) < 1e-6
    np.testing.assert_allclose(fit.left.T @ fit.left, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(fit.right.T @ fit.right, np.eye(3), atol=1e-10)
    assert (np.diff(fit.singular_values) <= 0).all()


@given(st.data())
@settings(max_examples=25)
def test_all_solvers_find_the_same_noisy_minimum(data):
    seed = data.draw(st.integers(0, 10**6))
    rank = data.draw(st.integers(1, 4))
    _, seen = make(30, 24, rank, 0.8, seed=seed, noise=0.01)
    np.fill_diagonal(seen, 1.0)
    reg = data.draw(st.sampled_from([0.1, 1.0]))
    exact = complete(seen, rank, reg=reg, solver="cholesky", tol=1e-11, max_iter=2000, rng=0)
    for solver in ("cg", "sketch-cg", "auto"):
        fit = complete(seen, rank, reg=reg, solver=solver, tol=1e-11, max_iter=2000, rng=1)
        # Starts differ, so that a local minimum may; what they reach must agree where it is one.
        assert objective(fit, seen, reg) <= objective(exact, seen, reg) * 1.2 + 1e-9
        if abs(objective(fit, seen, reg) - objective(exact, seen, reg)) < 1e-6:
            np.testing.assert_allclose(fit.dense(), exact.dense(), atol=0.05)


def objective(fit, seen, reg):
    residual = (fit.dense() - seen)[~np.isnan(seen)]
    return 0.5 * residual @ residual + reg * fit.singular_values.sum()


@pytest.mark.parametrize("reg", [0.0, 2.0])
def test_exact_sweeps_never_go_up(reg):
    _, seen = make(40, 30, 4, 0.7, noise=0.3)
    reached = []
    for sweeps in range(1, 12):
        fit = complete(seen, 4, reg=reg, solver="cholesky", max_iter=sweeps, tol=0.0, rng=0)
        reached.append(objective(fit, seen, reg))
        assert fit.n_iter == sweeps
    assert (np.diff(reached) <= 1e-9 * reached[0]).all()


def test_everything_seen_gives_the_truncated_svd():
    whole = np.random.default_rng(3).standard_normal((20, 15))
    left, values, right = np.linalg.svd(whole)
    wanted = (left[:, :4] * values[:4]) @ right[:4]
    fit = complete(whole, 4, tol=1e-12, max_iter=2000, rng=0)
    np.testing.assert_allclose(fit.dense(), wanted, atol=1e-6)
    np.testing.assert_allclose(fit.singular_values, values[:4], atol=1e-6)
    shrunk = complete(whole, 15, reg=1.5, tol=1e-12, max_iter=3000, rng=0)
    soft = (left[:, :15] * np.maximum(values - 1.5, 0.0)) @ right
    np.testing.assert_allclose(shrunk.dense(), soft, atol=1e-3)


def test_permuted_lines_permute_the_result_and_dense_equals_sparse():
    truth, seen = make(seed=4)
    rows, columns = (np.random.default_rng(5).permutation(length) for length in seen.shape)
    plain = complete(seen, 3, tol=1e-10, rng=0).dense()
    turned = complete(seen[rows][:, columns], 3, tol=1e-10, rng=0).dense()
    np.testing.assert_allclose(turned, plain[rows][:, columns], atol=1e-6)
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_matrix):
        same = complete(kind(as_sparse(seen)), 3, tol=1e-10, rng=0).dense()
        np.testing.assert_array_equal(same, plain)
    np.testing.assert_allclose(plain, truth, atol=1e-6)


def test_stored_zeros_are_observations():
    table = sparse.coo_array(
        (np.zeros(16), (np.repeat(range(4), 4), np.tile(range(4), 4))), shape=(4, 4)
    )
    assert not complete(table, 2, rng=0).dense().any()


def test_same_seed_same_result_whatever_the_threads(monkeypatch):
    monkeypatch.setattr(_lines, "CHUNK", 7)
    _, seen = make(seed=6)
    for solver in SOLVERS:
        once = complete(seen, 3, solver=solver, rng=7)
        with ThreadPoolExecutor(2) as pool, tractable.count() as cost:
            again = complete(seen, 3, solver=solver, rng=7, executor=pool)
        np.testing.assert_array_equal(once.dense(), again.dense())
        assert cost["flops"] > 0
        assert cost["iterations"] == again.n_iter


def test_a_start_saves_sweeps():
    _, seen = make(seed=8)
    cold = complete(seen, 3, tol=1e-10, rng=0)
    warm = complete(seen, 3, tol=1e-10, start=cold, rng=0)
    assert warm.n_iter < cold.n_iter
    with pytest.raises(ShapeError, match="rank 3"):
        complete(seen, 2, start=cold)


def test_rough_regressions_cost_few_flops_and_no_sweeps():
    truth, seen = make(300, 300, 24, 0.8, seed=9)
    costs, sweeps = {}, {}
    for solver in ("cholesky", "cg"):
        with tractable.count() as cost:
            fit = complete(seen, 24, solver=solver, tol=1e-5, rng=0)
        assert error_of(fit, truth) < 1e-4
        costs[solver], sweeps[solver] = cost["flops"], fit.n_iter
    assert sweeps["cg"] <= sweeps["cholesky"] + 2
    assert costs["cg"] < costs["cholesky"]
    cold = complete(seen, 24, solver="cg", tol=1e-5, warm=False, max_iter=30, rng=0)
    assert not cold.converged
    assert error_of(cold, truth) > 1e-2


def test_fresh_samples_and_the_trim():
    truth, seen = make(200, 200, 1, 0.95, seed=10)
    fit = complete(seen, 1, resample=True, max_iter=2, reg=1e-9, rng=0)
    assert error_of(fit, truth) < 0.05
    assert fit.n_iter <= 2
    loud = truth.copy()
    loud[3] *= 50
    seen = np.where(np.isnan(seen), np.nan, loud)
    for incoherence in (None, 3.0):
        fit = complete(seen, 1, incoherence=incoherence, tol=1e-10, rng=0)
        np.testing.assert_allclose(fit.dense(), loud, rtol=1e-4, atol=1e-4)
    columns = np.vstack([np.full((9, 2), 0.1), [[3.0, 3.0]]])
    assert not _start._zero_coherent(columns, None)[9].any()
    assert not _start._zero_coherent(columns, 1.0)[9].any()
    assert not _start._zero_coherent(np.zeros((3, 1)), None).any()


# Lines.


@given(st.data())
@settings(max_examples=60)
def test_every_line_against_lstsq(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    places, k = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 6))
    mask = rng.random((8, places)) < data.draw(st.sampled_from([0.1, 0.5, 1.0]))
    mask[0] = False
    seen = np.where(mask, rng.standard_normal(mask.shape), np.nan)
    factor = rng.standard_normal((places, k))
    if data.draw(st.booleans()):
        factor[::2] = factor[0]  # duplicates
    ridge = np.full(k, data.draw(st.sampled_from([0.0, 0.3])))
    side = read_observed("seen", seen, entries=False).by_row()
    for solver in SOLVERS:
        # A small sketch may lose a direction, where steepest descent needs its many steps.
        inner = Inner(solver, 1e-13, 20_000, 2 * k + 4, False)
        for kernels in (_lines.load_kernels(), _plain):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_lines, "load_kernels", lambda kernels=kernels: kernels)
                found, steps = solve_side(side, factor, ridge, np.zeros((8, k)), inner, rng=rng)
            assert steps == 0 or solver != "cholesky"
            for i in range(8):
                A = np.vstack([factor[mask[i]], np.diag(np.sqrt(ridge))])
                b = np.append(seen[i, mask[i]], np.zeros(k))
                wanted = np.linalg.lstsq(A, b)[0]
                # The residual is unique, the coefficients are where the entries suffice.
                np.testing.assert_allclose(A @ found[i], A @ wanted, atol=1e-5)
            assert not found[0].any()


@pytest.mark.parametrize("k", [3, 40])
def test_twins_agree(k):
    rng = np.random.default_rng(k)
    mask = rng.random((12, 130)) < 0.8
    side = read_observed("x", np.where(mask, rng.standard_normal(mask.shape), np.nan)).by_row()
    factor = np.linalg.qr(rng.standard_normal((130, k)))[0]
    compiled = pytest.importorskip("tractable.algorithms.completion._compiled")
    ridge = np.full(k, 0.1)
    answers, marks = [], []
    for kernels in (compiled, _plain):
        x, unsure = np.ones((12, k)), np.zeros(12, np.bool_)
        kernels.solve_lines(*side, factor, ridge, x, unsure)
        y, steps = np.ones((12, k)), np.zeros(12, np.int64)
        kernels.iterate_lines(*side, factor, ridge, y, 1e-3, 50, steps)
        sketch = np.empty((20, k))
        bucket, sign = np.arange(130) % 20, np.where(np.arange(130) % 3, 1.0, -1.0)
        kernels.sketch_line(side.line(1)[0], factor, bucket, sign, sketch)
        answers.append(np.concatenate([x, y, sketch]))
        marks.append((unsure.tolist(), steps.tolist()))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-10)
    assert marks[0] == marks[1]


def test_the_cheapest_solver_is_chosen():
    assert choose_solver(1000, 8, 6.0) == "cholesky"
    assert choose_solver(1000, 128, 6.0) == "cg"
    assert choose_solver(10_000, 128, 400.0) == "sketch-cg"
    assert choose_solver(100, 128, 400.0) == "cholesky"


@pytest.mark.parametrize("solver", ["sketch-cg", "sketch-gradient"])
def test_a_sketch_that_lost_a_direction_is_not_trusted(solver):
    factor = np.vstack([np.tile([1.0, 0.0], (8, 1)), np.tile([0.0, 1.0], (2, 1))])
    seen = (factor @ [2.0, 3.0])[None]
    buckets = np.array([0, 1, 2, 3, 0, 1, 2, 3, 4, 4])
    signs = np.append(np.ones(8), [1.0, -1.0])  # the last two rows cancel
    side = read_observed("seen", seen, entries=False).by_row()
    found = np.zeros((1, 2))
    inner = Inner(solver, 1e-13, 50, 5, False)
    _lines._solve_sketched(side, factor, np.zeros(2), found, inner, hashes=(buckets, signs))
    np.testing.assert_allclose(found, [[2.0, 3.0]])


def test_auto_turns_to_sketches_on_coherent_lines():
    rng = np.random.default_rng(11)
    left, right = rng.standard_normal((60, 24)), rng.standard_normal((900, 24))
    right *= np.where(rng.random(900) < 0.03, 300.0, 1.0)[:, None]
    whole = left @ right.T
    whole[:, :20] = np.nan
    whole[np.arange(20), np.arange(20)] = 1.0
    fit = complete(whole, 24, max_iter=3, reg=1e-6, rng=0)
    assert set(fit.solvers) <= {"cg", "sketch-cg", "cholesky"}


def test_without_numba():
    truth, seen = make(seed=12)
    with numpy_only(completion):
        assert _lines.load_kernels() is _plain
        for solver in SOLVERS:
            assert error_of(complete(seen, 3, solver=solver, tol=1e-9, rng=0), truth) < 1e-6


# One regression.


@given(st.data())
@settings(max_examples=60)
def test_sketched_lstsq_against_lapack(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    d = data.draw(st.integers(1, 6))
    rows = data.draw(st.sampled_from([1, 5, 80, 400]))
    A = rng.standard_normal((rows, d)) * 10.0 ** rng.integers(-3, 4, d)
    if data.draw(st.booleans()) and d > 1:
        A[:, 1] = A[:, 0]  # of smaller rank
    weights = rng.uniform(0.0, 2.0, rows) if data.draw(st.booleans()) else None
    b = rng.standard_normal(rows)
    root = np.ones(rows) if weights is None else np.sqrt(weights)
    wanted = np.linalg.lstsq(root[:, None] * A, root * b)[0]
    for sketch in ("countsketch", "gaussian"):
        for iteration in ("cg", "gradient"):
            x = sketched_lstsq(
                A, b, sketch=sketch, iteration=iteration, weights=weights, eps=1e-12, rng=0
            )
            np.testing.assert_allclose(root * (A @ x), root * (A @ wanted), atol=1e-7)
            np.testing.assert_allclose(x, wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())


def test_sketched_steps_do_not_see_the_condition():
    rng = np.random.default_rng(13)
    left = np.linalg.qr(rng.standard_normal((3000, 20)))[0]
    turn = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    steps = {}
    for sketch in ("countsketch", None):
        for condition in (1.0, 1e6):
            A = left * np.geomspace(1.0, condition, 20) @ turn
            with tractable.count() as cost:
                sketched_lstsq(A, A.sum(1), sketch=sketch, max_iter=5000, rng=0)
            steps[sketch, condition] = cost["iterations"]
    assert steps["countsketch", 1e6] <= steps["countsketch", 1.0] + 10
    assert steps[None, 1e6] > 2 * steps["countsketch", 1e6]


def test_sketched_lstsq_hostile(unchecked):
    rng = np.random.default_rng(14)
    A, b = rng.standard_normal((200, 3)), rng.standard_normal(200)
    wanted = np.linalg.lstsq(A, b)[0]
    for scale in (1e-200, 1e200):
        np.testing.assert_allclose(sketched_lstsq(A * scale, b, rng=0) * scale, wanted, rtol=1e-6)
        np.testing.assert_allclose(sketched_lstsq(A, b * scale, rng=0) / scale, wanted, rtol=1e-6)
    A.setflags(write=False)
    strided = sketched_lstsq(np.repeat(A, 2, 0)[::2], np.repeat(b, 2)[::2], rng=0)
    np.testing.assert_allclose(strided, wanted, rtol=1e-6)
    np.testing.assert_allclose(sketched_lstsq(A.astype("f4"), b, rng=0), wanted, rtol=1e-4)
    assert not sketched_lstsq(np.zeros((50, 2)), np.ones(50)).any()
    assert not sketched_lstsq(A, np.zeros(200)).any()
    assert not sketched_lstsq(A, b, weights=np.zeros(200)).any()
    for bad, error in (
        (((np.zeros((0, 2)), np.zeros(0)), {}), ShapeError),
        (((A, b[:5]), {}), ShapeError),
        (((b, b), {}), ShapeError),
        (((A * 1j, b), {}), DTypeError),
        (((A, np.full(200, np.nan)), {}), DataError),
        (((A, b), {"weights": -np.ones(200)}), DataError),
        (((A, b), {"weights": np.ones(3)}), ShapeError),
        (((A, b), {"eps": 0.0}), RangeError),
        (((A, b), {"sketch": "srht"}), RangeError),
        (((A, b), {"iteration": "newton"}), RangeError),
        (((A, b), {"sketch_rows": 2}), RangeError),
        (((A, b), {"max_iter": 0}), RangeError),
        (((A, b), {"rng": "seed"}), DTypeError),
    ):
        with pytest.raises(error):
            sketched_lstsq(*bad[0], **bad[1])


# Hostile tables.


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        (np.zeros((0, 3)), ShapeError, "element"),
        (np.zeros(3), ShapeError, "2 axes"),
        (np.full((3, 3), np.nan), DataError, "no observed entry"),
        ([[1.0, np.inf], [1.0, 2.0]], DataError, "infinite"),
        ([["a", "b"]], DTypeError, "dtype"),
        (np.ones((2, 2), complex), DTypeError, "complex"),
        (np.ones((2, 2), bool), DTypeError, "bool"),
        ([[1.0, np.nan], [np.nan, np.nan]], DataError, "row 1 has no"),
        ([[1.0, np.nan], [2.0, np.nan]], DataError, "column 1 has no"),
        (sparse.coo_array(([1.0, 2.0], ([0, 0], [0, 0])), shape=(1, 1)), DataError, "twice"),
        (sparse.csr_array([[np.nan, 1.0]]), DataError, "stores NaN"),
        (sparse.csr_array((2, 2)), DataError, "no observed"),
        (sparse.csr_array((0, 2)), ShapeError, "empty"),
        (sparse.csr_array([[1j]]), DTypeError, "complex"),
    ],
)
def test_refuses_bad_tables(unchecked, table, error, words):
    with pytest.raises(error, match=words):
        complete(table, 1)
    if "column" not in words and "row" not in words:
        with pytest.raises(error, match=words):
            reference(table, 1)


def test_refuses_bad_options(unchecked):
    table = np.ones((4, 3))
    for options, words in (
        ({"rank": 4}, "at most 3"),
        ({"rank": 0}, "rank"),
        ({"reg": -1.0}, "reg"),
        ({"solver": "best"}, "cholesky"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1.0}, "tol"),
        ({"inner_tol": 1.0}, "inner_tol"),
        ({"inner_iter": 0}, "inner_iter"),
        ({"incoherence": 0.0}, "incoherence"),
        ({"rank": 2, "sketch_rows": 1}, "sketch_rows"),
    ):
        with pytest.raises(RangeError, match=words):
            complete(table, **{"rank": 1, **options})
    with pytest.raises(DTypeError, match="rank"):
        complete(table, 1.0)


def test_tables_at_the_edge():
    assert complete([[5.0]], 1, rng=0).dense().tolist() == [[5.0]]
    constant = np.full((9, 7), 2.0)
    constant[::2, ::2] = np.nan
    for rank in (1, 3):
        # With more rank than needed, what completes the table is not unique.
        fit = complete(constant, rank, rng=0, max_iter=300)
        assert fit.rmse(constant) < 1e-4
    np.testing.assert_allclose(complete(constant, 1, rng=0).dense(), 2.0, atol=1e-4)
    assert not complete(np.zeros((3, 3)), 2, rng=0).dense().any()
    truth, seen = make(seed=15)
    for scale in (1e-200, 1e200):
        fit = complete(seen * scale, 3, rng=0, tol=1e-9)
        np.testing.assert_allclose(fit.dense() / scale, truth, atol=1e-6)
        assert fit.rmse(seen * scale) < 1e-6 * scale
    assert complete(np.arange(6).reshape(2, 3), 2, rng=0).rmse(np.arange(6).reshape(2, 3)) < 1e-9
    assert complete(seen.astype("f4"), 3, rng=0).rmse(seen) < 1e-4
    held = np.asfortranarray(np.repeat(seen, 2, axis=0))[::2]
    held.setflags(write=False)
    before = held.copy()
    np.testing.assert_allclose(complete(held, 3, rng=0, tol=1e-9).dense(), truth, atol=1e-6)
    np.testing.assert_array_equal(held, before)


def test_lines_without_entries_are_zero_with_a_ridge():
    _, seen = make(seed=16)
    seen[4] = np.nan
    seen[:, 2] = np.nan
    for solver in SOLVERS:
        whole = complete(seen, 3, reg=1e-3, solver=solver, rng=0).dense()
        assert np.abs(whole[4]).max() < 1e-12
        assert np.abs(whole[:, 2]).max() < 1e-12
    huge = complete(seen, 3, reg=1e6, max_iter=200, rng=0)
    assert np.abs(huge.dense()).max() < 1e-3


def test_rows_with_fewer_entries_than_the_rank():
    _, seen = make(seed=17)
    seen[0, 1:] = np.nan
    seen[0, 0] = 1.0
    for solver in SOLVERS:
        fit = complete(seen, 3, solver=solver, rng=0)
        assert np.isfinite(fit.dense()).all()
        assert abs(fit.entries([0], [0])[0] - 1.0) < 1e-2


def test_warns_where_groups_share_nothing():
    table = np.full((6, 6), np.nan)
    table[:3, :3] = table[3:, 3:] = 1.0
    with pytest.warns(UserWarning, match="2 groups"):
        complete(table, 1, rng=0)


def test_entries_and_rmse(unchecked):
    truth, seen = make(seed=18)
    fit = complete(seen, 3, tol=1e-9, rng=0)
    np.testing.assert_allclose(fit.entries([1, 2], [3, 4]), truth[[1, 2], [3, 4]], atol=1e-6)
    assert fit.entries([], []).size == 0
    for rows, columns, error in (
        ([60], [0], RangeError),
        ([0], [-1], RangeError),
        ([0, 1], [0], ShapeError),
        ([0.5], [0], DTypeError),
    ):
        with pytest.raises(error):
            fit.entries(rows, columns)
    with pytest.raises(ShapeError, match="wanted"):
        fit.rmse(seen[:5])


# The estimator.


@pytest.fixture
def estimator():
    return pytest.importorskip("tractable.algorithms.completion.sklearn").LowRankCompletion


def test_is_an_estimator(unchecked, estimator):
    check_estimator(estimator())


def test_estimator_places_new_rows(estimator):
    truth, seen = make(seed=19)
    model = estimator(3, tol=1e-10, reg=1e-9, random_state=0).fit(seen[:50])
    np.testing.assert_allclose(model.impute(seen[50:]), truth[50:], atol=1e-4)
    np.testing.assert_allclose(model.transform(seen[:50]), model.row_factors_, atol=1e-4)
    np.testing.assert_allclose(model.reconstruct(), truth[:50], atol=1e-4)
    np.testing.assert_allclose(
        model.row_factors_ @ model.column_factors_.T, model.reconstruct(), atol=1e-9
    )
    assert model.train_rmse_ < 1e-5
    assert model.converged_
    assert len(model.history_) == model.n_iter_
    nothing = sparse.csr_array((2, seen.shape[1]))
    assert not model.transform(nothing).any()
    with pytest.raises(ShapeError, match="wanted"):
        model.inverse_transform(np.ones((2, 5)))


def test_estimator_centers_and_threads(estimator):
    truth, seen = make(seed=20)
    shift = np.arange(truth.shape[1]) * 10.0
    model = estimator(3, center=True, tol=1e-10, reg=1e-6, random_state=0).fit(seen + shift)
    threads = estimator(3, center=True, tol=1e-10, reg=1e-6, random_state=0, n_jobs=2)
    np.testing.assert_array_equal(threads.fit(seen + shift).reconstruct(), model.reconstruct())
    assert np.abs(model.mean_ - shift).max() < 2.0
    seen[:, 1] = np.nan
    lone = estimator(3, center=True, random_state=0).fit(seen)
    assert lone.predict_entries([0], [1]) == pytest.approx(lone.mean_[1])


def test_estimator_warm_start_goes_on(estimator):
    _, seen = make(seed=21)
    model = estimator(3, tol=1e-9, warm_start=True, random_state=0)
    first = model.fit(seen).n_iter_
    assert model.fit(seen).n_iter_ < first
    model.set_params(rank=2).fit(seen)  # another rank starts afresh
    assert model.singular_values_.size == 2
    with pytest.raises(RangeError, match="n_samples = 60"):
        model.set_params(rank=99).fit(seen)


def test_hidden_pixels_of_real_digits(estimator):
    datasets = pytest.importorskip("sklearn.datasets")
    pixels = datasets.load_digits().data[:600]
    hidden = np.random.default_rng(22).random(pixels.shape) < 0.7
    seen = np.where(hidden, np.nan, pixels)
    model = estimator(8, reg=20.0, center=True, random_state=0).fit(seen)
    ours = np.sqrt(np.mean((model.reconstruct() - pixels)[hidden] ** 2))
    means = np.sqrt(np.mean((model.mean_ - pixels)[hidden] ** 2))
    assert ours < 0.85 * means
