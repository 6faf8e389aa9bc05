"""Tensor attention against the definition, its promises, and hostile input."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from hypothesis import given, settings
from hypothesis import strategies as st

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.attention import tensor
from tractable.attention.tensor import _exact, _polynomial


def make(length=9, lengths=(7, 11), *, batch=(2, 1), width=3, out=4, bound=1.0, seed=0, dtype=None):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return 2 * torch.rand(*batch, *shape, generator=generator, dtype=torch.float64) - 1

    query = draw(length, width) * bound
    keys = tuple(draw(n, width) * bound for n in lengths)
    values = tuple(draw(n, out) for n in lengths)
    if dtype is not None:
        query, keys, values = query.to(dtype), *([x.to(dtype) for x in y] for y in (keys, values))
    return query, tuple(keys), tuple(values)


def close(one, two, tolerance=1e-12):
    torch.testing.assert_close(one, two, atol=tolerance, rtol=tolerance)


@settings(max_examples=60)
@given(
    length=st.integers(1, 9),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    batch=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    width=st.integers(1, 4),
    out=st.integers(1, 3),
    is_causal=st.booleans(),
    chunk=st.sampled_from((None, 1, 2, 5, 1000)),
    scale=st.sampled_from((None, 0.7, -0.4, 0.0)),
    seed=st.integers(0, 99),
)
def test_both_paths_equal_the_definition(
    *, length, lengths, batch, width, out, is_causal, chunk, scale, seed
):
    if is_causal:
        lengths = [length] * len(lengths)
    tensors = make(length, lengths, batch=batch, width=width, out=out, seed=seed)
    expected = tensor.reference(*tensors, scale=scale, is_causal=is_causal)
    options = {"scale": scale, "is_causal": is_causal, "chunk_size": chunk}
    close(tensor.tensor_attention(*tensors, method="exact", **options), expected)
    found, plan = tensor.tensor_attention(
        *tensors, method="poly", rtol=1e-6, return_info=True, **options
    )
    assert float((found - expected).abs().max()) <= plan.output_error + 1e-12
    assert plan.error <= 1e-6


def test_a_triple_loop_agrees():
    query, (first, second), (left, right) = make(4, (5, 3), batch=(1, 1))
    expected = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    for i in range(4):
        weights = {
            (j, k): math.exp(
                sum(
                    float(query[0, 0, i, x] * first[0, 0, j, x] * second[0, 0, k, x])
                    for x in range(3)
                )
                / 3
            )
            for j, k in itertools.product(range(5), range(3))
        }
        for (j, k), weight in weights.items():
            expected[0, 0, i] += weight * left[0, 0, j] * right[0, 0, k] / sum(weights.values())
    close(tensor.tensor_attention(query, (first, second), (left, right)), expected, 1e-3)
    close(tensor.reference(query, (first, second), (left, right)), expected)
    for chunk in (1, 3, None):
        close(
            tensor.tensor_attention(
                query, (first, second), (left, right), method="exact", chunk_size=chunk
            ),
            expected,
        )


@pytest.mark.parametrize("is_causal", [False, True])
def test_one_key_set_is_ordinary_attention(is_causal):
    query, keys, values = make(13, (13,), batch=(2, 3), width=5)
    expected = F.scaled_dot_product_attention(query, *keys, *values, is_causal=is_causal)
    options = {"scale": 5**-0.5, "is_causal": is_causal}
    close(tensor.tensor_attention(query, keys, values, method="exact", **options), expected)
    close(
        tensor.tensor_attention(query, keys, values, method="poly", rtol=1e-10, **options),
        expected,
        1e-9,
    )


@pytest.mark.parametrize("method", ["exact", "poly"])
def test_symmetries(method):
    query, keys, values = make(8, (9, 9))

    def attend(*tensors):
        return tensor.tensor_attention(*tensors, method=method)

    out = attend(query, keys, values)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    mixed = attend(query, (keys[0][:, :, order], keys[1]), (values[0][:, :, order], values[1]))
    close(mixed, out)
    close(attend(query, keys[::-1], values[::-1]), out)
    close(attend(query, keys, (2 * values[0], values[1])), 2 * out)
    constant = attend(query, [torch.ones_like(key) for key in keys], values)
    close(constant, (values[0].mean(2) * values[1].mean(2))[:, :, None].expand_as(out))
    zeros = attend(torch.zeros_like(query), keys, values)
    close(zeros, constant)


@pytest.mark.parametrize("bound", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("rtol", [1e-2, 1e-5])
def test_errors_stay_within_what_is_promised(bound, rtol):
    tensors = make(33, (33, 33), batch=(4, 1), width=4, bound=bound)
    found, plan = tensor.tensor_attention(*tensors, method="poly", rtol=rtol, return_info=True)
    wrong = float((found - tensor.reference(*tensors)).abs().max())
    assert plan.error <= rtol
    assert wrong <= plan.output_error <= 2 * rtol / (1 - rtol)


@settings(max_examples=60)
@given(
    bound=st.floats(0.0, 6.0),
    rtol=st.sampled_from((0.5, 1e-2, 1e-5)),
    basis=st.sampled_from(("auto", "taylor", "chebyshev")),
)
def test_polynomials_are_as_close_as_they_say(bound, rtol, basis):
    fit = _polynomial.fit_exp(bound, rtol, basis)
    points = np.linspace(-bound, bound, 4321)
    found = np.polynomial.polynomial.polyval(points, fit.coefficients)
    wrong = np.abs(found * np.exp(-points) - 1).max()
    assert wrong <= fit.error + 1e-9 <= rtol + 1e-9
    assert found.min() > 0
    assert np.array_equal(tensor.exp_polynomial(bound, rtol, basis=basis), fit.coefficients)


def test_taylor_errors_are_those_of_the_ends():
    for degree, bound in itertools.product(range(9), (0.1, 1.0, 4.0)):
        fit = _polynomial.fit_exp(bound, 0.5, "taylor", degree)
        ends = np.array([-bound, bound])
        found = np.polynomial.polynomial.polyval(ends, fit.coefficients)
        assert fit.error == pytest.approx(np.abs(found * np.exp(-ends) - 1).max(), rel=1e-6)
        assert np.allclose(fit.coefficients, [1 / math.factorial(t) for t in range(degree + 1)])


@settings(max_examples=30)
@given(width=st.integers(1, 5), degree=st.integers(0, 5), seed=st.integers(0, 9))
def test_monomials_and_weights_make_the_polynomial(width, degree, seed):
    exponents = tensor.monomial_exponents(width, degree)
    assert len(exponents) == math.comb(width + degree, degree)
    assert exponents.dtype == np.int16
    assert len({tuple(row) for row in exponents.tolist()}) == len(exponents)
    rng = np.random.default_rng(seed)
    query, first, second = rng.uniform(-1, 1, (3, 6, width))
    features = [
        tensor.polynomial_features(torch.from_numpy(x), degree).numpy()
        for x in (query, first, second)
    ]
    assert np.allclose(features[0], (query[:, None] ** exponents).prod(2))
    coefficients = rng.uniform(-1, 1, degree + 1)
    weights = _polynomial.monomial_weights(width, coefficients)
    scores = (query * first * second).sum(1)
    expected = np.polynomial.polynomial.polyval(scores, coefficients)
    assert np.allclose(np.prod(features, axis=0) @ weights, expected)


def test_features_keep_leading_axes():
    x = torch.rand(2, 3, 4, dtype=torch.float64).transpose(0, 1)
    assert tensor.polynomial_features(x, 3).shape == (3, 2, 35)
    assert tensor.polynomial_features(x, 0).flatten().tolist() == [1.0] * 6


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("lengths", [(4,), (4, 4), (4, 4, 4)])
@pytest.mark.parametrize(("method", "chunk"), [("exact", None), ("exact", 3), ("poly", 3)])
def test_gradcheck_passes(is_causal, lengths, method, chunk):
    query, keys, values = make(4, lengths, batch=(1, 2), width=2, out=2)
    if not is_causal:
        query = query[:, :, :3].clone()
    leaves = [x.requires_grad_() for x in (query, *keys, *values)]
    sets = len(lengths)
    options = {"method": method, "chunk_size": chunk, "is_causal": is_causal}
    # A bound that leaves room, so that no step of the check changes the polynomial.
    options |= {"bound": 1.1, "degree": 4} if method == "poly" else {}

    def attend(query, *rest):
        return tensor.tensor_attention(query, rest[:sets], rest[sets:], **options)

    assert torch.autograd.gradcheck(attend, leaves)


def test_gradients_of_the_polynomial_are_close_to_exact_ones():
    grads = []
    for method in ("exact", "poly"):
        query, keys, values = make(20, (20, 20), batch=(1, 1))
        leaves = [x.requires_grad_() for x in (query, *keys, *values)]
        out = tensor.tensor_attention(query, keys, values, method=method, rtol=1e-8)
        grads.append(torch.autograd.grad(out.square().sum(), leaves))
    for one, two in zip(*grads, strict=True):
        close(one, two, 1e-7)


def test_no_block_is_larger_than_asked(monkeypatch):
    sizes = []
    score = _exact._score

    def watch(*arguments):
        found = score(*arguments)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(_exact, "_score", watch)
    monkeypatch.setattr(_exact, "SCORES", 500)
    tensors = make(40, (40, 40), batch=(3, 2))
    found = tensor.tensor_attention(*tensors, method="exact")
    assert max(sizes) <= 500
    close(found, tensor.reference(*tensors))


def test_flops_are_counted():
    tensors = make(8, (6, 7), batch=(2, 2), width=3, out=5)
    with tractable.count() as cost:
        _, plan = tensor.tensor_attention(*tensors, method="exact", return_info=True)
    assert cost["flops"] == plan.exact_flops == 2 * 4 * 8 * 6 * 7 * (3 + 5)
    for is_causal in (False, True):
        tensors = make(8, (8, 8), width=3, out=5)
        with tractable.count() as cost:
            _, plan = tensor.tensor_attention(
                *tensors, method="poly", is_causal=is_causal, return_info=True
            )
        assert cost["flops"] == plan.flops


def test_the_cheaper_path_is_taken():
    query, keys, values = make(200, (200, 200), batch=(1, 1), width=4)
    _, plan = tensor.tensor_attention(query, keys, values, return_info=True)
    assert plan.method == "poly"
    assert plan.flops < plan.exact_flops
    assert plan.output_error > 0
    _, plan = tensor.tensor_attention(4 * query, keys, values, scale=4.0, return_info=True)
    assert plan.method == "exact"
    assert plan.output_error == 0
    _, plan = tensor.tensor_attention(*make(5, (5, 5), batch=(1, 1), width=4), return_info=True)
    assert plan.method == "exact"


@pytest.mark.parametrize("entry", [6.0, 50.0])
def test_scores_beyond_every_polynomial_are_exact(entry):
    tensors = make(6, (5, 4), bound=entry)
    out, plan = tensor.tensor_attention(*tensors, return_info=True)
    assert not plan.feasible
    assert plan.score_bound > 30
    close(out, tensor.reference(*tensors), 1e-10)
    with pytest.raises(RangeError, match=r"S = .*no polynomial.*exact"):
        tensor.tensor_attention(*tensors, method="poly")


def test_a_rank_that_explodes_is_reported():
    tensors = make(6, (5, 4), width=16, bound=1.0)
    with pytest.raises(RangeError, match=r"S = .*g = .*r = .*max_rank 30.*flops"):
        tensor.tensor_attention(*tensors, method="poly", max_rank=30, bound=1.0)
    with pytest.raises(RangeError, match="reaches zero"):
        tensor.plan_tensor_attention(3.0, width=2, lengths=(5, 5), degree=1, basis="taylor")


def test_a_bound_is_never_passed_silently():
    query, keys, values = make(bound=1.0)
    with pytest.raises(DataError, match=r"query has an entry of size 0\.\d+; wanted at most"):
        tensor.tensor_attention(query, keys, values, bound=0.5)
    with pytest.raises(DataError, match=r"keys\[1\] has an entry of size 7"):
        tensor.tensor_attention(
            query, (keys[0], 7 * keys[1] / keys[1].abs().max()), values, bound=1
        )
    _, plan = tensor.tensor_attention(query, keys, values, bound=1, return_info=True)
    assert plan.score_bound == pytest.approx(1.0)


def test_a_bound_lets_no_later_key_reach_an_earlier_output():
    query, keys, values = make(20, (20, 20))
    options = {"is_causal": True, "bound": 1.0, "method": "poly"}
    out = tensor.tensor_attention(query, keys, values, **options)
    first = [tuple(x[:, :, :12] for x in y) for y in ((query,), keys, values)]
    close(tensor.tensor_attention(first[0][0], *first[1:], **options), out[:, :, :12], 1e-10)


def test_the_score_bound_bounds_scores():
    query, keys, _ = make(20, (9, 8), width=5)
    scores = torch.einsum("bhil,bhjl,bhkl->bhijk", query, *keys) / 5
    bound = tensor.score_bound(query, keys)
    assert float(scores.abs().max()) <= bound <= 1
    assert tensor.score_bound(query, keys, -1.0) == pytest.approx(5 * bound)


@pytest.mark.parametrize("method", ["exact", "poly"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes_come_back_as_they_went_in(method, dtype):
    query, keys, values = make(40, (40, 40), bound=1.5, width=4, dtype=dtype)
    out = tensor.tensor_attention(query, keys, values, method=method, rtol=1e-4)
    assert out.dtype == dtype
    wide = (query.double(), [x.double() for x in keys], [x.double() for x in values])
    tolerance = {torch.float32: 2e-4, torch.float16: 1e-3, torch.bfloat16: 8e-3}[dtype]
    torch.testing.assert_close(
        out.double(), tensor.reference(*wide), atol=tolerance, rtol=tolerance
    )


@pytest.mark.parametrize("method", ["exact", "poly"])
@pytest.mark.parametrize("is_causal", [False, True])
def test_strided_tensors_single_tokens_and_empty_batches(method, is_causal):
    options = {"method": method, "is_causal": is_causal}
    query, keys, values = make(9, (9, 9))
    strided = [
        [x.transpose(1, 2).contiguous().transpose(1, 2) for x in y]
        for y in ((query,), keys, values)
    ]
    close(
        tensor.tensor_attention(strided[0][0], strided[1], strided[2], **options),
        tensor.tensor_attention(query, keys, values, **options),
    )
    query, keys, values = make(1, (1, 1))
    close(tensor.tensor_attention(query, keys, values, **options), values[0] * values[1])
    query, keys, values = make(5, (5, 5), batch=(0, 2))
    assert tensor.tensor_attention(query, keys, values, **options).shape == (0, 2, 5, 4)


def test_uneven_scales_neither_overflow_nor_vanish():
    query, keys, values = make(9, (9, 9))
    expected = tensor.reference(query, keys, values)
    uneven = (query * 1e30, (keys[0] * 1e-15, keys[1] * 1e-15), values)
    found = tensor.tensor_attention(*uneven, method="poly", rtol=1e-8)
    close(found, expected, 1e-7)
    close(tensor.tensor_attention(*uneven, method="exact"), expected, 1e-10)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["query", "keys[1]", "values[0]"])
def test_poison_is_refused(poison, place):
    query, keys, values = make()
    {"query": query, "keys[1]": keys[1], "values[0]": values[0]}[place][0, 0, 2, 1] = poison
    with pytest.raises(DataError, match=rf"{place[:4]}.* has NaN or infinite entries"):
        tensor.tensor_attention(query, keys, values)


def test_huge_entries_are_exact_or_refused():
    query, keys, values = make(5, (5, 5), batch=(1, 1))
    huge = [key * 1e50 for key in keys]
    out = tensor.tensor_attention(query, huge, values)
    scores = torch.einsum("bhil,bhjl,bhkl->bhijk", query, *huge).flatten(3)
    best = scores.argmax(3)
    pairs = (values[0][:, :, :, None] * values[1][:, :, None]).flatten(2, 3)
    close(out[0, 0], pairs[0, 0, best[0, 0]])
    with pytest.raises(DataError, match="scores can reach"):
        tensor.tensor_attention(query, [key * 1e200 for key in keys], values)
    with pytest.raises(DataError, match="overflow"):
        tensor.tensor_attention(query, keys, [value * 1e200 for value in values])


def wrong_inputs():
    query, keys, values = make()
    narrow = keys[0][..., :2]
    yield (query[0], keys, values), {}, ShapeError, "wanted .B, H, length, width"
    yield (query, keys[:1], values), {}, ShapeError, "1 keys and 2 values"
    yield (query, (), ()), {}, ShapeError, "at least one"
    yield (query, keys[0], values), {}, DTypeError, "wanted a tuple"
    yield (query, (keys[0], 3), values), {}, DTypeError, "wanted a tensor"
    yield (query, (narrow, keys[1]), values), {}, ShapeError, r"keys\[0\] has width 2"
    yield (query, keys, values[::-1]), {}, ShapeError, r"values\[0\] has length 11"
    yield (query, keys, (values[0], values[1][..., :1])), {}, ShapeError, "width 1"
    yield (query[:1], keys, values), {}, ShapeError, "batch and heads"
    yield (query[:, :, :0], keys, values), {}, ShapeError, "wanted a length"
    yield (query.long(), keys, values), {}, DTypeError, "floating-point"
    yield (query, (keys[0].float(), keys[1]), values), {}, DTypeError, "wanted the query's"
    yield (query, keys, values), {"is_causal": True}, ShapeError, "with is_causal"
    yield (query, keys, values), {"method": "fast"}, RangeError, "auto, exact, poly"
    yield (query, keys, values), {"basis": "legendre"}, RangeError, "auto, taylor, chebyshev"
    yield (query, keys, values), {"rtol": 0.0}, RangeError, "strictly between"
    yield (query, keys, values), {"rtol": math.nan}, RangeError, "finite"
    yield (query, keys, values), {"scale": math.inf}, RangeError, "finite"
    yield (query, keys, values), {"chunk_size": 0}, RangeError, "at least 1"
    yield (query, keys, values), {"max_rank": 2.5}, DTypeError, "integer"
    yield (query, keys, values), {"degree": -1}, RangeError, "0 to 120"
    yield (query, keys, values), {"bound": -1.0}, RangeError, "at least 0"


@pytest.mark.usefixtures("unchecked")
def test_wrong_input_is_refused():
    for arguments, options, error, message in wrong_inputs():
        with pytest.raises(error, match=message):
            tensor.tensor_attention(*arguments, **options)


@pytest.mark.usefixtures("unchecked")
def test_the_helpers_refuse_wrong_input():
    with pytest.raises(RangeError, match="no polynomial in float64"):
        tensor.exp_polynomial(40.0)
    with pytest.raises(RangeError, match="at least 0"):
        tensor.exp_polynomial(-1.0)
    with pytest.raises(RangeError, match="10,000,000"):
        tensor.monomial_exponents(64, 10)
    with pytest.raises(ShapeError, match="vectors"):
        tensor.polynomial_features(torch.tensor(1.0), 2)
    with pytest.raises(DTypeError, match="floating-point"):
        tensor.polynomial_features(torch.tensor([1]), 2)
    with pytest.raises(RangeError, match="queries and key sets"):
        tensor.plan_tensor_attention(1.0, width=2, lengths=(3,))
    with pytest.raises(DTypeError, match="whole numbers"):
        tensor.match3_head(torch.rand(1, 3), 7)
    with pytest.raises(ShapeError, match="n at least 2"):
        tensor.match3_head(torch.ones(1, 1, dtype=torch.int64), 7)
    with pytest.raises(RangeError, match="2 to 4194304"):
        tensor.match3_head(torch.ones(1, 3, dtype=torch.int64), 1)
    with pytest.raises(RangeError, match="floating-point"):
        tensor.match3_head(torch.ones(1, 3, dtype=torch.int64), 7, dtype=torch.int64)


@settings(max_examples=40)
@given(
    modulus=st.one_of(st.integers(2, 60), st.integers(2, 2**22)),
    length=st.integers(2, 20),
    seed=st.integers(0, 99),
)
def test_triples_are_found(modulus, length, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(-modulus, 2 * modulus, (3, length), generator=generator)
    pairs = (tokens[:, :, None] + tokens[:, None]).flatten(1)
    expected = ((tokens[:, :, None] + pairs[:, None]) % modulus == 0).any(2)
    assert torch.equal(tensor.detect_match3(tokens, modulus), expected)


def test_near_misses_everywhere_are_still_misses():
    tokens = torch.full((1, 60), 166)  # three of them miss 499 by one
    assert not tensor.detect_match3(tokens, 499).any()
    tokens[0, 0] = 167
    assert tensor.detect_match3(tokens, 499).all()


def test_the_detector_lies_outside_the_fast_regime():
    head = tensor.match3_head(torch.arange(1, 25)[None], 419)
    assert tensor.score_bound(head.query, head.keys, 1.0) > 10_000
    with pytest.raises(RangeError, match="no polynomial"):
        tensor.tensor_attention(head.query, head.keys, head.values, scale=1.0, method="poly")


@pytest.mark.parametrize("order", [2, 3, 4])
def test_the_layer_learns_and_stays_in_the_regime(order):
    torch.manual_seed(0)
    layer = tensor.TensorAttention(12, 3, order, clip=0.9, bias=True)
    x = 100 * torch.randn(2, 6, 12)
    out = layer(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in layer.parameters())
    shorter = layer(x[:, :4], is_causal=True)
    close(layer(x, is_causal=True)[:, :4], shorter, 1e-3)


@pytest.mark.usefixtures("unchecked")
def test_the_layer_refuses_wrong_input():
    with pytest.raises(RangeError, match="wanted a multiple"):
        tensor.TensorAttention(10, 3)
    with pytest.raises(RangeError, match="at least 2"):
        tensor.TensorAttention(12, 3, 1)
    with pytest.raises(RangeError, match="above 0"):
        tensor.TensorAttention(12, 3, clip=0.0)
    with pytest.raises(ShapeError, match="n, 12"):
        tensor.TensorAttention(12, 3)(torch.zeros(2, 12))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_layer_keeps_its_bound_in_every_dtype(dtype):
    torch.manual_seed(0)
    layer = tensor.TensorAttention(12, 3, clip=0.9).to(dtype)
    out = layer(1000 * torch.randn(1, 50, 12, dtype=dtype))
    assert out.dtype == dtype
    assert torch.isfinite(out).all()
