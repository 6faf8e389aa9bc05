"""Sparse transport: the definition, independent optima, and hostile input."""

import itertools
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import numpy_only
from scipy import optimize

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms import sparse_ot as package
from tractable.algorithms.sparse_ot import (
    dual,
    reference,
    round_to_marginals,
    semi_dual,
    sparse_ot,
    topk_relu,
    topk_simplex_projection,
)


@st.composite
def problems(draw, most=6):
    m, n = draw(st.integers(1, most)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    a, b = rng.random(m) + 0.05, rng.random(n)
    b[rng.random(n) < 0.2] = 0.0
    b[0] += 0.1
    kind = draw(st.sampled_from(["normal", "ties", "constant"]))
    costs = {
        "normal": rng.standard_normal((m, n)),
        "ties": rng.integers(0, 3, (m, n)).astype(float),
        "constant": np.ones((m, n)),
    }[kind]
    scale = draw(st.sampled_from([1e-6, 1.0, 1e6]))
    gamma = draw(st.sampled_from([0.01, 1.0, 30.0])) * scale
    return a / a.sum(), b / b.sum(), costs * scale, gamma, draw(st.integers(1, most + 1)), rng


def clouds(n, seed=0):
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((n, 2)), rng.standard_normal((n, 2)) + np.array([1.0, 0])
    weights = np.full(n, 1 / n)
    return weights, weights, ((first[:, None] - second) ** 2).sum(-1)


@pytest.fixture(params=["numba", "numpy"])
def engine(request):
    with numpy_only(package) if request.param == "numpy" else nullcontext():
        yield request.param


@settings(max_examples=60)
@given(problem=problems())
@pytest.mark.parametrize("compiled", [True, False])
def test_semi_dual_is_the_definition(compiled, problem):
    a, b, costs, gamma, k, rng = problem
    alpha = rng.standard_normal(a.size) * np.abs(costs).max()
    with nullcontext() if compiled else numpy_only(package):
        value, plan = semi_dual(alpha, a, b, costs, gamma, k)
    expected, _ = reference(alpha, a, b, costs, gamma, k)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12 * np.abs(costs).max())
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-12)
    assert plan.min() >= 0
    assert (plan > 0).sum(0).max() <= k


def test_plan_is_the_definitions_without_ties(engine):
    rng = np.random.default_rng(5)
    for k in range(1, 7):
        a, b = rng.random(5), rng.random(4)
        b *= a.sum() / b.sum()
        alpha, costs = rng.standard_normal(5), rng.standard_normal((5, 4))
        plan = semi_dual(alpha, a, b, costs, 2.0, k)[1]
        np.testing.assert_allclose(plan, reference(alpha, a, b, costs, 2.0, k)[1], atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 31, 32, 33, 40, 90, 100])
def test_engines_agree_on_long_columns(k):
    rng = np.random.default_rng(k)
    for costs in (rng.standard_normal((90, 30)), rng.integers(0, 4, (90, 30))):
        alpha, beta = rng.standard_normal(90), rng.standard_normal(30)
        a, b = np.full(90, 1 / 90), np.full(30, 1 / 30)
        found = semi_dual(alpha, a, b, costs, 50.0, k), dual(alpha, beta, a, b, costs, 5.0, k)
        with numpy_only(package):
            again = semi_dual(alpha, a, b, costs, 50.0, k), dual(alpha, beta, a, b, costs, 5.0, k)
        for (value, plan), (other, twin) in zip(found, again, strict=True):
            assert value == pytest.approx(other, rel=1e-12)
            np.testing.assert_allclose(plan, twin, atol=1e-14)


@settings(max_examples=40)
@given(problem=problems(5))
def test_dual_is_the_best_of_all_supports(problem):
    a, b, costs, gamma, k, rng = problem
    alpha, beta = rng.standard_normal(a.size), rng.standard_normal(b.size)
    scale = np.abs(costs).max()
    value, plan = dual(alpha * scale, beta * scale, a, b, costs, gamma, k)
    scores = (alpha[:, None] + beta) * scale - costs
    total = 0.0
    for column in scores.T:
        supports = itertools.combinations(range(a.size), min(k, a.size))
        total += max((np.maximum(column[list(s)], 0) ** 2).sum() for s in supports) / (2 * gamma)
    expected = scale * (alpha @ a + beta @ b) - total
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)
    assert (plan > 0).sum(0).max() <= k


