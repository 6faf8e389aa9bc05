"""Batches with gradients and the router: the solver for arrays, finite differences, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms import sparse_ot as arrays
from tractable.algorithms.sparse_ot import torch as tensors
from tractable.algorithms.sparse_ot.torch import (
    SparseOTRouter,
    route,
    sparse_ot_torch,
    topk_relu,
    topk_simplex_projection,
)


def make(batch=3, m=12, n=10, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    a, b = rng.random((batch, m)) + 0.2, rng.random((batch, n)) + 0.2
    a, b = a / a.sum(1, keepdims=True), b / b.sum(1, keepdims=True)
    costs = rng.random((batch, m, n))
    return tuple(torch.from_numpy(x).to(dtype) for x in (a, b, costs))


@pytest.mark.parametrize("formulation", ["semi_dual", "dual"])
@pytest.mark.parametrize("k", [2, 3, 12])
def test_values_are_those_of_the_solver_for_arrays(k, formulation):
    a, b, costs = make()
    options = {"formulation": formulation, "log": True}
    plan, log = sparse_ot_torch(a, b, costs, 4.0, k, num_iter_max=2000, stop_thr=1e-12, **options)
    assert int((plan > 0).sum(1).max()) <= k
    for i in range(len(costs)):
        twin, other = arrays.sparse_ot(*(x[i].numpy() for x in (a, b, costs)), 4.0, k, **options)
        close = 5e-3 if k < 12 else 1e-6  # kinks: both stop short of the maximum
        assert float(log["value"][i]) == pytest.approx(other["value"], abs=close)
        if k == 12:
            np.testing.assert_allclose(plan[i].numpy(), twin, atol=1e-4)
        if formulation == "semi_dual":
            torch.testing.assert_close(plan[i].sum(0), b[i])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    k=st.integers(1, 6),
    gamma=st.sampled_from([0.05, 1.0, 30.0]),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_objectives_and_plans_are_the_definitions(seed, k, gamma, shape):
    a, b, costs = make(2, *shape, seed=seed % 1000)
    at = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, sum(shape))))
    kept = min(k, shape[0])
    smooth = torch.full((2, 1), gamma, dtype=torch.float64)
    alpha = at[:, : shape[0]]
    value, slope, plan = tensors._project(alpha, a, b, costs.mT, smooth, kept)
    both, _, other = tensors._clip(at, a, b, costs.mT, smooth, kept)
    for i in range(2):
        numbers = [x[i].numpy() for x in (a, b, costs)]
        expected, _ = arrays.reference(alpha[i].numpy(), *numbers, gamma, k)
        assert float(value[i]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
        numbers_dual = arrays.dual(*at[i].split(shape), *numbers, gamma, k)
        assert float(both[i]) == pytest.approx(numbers_dual[0], rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(other[i].numpy(), numbers_dual[1], atol=1e-12)
    torch.testing.assert_close(slope, a - plan.sum(2))


@pytest.mark.parametrize("formulation", ["semi_dual", "dual"])
def test_value_has_danskins_gradients(formulation):
    a, b, costs = make(2, 6, 5)
    leaves = [x.clone().requires_grad_() for x in (a, b, costs)]
    options = {"formulation": formulation, "num_iter_max": 3000, "stop_thr": 0.0, "log": True}
    plan, log = sparse_ot_torch(*leaves, 6.0, 6, **options)
    of_a, of_b, of_costs = torch.autograd.grad(log["value"].sum(), leaves)
    torch.testing.assert_close(of_costs, plan, atol=1e-7, rtol=0.0)
    centred = of_a - of_a.mean(1, keepdim=True)
    torch.testing.assert_close(
        centred, log["alpha"] - log["alpha"].mean(1, keepdim=True), atol=1e-9, rtol=0.0
    )
    step = 1e-5
    for way in range(3):  # costs, then mass moved between two columns, or two rows
        moved = []
        for sign in (step, -step):
            at = [a.clone(), b.clone(), costs.clone()]
            if way == 0:
                at[2][:, 1, 2] += sign
            else:
                at[2 - way][:, 0] += sign
                at[2 - way][:, 1] -= sign
            moved.append(sparse_ot_torch(*at, 6.0, 6, **options)[1]["value"])
        slope = (moved[0] - moved[1]) / (2 * step)
        expected = (of_costs[:, 1, 2], of_b[:, 0] - of_b[:, 1], of_a[:, 0] - of_a[:, 1])[way]
        torch.testing.assert_close(slope, expected, atol=2e-4, rtol=0.0)


def test_plan_carries_gradients_and_float32_works():
    a, b, costs = make(dtype=torch.float32)
    costs.requires_grad_()
    plan = sparse_ot_torch(a, b, costs, 4.0, 3)
    assert plan.dtype == torch.float32
    (plan * torch.rand_like(plan)).sum().backward()
    assert costs.grad is not None
    assert torch.isfinite(costs.grad).all()
    assert costs.grad.abs().sum() > 0


def test_projections_are_those_for_arrays_and_pass_gradcheck():
    cube = torch.from_numpy(np.random.default_rng(3).standard_normal((3, 4, 5)))
    for dim in (0, 1, 2, -1):
        for k in (1, 2, 9):
            for one, two in (
                (topk_simplex_projection(cube, k, 2.0, dim), "topk_simplex_projection"),
                (topk_relu(cube, k, dim), "topk_relu"),
            ):
                extra = (2.0,) if "simplex" in two else ()
                twin = getattr(arrays, two)(cube.numpy(), k, *extra, axis=dim)
                np.testing.assert_allclose(one.numpy(), twin, atol=1e-12)
    leaf = cube.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: topk_simplex_projection(x, 2, 3.0), leaf)
    assert torch.autograd.gradcheck(lambda x: topk_relu(x, 2, 1), leaf)


def test_one_problem_and_shared_marginals():
    a, b, costs = make(2)
    options = {"num_iter_max": 300, "stop_thr": 0.0}
    single, log = sparse_ot_torch(a[0], b[0], costs[0], 4.0, 12, log=True, **options)
    assert single.shape == (12, 10)
    assert log["value"].shape == ()
    assert log["beta"] is None
    shared = sparse_ot_torch(a[0], b[0], costs, 4.0, 12, **options)
    torch.testing.assert_close(shared[0], single, atol=1e-5, rtol=0.0)
    strided = costs.mT.contiguous().mT
    torch.testing.assert_close(sparse_ot_torch(a, b, strided, 4.0, 12, **options)[0].sum(0), b[0])


def test_odd_but_valid_input():
    one = torch.ones(1)
    assert sparse_ot_torch(one, one, torch.tensor([[7.0]]), 1.0, 1).tolist() == [[1.0]]
    a, b, costs = make(1)
    flat = sparse_ot_torch(a, b, torch.ones_like(costs), 1.0, 12, num_iter_max=500, stop_thr=0.0)
    torch.testing.assert_close(flat.sum(2), a, atol=1e-5, rtol=0.0)
    plan = sparse_ot_torch(a, b, costs, 4.0, 12, num_iter_max=500, stop_thr=0.0)
    huge = sparse_ot_torch(a, b, costs * 2.0**300, 4 * 2.0**300, 12, num_iter_max=500, stop_thr=0.0)
    torch.testing.assert_close(huge, plan, atol=1e-6, rtol=0.0)
    twice = costs[:, [0, 0, 1, 1, *range(4, 12)]]
    torch.testing.assert_close(sparse_ot_torch(a, b, twice, 4.0, 3).sum(1), b)
    empty_column = b.clone()
    empty_column[0, 0] = 0.0
    empty_column /= empty_column.sum()
    assert not sparse_ot_torch(a, empty_column, costs, 4.0, 3)[0, :, 0].any()


def test_costs_are_counted():
    a, b, costs = make()
    with tractable.count() as cost:
        _, log = sparse_ot_torch(a, b, costs, 4.0, 3, log=True)
    assert cost["iterations"] == log["n_iter"]
    assert cost["operations"] >= log["n_iter"] * costs.numel()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda a, b, c: (a[:, :0], b, c[:, :0]), ShapeError, "empty"),
        (lambda a, b, c: (a[:, :3], b, c), ShapeError, "a has shape"),
        (lambda a, b, c: (a, b[0, :3], c), ShapeError, "b has shape"),
        (lambda a, b, c: (a, b, c[0]), ShapeError, "a has shape"),
        (lambda a, b, c: (a, b, c[0, 0]), ShapeError, "M has shape"),
        (lambda a, b, c: (a, b, c * torch.nan), DataError, "NaN"),
        (lambda a, b, c: (a * torch.inf, b, c), DataError, "NaN"),
        (lambda a, b, c: (-a, b, c), DataError, "negative"),
        (lambda a, b, c: (2 * a, b, c), DataError, "equal sums"),
        (lambda a, b, c: (0 * a, 0 * b, c), DataError, "above 0"),
        (lambda a, b, c: (a.float(), b, c), DTypeError, "a is torch.float32"),
        (lambda a, b, c: (a, b, c.long()), DTypeError, "M is torch.int64"),
        (lambda a, b, c: (a, b, c.numpy()), DTypeError, "ndarray"),
    ],
)
def test_refuses_bad_tensors(unchecked, change, error, words):
    with pytest.raises(error, match=words):
        sparse_ot_torch(*change(*make()), 1.0, 2)


def test_refuses_bad_parameters(unchecked):
    a, b, costs = make()
    for options, words in (
        ({"reg": 0.0}, "reg"),
        ({"max_nz": 0}, "max_nz"),
        ({"formulation": "primal"}, "formulation"),
        ({"num_iter_max": 0}, "num_iter_max"),
        ({"stop_thr": -1.0}, "stop_thr"),
    ):
        with pytest.raises(RangeError, match=words):
            sparse_ot_torch(a, b, costs, **{"reg": 1.0, "max_nz": 2, **options})
    for function in (topk_simplex_projection, topk_relu):
        for v, k, dim, error in (
            (torch.zeros(0), 1, -1, ShapeError),
            (torch.tensor([torch.nan]), 1, -1, DataError),
            (torch.arange(3), 1, -1, DTypeError),
            ([1.0], 1, -1, DTypeError),
            (torch.ones(3), 0, -1, RangeError),
            (torch.ones(3), 1, 4, RangeError),
        ):
            with pytest.raises(error):
                function(v, k, dim=dim)
    with pytest.raises(RangeError, match="z is"):
        topk_simplex_projection(torch.ones(2), 1, 0.0)


def scores_of(tokens=64, experts=4, favour=3.0, seed=0):
    scores = torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))
    scores[:, 0] += favour
    return scores


@settings(max_examples=30)
@given(
    tokens=st.integers(1, 40),
    experts=st.integers(1, 6),
    capacity=st.integers(1, 50),
    seed=st.integers(0, 999),
)
def test_no_expert_takes_more_than_its_capacity(tokens, experts, capacity, seed):
    scores = scores_of(tokens, experts, seed=seed)
    indices, weights, plan = route(scores, capacity)
    slots = min(capacity, tokens)
    assert indices.shape == weights.shape == (experts, slots)
    gates = scores.softmax(1)
    for expert in range(experts):
        taken = indices[expert][indices[expert] >= 0]
        assert 1 <= taken.numel() == taken.unique().numel()
        assert set(taken.tolist()) == set(plan[:, expert].nonzero()[:, 0].tolist())
        assert torch.equal(weights[expert][: taken.numel()], gates[taken, expert])
    assert not weights[indices < 0].any()


def test_a_popular_expert_shares_its_tokens():
    indices = route(scores_of(), 16).indices
    taken = indices[indices >= 0].unique()
    best_only = scores_of().argmax(1).bincount(minlength=4).clamp(max=16).sum()
    assert taken.numel() >= 60 > int(best_only)


def test_router_is_a_module():
    torch.manual_seed(0)
    router = SparseOTRouter(8, 4, capacity=5)
    tokens = torch.randn(2, 10, 8)
    found = router(tokens)
    assert found.indices.max() < 20
    found.weights.sum().backward()
    assert router.gate.weight.grad.abs().sum() > 0
    copy = SparseOTRouter(8, 4, capacity=5)
    copy.load_state_dict(router.state_dict())
    assert torch.equal(copy(tokens).indices, found.indices)
    half = route(scores_of().bfloat16(), 16)
    assert half.weights.dtype == torch.bfloat16
    constant = route(torch.zeros(6, 2), 3)
    assert constant.indices.shape == (2, 3)


def test_router_refuses(unchecked):
    router = SparseOTRouter(8, 4, capacity=5)
    for tokens in (torch.zeros(2, 3), torch.zeros(2, 3, 7)):
        with pytest.raises(ShapeError, match="batch, length, 8"):
            router(tokens)
    for options in ({"dim": 0}, {"n_experts": 0}, {"capacity": 0}, {"gamma": 0.0}, {"n_iter": 0}):
        with pytest.raises(RangeError):
            SparseOTRouter(**{"dim": 8, "n_experts": 4, "capacity": 5, **options})
    for scores, error in (
        (torch.zeros(0, 3), ShapeError),
        (torch.zeros(3), ShapeError),
        (torch.zeros(3, 2).long(), DTypeError),
        (torch.full((3, 2), torch.nan), DataError),
        ([[1.0]], DTypeError),
    ):
        with pytest.raises(error):
            route(scores, 2)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("formulation", ["semi_dual", "dual"])
def test_a_gpu_finds_what_the_cpu_finds(formulation):
    options = {"formulation": formulation, "num_iter_max": 2000, "stop_thr": 1e-12, "log": True}
    found = []
    for device in ("cpu", "cuda"):
        a, b, costs = (x.to(device).requires_grad_() for x in make())
        plan, log = sparse_ot_torch(a, b, costs, 4.0, 12, **options)
        assert plan.device == costs.device
        log["value"].sum().backward()
        found.append([x.detach().cpu() for x in (plan, log["value"], costs.grad, b.grad)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_router_works_on_a_gpu():
    router = SparseOTRouter(8, n_experts=4, capacity=5).to("cuda")
    indices, weights, plan = router(torch.randn(2, 10, 8, device="cuda"))
    assert indices.device == plan.device == router.gate.weight.device
    assert int((plan > 0).sum(0).max()) <= 5
    weights.sum().backward()
    assert bool(router.gate.weight.grad.isfinite().all())
