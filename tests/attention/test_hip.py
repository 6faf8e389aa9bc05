"""HiP attention against dense attention, against the plain loops, and under hostile input."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import flex_attention

import tractable
from tractable._core import DataError, RangeError, ShapeError
from tractable.attention import hip
from tractable.attention.hip import _paths, _reference

BACKENDS = ("torch", "numba")
SMALL = {"budget": 16, "block_q": 8, "num_sink": 3, "window": 5, "dense_queries": 0}


def make(
    length=150,
    total=200,
    *,
    heads=4,
    key_heads=2,
    batch=2,
    width=16,
    seed=0,
    whole=True,
    dtype=None,
):
    """Whole-numbered queries and keys: their products are exact, so choices are too."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, length, width), *[(batch, key_heads, total, width)] * 2]
    if whole:
        tensors = [torch.randint(-3, 4, shape, generator=generator).float() for shape in shapes]
    else:
        tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    return [tensor.to(dtype or torch.float32) for tensor in tensors]


def attend(query, key, value, **options):
    return hip.hip_attention(query, key, value, enable_gqa=True, **{**SMALL, **options})


def dense(query, key, value, mask, scale=None):
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)


def causal(length, total):
    return torch.ones(length, total).tril(total - length).bool()


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 70),
    extra=st.integers(0, 60),
    blocks=st.integers(1, 9),
    block_q=st.integers(1, 20),
    block_k=st.integers(1, 4),
    stride_q=st.integers(1, 3),
    stride_k=st.integers(1, 3),
    num_sink=st.integers(0, 6),
    window=st.integers(0, 9),
    representative=st.sampled_from(("center", "first", "last", "random")),
    is_causal=st.booleans(),
    backend=st.sampled_from(BACKENDS),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_loops(
    *, length, extra, is_causal, backend, seed, blocks, block_k, representative, **shape
):
    query, key, value = make(length, length + extra, seed=seed, batch=1, width=6)
    options = {
        "budget": blocks * block_k,
        "block_k": block_k,
        "representative": representative,
        "dense_queries": 0,
        **shape,
    }
    generator = torch.Generator().manual_seed(seed)
    out, mask = attend(
        query,
        key,
        value,
        is_causal=is_causal,
        backend=backend,
        generator=generator,
        return_mask=True,
        **options,
    )
    if (mask.local_start == 0).all():
        expected = dense(query, key, value, causal(length, length + extra) if is_causal else None)
    else:
        drawn = int(torch.randint(2**31, (1,), generator=torch.Generator().manual_seed(seed)))
        expected = hip.reference(
            query,
            key,
            value,
            hip.HipSettings(**options),
            is_causal=is_causal,
            seed=drawn if representative == "random" else 0,
        )
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("total", [40, 96, 200])
def test_a_budget_for_all_keys_equals_dense_attention(total, is_causal):
    query, key, value = make(40, total, whole=False)
    mask = causal(40, total) if is_causal else None
    expected = dense(query, key, value, mask)
    out = attend(query, key, value, budget=200, is_causal=is_causal)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    short = attend(query, key, value, budget=total - 8, is_causal=is_causal)
    torch.testing.assert_close(short, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("first", [None, [0, 61], [130, 199]])
def test_the_sparse_pass_equals_dense_attention_under_the_mask(backend, first):
    query, key, value = make(whole=False)
    first_key = None if first is None else torch.tensor(first)
    mask = hip.hip_mask(query, key, enable_gqa=True, first_key=first_key, **SMALL)
    allowed = mask.to_dense()
    out, lse = hip.block_sparse_attention(
        query, key, value, mask, scale=0.7, return_lse=True, backend=backend
    )
    reads = allowed.any(-1)
    expected = dense(query, key, value, allowed | ~reads[..., None], scale=0.7)
    expected = expected * reads[..., None]
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    scores = 0.7 * query @ key.repeat_interleave(2, 1).mT
    scores = scores.masked_fill(~allowed, -torch.inf)
    torch.testing.assert_close(lse, scores.logsumexp(-1), atol=1e-5, rtol=1e-5)
    assert mask.density() == pytest.approx(_density(allowed, first_key), rel=1e-5)


def _density(allowed, first_key):
    full = causal(150, 200)[None]
    if first_key is not None:
        full = full & (torch.arange(200) >= first_key[:, None])[:, None]
    return float(allowed.float().mean(1).sum() / full.expand(2, -1, -1).sum())


def test_the_compiled_tree_chooses_what_the_torch_tree_chooses():
    query, key, _ = make(600, 777, whole=True)
    for options in (SMALL, {**SMALL, "block_q": 1}, {**SMALL, "block_k": 4, "stride_k": 2}):
        one, two = (
            hip.hip_mask(query, key, enable_gqa=True, backend=backend, **options)
            for backend in BACKENDS
        )
        assert torch.equal(one.indices, two.indices)
        assert torch.equal(one.counts, two.counts)


def test_kept_blocks_are_distinct_sorted_and_before_the_limit():
    query, key, _ = make(300, 300)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    blocks = (mask.local_start - mask.sink_end + 1) // 2
    expected = blocks.clamp(max=8)[:, None].expand_as(mask.counts)
    assert torch.equal(mask.counts.long(), expected)
    for row in mask.indices.reshape(-1, 8):
        kept = row[row >= 0]
        assert (kept.diff() > 0).all()
        assert (row[len(kept) :] == -1).all()
    assert (mask.indices.amax(-1) < blocks[:, None]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_later_key_changes_no_earlier_query(backend):
    query, key, value = make(200, 200, whole=False)
    before = attend(query, key, value, backend=backend)
    key[:, :, 120:], value[:, :, 120:] = 9.0, -9.0
    after = attend(query, key, value, backend=backend)
    assert torch.equal(before[:, :, :120], after[:, :, :120])
    assert not torch.allclose(before[:, :, 120:], after[:, :, 120:])


@pytest.mark.parametrize("backend", BACKENDS)
def test_permuted_heads_give_permuted_outputs(backend):
    query, key, value = make(heads=4, key_heads=4)
    order = torch.tensor([2, 0, 3, 1])
    out = attend(query, key, value, backend=backend)
    other = attend(query[:, order], key[:, order], value[:, order], backend=backend)
    torch.testing.assert_close(other, out[:, order], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_padding_on_the_left_equals_the_text_without_it(backend):
    query, key, value = make(200, 200, batch=1)
    out = attend(
        query,
        key,
        value,
        first_key=torch.tensor([40]),
        backend=backend,
    )
    alone = attend(query[:, :, 40:], key[:, :, 40:], value[:, :, 40:], backend=backend)
    torch.testing.assert_close(out[:, :, 40:], alone, atol=1e-5, rtol=1e-5)
    assert (out[:, :, :40] == 0).all()
    short = attend(query, key, value, first_key=torch.tensor([40]), budget=400)
    expected = dense(query[:, :, 40:], key[:, :, 40:], value[:, :, 40:], causal(160, 160))
    torch.testing.assert_close(short[:, :, 40:], expected, atol=1e-5, rtol=1e-5)
    assert (short[:, :, :40] == 0).all()
    mask = hip.hip_mask(query, key, enable_gqa=True, first_key=torch.tensor([40]), budget=400)
    assert torch.equal(attend(query, key, value, mask=mask), short)


def test_early_positions_are_dense_and_the_rule_forgets_the_length():
    query, key, value = make(400, 400, whole=False)
    out, mask = attend(query, key, value, dense_queries="auto", return_mask=True)
    expected = dense(query, key, value, causal(400, 400))
    torch.testing.assert_close(out[:, :, :160], expected[:, :, :160], atol=1e-5, rtol=1e-5)
    assert (mask.local_start[:, :20] == 0).all()
    assert (mask.local_start[:, 20:] > 0).all()
    fewer = attend(query[:, :, :304], key[:, :, :304], value[:, :, :304], dense_queries="auto")
    torch.testing.assert_close(fewer, out[:, :, :304], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_decoding_with_a_fresh_mask_equals_prefill_rows(backend):
    query, key, value = make(60, 160)
    options = {**SMALL, "block_q": 1}
    rows = attend(query, key, value, backend=backend, **options)
    state = hip.HipDecodeState(refresh_every=1, backend=backend, **options)
    for row in range(60):
        end = 101 + row
        out = state.step(0, query[:, :, row : row + 1], key[:, :, :end], value[:, :, :end])
        torch.testing.assert_close(out, rows[:, :, row : row + 1], atol=1e-5, rtol=1e-5)


def _reads_of_steps(state, steps, layer=0):
    reads = []
    for query, key in steps:
        with tractable.count() as cost:
            state.step(layer, query, key, key)
        reads.append(cost["key reads"])
    return reads


def test_a_mask_serves_several_steps_and_its_local_keys_grow():
    query, key, _ = make(1, 300, whole=False)
    state = hip.HipDecodeState(refresh_every=4, **SMALL)
    reads = _reads_of_steps(state, [(query, key[:, :, : 250 + i]) for i in range(6)])
    kept = 2 * 4 * (16 + 3 + 5)
    assert reads[1:4] == [kept + 8, kept + 16, kept + 24]
    assert reads[0] > reads[3]
    assert reads[4] > reads[3]


@pytest.mark.parametrize("change", ["prompt", "shorter", "batch", "heads", "padding"])
def test_a_changed_cache_makes_a_new_mask(change):
    query, key, value = make(1, 300, whole=False)
    state = hip.HipDecodeState(refresh_every=100, **SMALL)
    state.step(0, query, key[:, :, :250], value[:, :, :250])
    first_key, end = None, 251
    if change == "prompt":
        key = key.flip(2)
    elif change == "shorter":
        end = 240
    elif change == "batch":
        query, key, value = query[:1], key[:1], value[:1]
    elif change == "heads":
        query = query[:, :2]
    else:
        first_key = torch.tensor([0, 30])
    out = state.step(0, query, key[:, :, :end], value[:, :, :end], first_key=first_key)
    fresh = hip.HipDecodeState(**SMALL)
    expected = fresh.step(0, query, key[:, :, :end], value[:, :, :end], first_key=first_key)
    assert torch.equal(out, expected)
    state.reset()
    assert torch.equal(
        state.step(0, query, key[:, :, :end], value[:, :, :end], first_key=first_key), expected
    )


def test_gradients_equal_dense_ones_under_the_same_mask():
    query, key, value = make(70, 90, batch=1, width=5, whole=False, dtype=torch.float64)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]
    weight = torch.randn(1, 4, 70, 5, dtype=torch.float64)
    out = hip.block_sparse_attention(query, key, value, mask)
    got = torch.autograd.grad((out * weight).sum(), leaves)
    expected = dense(query, key, value, mask.to_dense())
    wanted = torch.autograd.grad((expected * weight).sum(), leaves)
    for one, two in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, two, atol=1e-10, rtol=1e-10)
    assert attend(query, key, value).requires_grad


def test_gradcheck_passes():
    query, key, value = make(
        9, 12, heads=2, key_heads=1, batch=1, width=3, whole=False, dtype=torch.float64
    )
    options = {"budget": 2, "block_q": 4, "num_sink": 1, "window": 1, "dense_queries": 0}
    mask = hip.hip_mask(query, key, enable_gqa=True, **options)
    leaves = tuple(tensor.requires_grad_() for tensor in (query, key, value))
    assert torch.autograd.gradcheck(lambda *x: hip.block_sparse_attention(*x, mask), leaves)


@pytest.mark.parametrize(("is_causal", "first"), [(True, [0, 61]), (False, [0, 61])])
@pytest.mark.filterwarnings("ignore")
def test_flex_attention_under_the_mask_agrees(is_causal, first):
    query, key, value = make(300, 400, heads=2, whole=False)
    mask = hip.hip_mask(query, key, is_causal=is_causal, first_key=torch.tensor(first), **SMALL)
    block_mask = mask.to_flex_block_mask()
    out = hip.block_sparse_attention(query, key, value, mask)
    other = flex_attention(query, key, value, block_mask=block_mask)
    torch.testing.assert_close(out, other, atol=1e-5, rtol=1e-5)
    tiles = F.pad(mask.to_dense(), (0, 112, 0, 84)).unflatten(3, (4, 128)).unflatten(2, (3, 128))
    assert torch.equal(block_mask.to_dense().bool(), tiles.any(5).any(3))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", [150, 3])
def test_key_reads_are_counted_block_by_block(backend, length):
    query, key, value = make(length)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    with tractable.count() as cost:
        hip.block_sparse_attention(query, key, value, mask, backend=backend)
    blocks = F.pad(mask.to_dense(), (0, 0, 0, -length % 8)).unflatten(2, (-1, 8)).any(3)
    assert cost["key reads"] == blocks.sum()
    with tractable.count() as other:
        hip.hip_mask(query, key, enable_gqa=True, backend=backend, **SMALL)
    with tractable.count() as both:
        attend(query, key, value, backend=backend)
    assert both["key reads"] == cost["key reads"] + other["key reads"]
    assert other["key reads"] > 0


def test_both_paths_count_the_same():
    query, key, _ = make(150, 333)
    costs = []
    for backend in BACKENDS:
        with tractable.count() as cost:
            hip.hip_mask(query, key, enable_gqa=True, backend=backend, **SMALL)
        costs.append(dict(cost))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", ["equal", "huge", "duplicate"])
def test_ties_and_extremes_keep_the_earliest_and_stay_finite(backend, case):
    query, key, value = make(whole=case == "huge")
    if case == "equal":
        query, key = torch.ones_like(query), torch.ones_like(key)
    elif case == "huge":
        query, key = query * 2.0**50, key * 2.0**50
    else:
        key[:] = key[:, :, :1]
    out, mask = attend(query, key, value, backend=backend, return_mask=True)
    assert torch.isfinite(out).all()
    if case == "equal":
        assert torch.equal(mask.indices[0, 0, -1], torch.arange(8, dtype=torch.int32))
    elif case == "huge":  # several keys are best together: their mean, not their sum
        wide = (query.double(), key.double(), value.double())
        torch.testing.assert_close(out.double(), dense(*wide, mask.to_dense()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
def test_poisoned_keys_are_refused_on_demand_and_never_crash(backend, poison):
    query, key, value = make(whole=False)
    key[0, 0, 100] = poison
    with pytest.raises(DataError, match="key has NaN or infinite"):
        attend(query, key, value, check_finite=True)
    out = attend(query, key, value, backend=backend)
    assert torch.isfinite(out[1]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_nan_that_is_read_shows(backend):
    query, key, value = make(whole=False)
    key[0, 0, 199] = torch.nan
    out = attend(query, key, value, backend=backend)
    assert torch.isnan(out[0, :2, -1]).all()
    assert torch.isfinite(out[0, :, :-1]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_are_summed_in_32_bits_or_more(dtype):
    query, key, value = make(dtype=dtype)
    out = attend(query, key, value)
    assert out.dtype == dtype
    expected = attend(*make())
    tolerance = {torch.bfloat16: 2e-2, torch.float16: 2e-3, torch.float64: 1e-5}[dtype]
    torch.testing.assert_close(out.float(), expected, atol=tolerance, rtol=tolerance)


def test_strided_tensors_and_other_value_widths_work():
    query, key, value = make(whole=False)
    value = torch.randn(2, 2, 200, 7)
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (query, key, value)]
    for backend in BACKENDS:
        expected = attend(query, key, value, backend=backend)
        assert expected.shape == (2, 4, 150, 7)
        assert torch.equal(attend(*strided, backend=backend), expected)


def test_one_token_and_one_query_on_many_keys_work():
    one = torch.ones(1, 1, 1, 4)
    assert torch.equal(hip.hip_attention(one, one, one), one)
    query, key, value = make(1, 5000, whole=False)
    for backend in BACKENDS:
        out = attend(query, key, value, backend=backend)
        assert out.shape == query.shape


def test_threads_change_nothing():
    query, key, value = make(2000, 2000, heads=2, whole=False, width=32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = attend(query, key, value, backend="numba")
        torch.set_num_threads(3)
        assert torch.equal(attend(query, key, value, backend="numba"), one)
    finally:
        torch.set_num_threads(before)


def test_same_generator_same_mask():
    query, key, _ = make()

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return hip.hip_mask(
            query, key, enable_gqa=True, representative="random", generator=generator, **SMALL
        ).indices

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"budget": 15}, RangeError, "multiple of block_k"),
        ({"budget": 2, "block_k": 4}, RangeError, "multiple of block_k"),
        ({"budget": 0}, RangeError, "at least 1"),
        ({"window": -1}, RangeError, "at least 0"),
        ({"scale": -1.0}, RangeError, "at least 0"),
        ({"scale": float("nan")}, RangeError, "finite"),
        ({"first_key": torch.tensor([0, 200])}, RangeError, "first real key"),
    ],
)
def test_parameters_out_of_range_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        hip.hip_attention(*make(), enable_gqa=True, **{**SMALL, **change})


UNHOOKED = """
import torch
from tractable.attention.hip import hip_attention

x, y = torch.randn(2, 4, 150, 16), torch.randn(2, 2, 700, 16)
cases = [
    (x, y, y, {"budget": 16.0}),
    (x, y, y, {"representative": "middle"}),
    (x, y, y, {"dense_queries": "some"}),
    (x, y, y, {"backend": "magic"}),
    (x[0], y, y, {}),
    (x[:, :, :0], y, y, {}),
    (x.long(), y, y, {}),
    (x, y.double(), y, {}),
    (x, y, y[:, :, 1:], {}),
    (x[..., 1:], y, y, {}),
    (x[:, :3], y, y, {}),
    (x, y[:, :, :99], y[:, :, :99], {}),
    (x, y, y, {"first_key": torch.zeros(3)}),
]
for *tensors, options in cases:
    try:
        hip_attention(*tensors, enable_gqa=True, **options)
        print("nothing")
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_what_annotations_forbid_is_refused_where_nobody_checks_annotations():
    done = subprocess.run(
        [sys.executable, "-c", UNHOOKED], capture_output=True, text=True, check=True
    )
    wanted = [
        ("DTypeError", "integer"),
        ("RangeError", "wanted one of center, first"),
        ("DTypeError", "integer"),
        ("RangeError", "wanted one of auto, torch, numba"),
        ("ShapeError", "wanted (B, H, length, d)"),
        ("ShapeError", "no empty axis"),
        ("DTypeError", "floating-point"),
        ("DTypeError", "one dtype"),
        ("ShapeError", "equal batch, heads and length"),
        ("ShapeError", "equal batch and width"),
        ("ShapeError", "multiple of the key's heads"),
        ("ShapeError", "no more queries than keys"),
        ("ShapeError", "one a row of the batch"),
    ]
    for line, (name, message) in zip(done.stdout.splitlines(), wanted, strict=True):
        assert line.startswith(name)
        assert message in line


def test_heads_need_the_flag_and_masks_their_lengths():
    query, key, value = make()
    with pytest.raises(ShapeError, match="enable_gqa=True"):
        hip.hip_attention(query, key, value, **SMALL)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    with pytest.raises(ShapeError, match="make it again"):
        hip.block_sparse_attention(query[:, :, 1:], key, value, mask)
    assert torch.equal(attend(query, key, value, mask=mask), attend(query, key, value))


def test_numba_refuses_what_it_cannot_do():
    query, key, value = make(dtype=torch.float64)
    with pytest.raises(RangeError, match="float32 on the CPU"):
        attend(query, key, value, backend="numba")
    query, key, value = (tensor.float().requires_grad_() for tensor in (query, key, value))
    with pytest.raises(RangeError, match="with gradients"):
        attend(query, key, value, backend="numba")


def test_without_numba_it_warns_once_and_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "tractable.attention.hip._numba", None)
    monkeypatch.delattr(hip, "_numba", raising=False)
    _paths._load_numba.cache_clear()
    try:
        with pytest.warns(tractable._core.SlowPathWarning, match=r"tractable\[jit\]"):
            out = attend(*make())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(attend(*make()), out)
        with pytest.raises(tractable._core.MissingPackageError, match="numba"):
            attend(*make(), backend="numba")
    finally:
        _paths._load_numba.cache_clear()


def test_the_naive_tree_is_right_by_hand():
    options = hip.HipSettings(budget=2, block_k=1, block_q=1, dense_queries=0)
    query = torch.tensor([[1.0]])
    key = torch.tensor([[0.0], [1.0], [5.0], [2.0], [0.0], [9.0], [3.0], [4.0]])
    # Halves [0,2) [2,4) [4,6) [6,8) score 0, 5, 0 and 3: the fifth key's neighbour is lost.
    assert _reference.choose_blocks_slowly(options, query, key, range(8)) == [2, 7]
    numbers = np.asarray(key[[2, 7], 0])
    assert numbers.tolist() == [5.0, 4.0]