def maximise_by_planes(a, b, costs, gamma, k):
    """Kelley's cutting planes on the definition, in a box that holds a maximiser."""
    m, width = a.size, 3 * np.ptp(costs) + 3 * gamma * b.max() + 1.0
    bounds = [(0.0, 0.0)] + [(-width, width)] * (m - 1) + [(None, None)]
    cuts, limits, alpha, best = [], [], np.zeros(m), -np.inf
    for _ in range(400):
        value, plan = reference(alpha, a, b, costs, gamma, k)
        best = max(best, value)
        slope = a - plan.sum(1)
        cuts.append([*-slope, 1.0])
        limits.append(value - slope @ alpha)
        found = optimize.linprog([0.0] * m + [-1.0], cuts, limits, bounds=bounds)
        alpha, above = found.x[:m], found.x[m]
        if above - best <= 1e-7 * max(1.0, abs(above)):
            break
    return best, above


@pytest.mark.parametrize("formulation", ["semi_dual", "dual"])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_small_problems_reach_the_maximum(k, formulation):
    rng = np.random.default_rng(k)
    for _ in range(3):
        a, b = rng.dirichlet(np.full(4, 3.0)), rng.dirichlet(np.full(4, 3.0))
        costs = rng.standard_normal((4, 4))
        low, high = maximise_by_planes(a, b, costs, 2.0, k)
        _, log = sparse_ot(a, b, costs, 2.0, k, formulation=formulation, log=True)
        if formulation == "semi_dual":
            assert low - 1e-3 <= log["value"] <= high + 1e-7  # kinks cost the fourth digit
        else:  # its conjugate lacks the column sum: never above the semi-dual
            assert log["value"] <= high + 1e-7
        if k == 4:
            assert log["value"] == pytest.approx(high, abs=1e-6)
            assert log["row_error"] + log["column_error"] < 1e-3


def test_no_sparse_plan_costs_less_than_the_value():
    a, b, costs = clouds(12)
    rows, columns = optimize.linear_sum_assignment(costs)
    plan = np.zeros_like(costs)
    plan[rows, columns] = 1 / 12
    for k in (1, 2, 5, 12):
        value = sparse_ot(a, b, costs, 12.0, k, log=True)[1]["value"]
        assert value <= (plan * costs).sum() + 6.0 * (plan**2).sum() + 1e-12


def test_one_nonzero_is_the_assignment(engine):
    a, b, costs = clouds(40)
    plan, log = sparse_ot(a, b, costs, 4.0, 1, log=True)
    rows, columns = optimize.linear_sum_assignment(costs)
    assert (plan * costs).sum() == pytest.approx(costs[rows, columns].mean(), rel=1e-3)
    assert log["row_error"] < 1e-12


def quadratic_dual(at, a, b, costs, gamma):
    """The dual of quadratic transport and its gradient, for BFGS."""
    scores = np.maximum(at[: a.size, None] + at[a.size :] - costs, 0)
    value = (scores**2).sum() / (2 * gamma) - at @ np.r_[a, b]
    return value, np.r_[scores.sum(1), scores.sum(0)] / gamma - np.r_[a, b]


@pytest.mark.parametrize("k", [20, 30, 99])
def test_many_nonzeros_are_quadratic_transport(k):
    a, b, costs = clouds(30)
    plan = sparse_ot(a, b, costs, 3.0, k)
    found = optimize.minimize(
        lambda x: quadratic_dual(x, a, b, costs, 3.0),
        np.zeros(60),
        jac=True,
        options={"maxiter": 5000, "gtol": 1e-11},
    )
    expected = np.maximum(found.x[:30, None] + found.x[30:] - costs, 0) / 3
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    assert np.abs(plan.sum(1) - a).sum() < 1e-4


def test_objective_is_not_below_pot():
    pytest.importorskip("ot", reason="POT is not installed")
    import contextlib
    import io
    import warnings

    from ot import smooth

    for k, n in ((8, 64), (20, 64)):
        a, b, costs = clouds(n)
        options = {"reg_type": "sparsity_constrained", "max_nz": k, "log": True, "stopThr": 1e-12}
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that SciPy will drop
            twin, their = smooth.smooth_ot_semi_dual(a, b, costs, 0.1 * n, **options)
        plan, log = sparse_ot(a, b, costs, 0.1 * n, k, log=True)
        assert log["value"] >= -their["res"].fun - 1e-8
        np.testing.assert_allclose(plan, twin, atol=1e-5)


def test_value_has_the_stated_gradient(engine):
    a, b, costs = clouds(9)
    rng = np.random.default_rng(1)
    alpha, beta, step = rng.standard_normal(9), rng.standard_normal(9), 1e-6
    _, plan = semi_dual(alpha, a, b, costs, 5.0, 3)
    _, other = dual(alpha, beta, a, b, costs, 5.0, 3)
    for i in range(9):
        e = step * np.eye(9)[i]
        up, down = (semi_dual(alpha + s, a, b, costs, 5.0, 3)[0] for s in (e, -e))
        assert (up - down) / (2 * step) == pytest.approx(a[i] - plan[i].sum(), abs=1e-6)
        up, down = (dual(alpha, beta + s, a, b, costs, 5.0, 3)[0] for s in (e, -e))
        assert (up - down) / (2 * step) == pytest.approx(b[i] - other[:, i].sum(), abs=1e-6)


def test_units_and_order_do_not_matter(engine):
    a, b, costs = clouds(15)
    plan = sparse_ot(a, b, costs, 15.0, 15)
    scaled = sparse_ot(1e3 * a, 1e3 * b, 2.0**30 * costs, 15.0 * 2**30 / 1e3, 15)
    np.testing.assert_allclose(scaled, 1e3 * plan, atol=1e-2)
    order = np.random.default_rng(2).permutation(15)
    mixed = sparse_ot(a, b, costs[order][:, order], 15.0, 15)
    np.testing.assert_allclose(mixed, plan[order][:, order], atol=1e-5)


@pytest.mark.parametrize("formulation", ["semi_dual", "dual"])
def test_sparse_output_log_and_warm_start(formulation, engine):
    a, b, costs = clouds(24)
    options = {"formulation": formulation, "log": True}
    plan, log = sparse_ot(a, b, costs, 5.0, 4, **options)
    csc, _ = sparse_ot(a, b, costs, 5.0, 4, as_sparse=True, **options)
    assert csc.format == "csc"
    assert csc.has_sorted_indices
    np.testing.assert_array_equal(csc.toarray(), plan)
    assert np.diff(csc.indptr).max() <= 4
    start = log["alpha"] if formulation == "semi_dual" else np.r_[log["alpha"], log["beta"]]
    _, again = sparse_ot(a, b, costs, 5.0, 4, warm_start=start, **options)
    assert again["value"] >= log["value"] - 1e-9
    assert again["n_iter"] < log["n_iter"]
    value = (
        semi_dual(log["alpha"], a, b, costs, 5.0, 4)
        if formulation == "semi_dual"
        else dual(log["alpha"], log["beta"], a, b, costs, 5.0, 4)
    )[0]
    assert log["value"] == pytest.approx(value, rel=1e-9)
    assert log["row_error"] == pytest.approx(np.abs(plan.sum(1) - a).sum())
    _, short = sparse_ot(a, b, costs, 5.0, 4, num_iter_max=3, **options)
    assert not short["converged"]
    assert short["n_iter"] <= 3


def test_costs_are_counted():
    a, b, costs = clouds(10)
    with tractable.count() as cost:
        _, log = sparse_ot(a, b, costs, 1.0, 2, log=True)
    assert cost["iterations"] == log["n_iter"]
    assert cost["operations"] % 100 == 0
    assert cost["operations"] >= 100 * log["n_iter"]


def project_by_supports(v, k, z):
    best, out = np.inf, None
    for size in range(1, k + 1):
        for support in map(list, itertools.combinations(range(v.size), size)):
            part = v[support] + (z - v[support].sum()) / size
            if part.min() >= 0:
                trial = np.zeros(v.size)
                trial[support] = part
                distance = ((trial - v) ** 2).sum()
                if distance < best:
                    best, out = distance, trial
    return best, out


@settings(max_examples=60)
@given(
    v=st.lists(st.one_of(st.floats(-5, 5), st.integers(-2, 2).map(float)), min_size=1, max_size=6),
    k=st.integers(1, 7),
    z=st.sampled_from([1e-3, 1.0, 40.0]),
)
def test_projections_are_nearest(v, k, z):
    v = np.array(v)
    found = topk_simplex_projection(v, k, z)
    best, _ = project_by_supports(v, min(k, v.size), z)
    assert ((found - v) ** 2).sum() == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert found.sum() == pytest.approx(z)
    assert np.count_nonzero(found) <= k
    kept = topk_relu(v, k)
    assert np.count_nonzero(kept) <= k
    assert kept.sum() == pytest.approx(np.sort(np.maximum(v, 0))[::-1][:k].sum())
    assert all(x in (0.0, y) for x, y in zip(kept, v, strict=True))


def test_projections_along_axes():
    cube = np.random.default_rng(0).standard_normal((3, 4, 5))
    for axis in (0, 1, 2, -1, -3):
        for function in (topk_simplex_projection, topk_relu):
            found = function(cube, 2, axis=axis)
            moved = function(np.moveaxis(cube, axis, -1).copy(), 2)
            np.testing.assert_array_equal(found, np.moveaxis(moved, -1, axis))
    assert topk_simplex_projection([7], 3).tolist() == [1.0]
    assert topk_simplex_projection([2.0, 2.0, 2.0], 2).tolist() == [0.5, 0.5, 0.0]
    assert topk_simplex_projection([1e300, -1e300], 1).tolist() == [1.0, 0.0]
    strided = np.arange(12.0)[::3]
    strided.setflags(write=False)
    assert topk_relu(strided, 1).tolist() == [0, 0, 0, 9]


@settings(max_examples=60)
@given(problem=problems())
def test_rounding_meets_the_sums(problem):
    a, b, rng = problem[0], problem[1], problem[-1]
    plan = rng.random((a.size, b.size)) * (rng.random((a.size, b.size)) < 0.4)
    plan /= max(plan.sum(), 1e-9)
    before = plan.copy()
    found = round_to_marginals(plan, a, b)
    np.testing.assert_array_equal(plan, before)
    np.testing.assert_allclose(found.sum(1), a, atol=1e-12)
    np.testing.assert_allclose(found.sum(0), b, atol=1e-12)
    assert found.min() >= 0
    assert (found > 0).sum() <= (plan > 0).sum() + a.size + b.size - 1
    error = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
    assert np.abs(found - plan).sum() <= 2 * error + 1e-12


def test_rounding_keeps_a_plan_that_fits():
    a, b, costs = clouds(20)
    plan = np.diag(a)
    np.testing.assert_array_equal(round_to_marginals(plan, a, b), plan)
    with pytest.raises(DataError, match="negative"):
        round_to_marginals(-plan, a, b)
    rough = sparse_ot(a, b, costs, 20.0, 3)
    exact = round_to_marginals(rough, a, b)
    np.testing.assert_allclose(exact.sum(1), a, atol=1e-12)


def every_call():
    """Each public function of problems as a function of (a, b, M, reg, k)."""
    return {
        "semi_dual": lambda a, b, M, r, k: semi_dual(np.zeros(len(a)), a, b, M, r, k),
        "dual": lambda a, b, M, r, k: dual(np.zeros(len(a)), np.zeros(len(b)), a, b, M, r, k),
        "reference": lambda a, b, M, r, k: reference(np.zeros(len(a)), a, b, M, r, k),
        "sparse_ot": sparse_ot,
        "by the dual": lambda *args: sparse_ot(*args, formulation="dual"),
        "round": lambda a, b, M, r, k: round_to_marginals(M, a, b),
    }


HALF = [0.5, 0.5]
COSTS = [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("name", every_call())
@pytest.mark.parametrize(
    ("a", "b", "M", "error", "words"),
    [
        ([], HALF, np.zeros((0, 2)), ShapeError, "element"),
        (HALF, [], np.zeros((2, 0)), ShapeError, "element"),
        (HALF, HALF, np.zeros((2, 3)), ShapeError, r"\(2, 2\)"),
        (HALF, HALF, [0.0, 1.0], ShapeError, "2 axes"),
        ([HALF], HALF, COSTS, ShapeError, "1 axes"),
        ([0.5, np.nan], HALF, COSTS, DataError, "NaN"),
        (HALF, HALF, [[0.0, np.inf], [1.0, 0.0]], DataError, "NaN"),
        ([-0.5, 1.5], HALF, COSTS, DataError, "negative"),
        ([0.5, 0.4], HALF, COSTS, DataError, "equal sums"),
        ([0.0, 0.0], [0.0, 0.0], COSTS, DataError, "above 0"),
        (["x", "y"], HALF, COSTS, DTypeError, "dtype"),
        (HALF, HALF, np.array(COSTS) * 1j, DTypeError, "dtype"),
        (HALF, HALF, np.array(COSTS, bool), DTypeError, "dtype"),
        (HALF, HALF, [[0.0, 1e308], [-1e308, 0.0]], DataError, "overflow"),
        ([1e308, 1e308], [1e308, 1e308], COSTS, DataError, "overflow"),
    ],
)
def test_refuses_bad_arrays(unchecked, name, a, b, M, error, words):  # noqa: PLR0917
    with pytest.raises(error, match=words):
        every_call()[name](a, b, M, 1.0, 1)


@pytest.mark.parametrize("name", list(every_call())[:-1])
def test_refuses_bad_parameters(unchecked, name):
    call = every_call()[name]
    for reg, error in (
        (0.0, RangeError),
        (-1.0, RangeError),
        (np.nan, RangeError),
        ("1", TypeError),
    ):
        with pytest.raises(error, match="reg"):
            call(HALF, HALF, COSTS, reg, 1)
    for k, error in ((0, RangeError), (1.0, DTypeError), (True, DTypeError)):
        with pytest.raises(error, match="max_nz"):
            call(HALF, HALF, COSTS, 1.0, k)


def test_refuses_bad_options(unchecked):
    for options, words in (
        ({"formulation": "primal"}, "formulation"),
        ({"num_iter_max": 0}, "num_iter_max"),
        ({"stop_thr": -1.0}, "stop_thr"),
        ({"warm_start": [0.0]}, "warm_start"),
        ({"warm_start": [0.0, np.nan]}, "warm_start"),
    ):
        with pytest.raises((RangeError, ShapeError, DataError), match=words):
            sparse_ot(HALF, HALF, COSTS, 1.0, 1, **options)
    with pytest.raises(ShapeError, match="alpha"):
        semi_dual([0.0], HALF, HALF, COSTS, 1.0, 1)
    for function in (topk_simplex_projection, topk_relu):
        for v, k, axis, error in (
            ([], 1, -1, ShapeError),
            ([np.nan], 1, -1, DataError),
            (["a"], 1, -1, DTypeError),
            ([1.0], 0, -1, RangeError),
            ([1.0], 1, 1, RangeError),
            (3.0, 1, -1, RangeError),
        ):
            with pytest.raises(error):
                function(v, k, axis=axis)
    with pytest.raises(RangeError, match="z is"):
        topk_simplex_projection([1.0], 1, 0.0)


@pytest.mark.parametrize("formulation", ["semi_dual", "dual"])
def test_odd_but_valid_input(formulation, engine):
    def solve(*args, **options):
        return sparse_ot(*args, formulation=formulation, **options)

    np.testing.assert_allclose(solve([1.0], [1.0], [[5.0]], 1.0, 1), [[1.0]], atol=1e-6)
    flat = solve(np.full(3, 1 / 3), np.full(4, 1 / 4), np.ones((3, 4)), 1.0, 3)
    np.testing.assert_allclose(flat, np.full((3, 4), 1 / 12), atol=1e-6)
    a, b, costs = clouds(8)
    plan = solve(a, b, costs, 2.0, 8)
    strided = np.repeat(np.repeat(costs, 2, 0), 2, 1)[::2, ::2]
    strided.setflags(write=False)
    np.testing.assert_array_equal(solve(a, b, strided, 2.0, 8), plan)
    np.testing.assert_array_equal(solve(a, b, np.asfortranarray(costs), 2.0, 8), plan)
    single = solve(a.astype(np.float32), b, costs.astype(np.float32), 2.0, 8)
    np.testing.assert_allclose(single, plan, atol=1e-5)
    whole = solve([1, 1], [1, 1], [[0, 9], [9, 0]], 1.0, 2)
    np.testing.assert_allclose(whole, np.eye(2), atol=1e-6)
    huge = solve(a, b, 1e200 * costs, 2e200, 8)
    np.testing.assert_allclose(huge, plan, atol=1e-5)
    far = solve(a, b, costs + 1e9, 2.0, 8)  # a constant changes no plan
    np.testing.assert_allclose(far, plan, atol=1e-3)
    twice = solve(np.full(4, 0.25), HALF, [[0, 1], [0, 1], [1, 0], [1, 0]], 1.0, 2)
    np.testing.assert_allclose(twice.sum(1), 0.25, atol=1e-6)  # duplicate rows
    empty_column = solve([0.5, 0.5], [1.0, 0.0], [[0.0, 1.0], [2.0, 3.0]], 1.0, 2)
    np.testing.assert_allclose(empty_column[:, 1], 0.0, atol=1e-9)


def test_warns_where_rows_cannot_be_reached():
    with pytest.warns(UserWarning, match="raise max_nz"):
        plan = sparse_ot(np.full(5, 0.2), HALF, np.ones((5, 2)), 1.0, 2)
    assert (plan > 0).sum() <= 4


def test_without_numba():
    a, b, costs = clouds(12)
    wanted = sparse_ot(a, b, costs, 3.0, 12)
    with numpy_only(package):
        np.testing.assert_allclose(sparse_ot(a, b, costs, 3.0, 12), wanted, atol=1e-6)


def test_imports_without_torch_and_pot():
    code = (
        "import sys; sys.modules.update(torch=None, ot=None, numba=None)\n"
        "import tractable.algorithms.sparse_ot as s; assert s.sparse_ot"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
