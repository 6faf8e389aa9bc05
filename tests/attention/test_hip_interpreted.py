"""HiP attention's kernels, interpreted on the CPU, against the torch path."""

import interpreted
import pytest
import torch
from trees import close, expect_one_tree

from tractable.attention import hip
from tractable.attention.hip import _paged, _passes, _paths, _triton_tree

SMALL = {"budget": 8, "block_q": 16, "num_sink": 3, "window": 5, "dense_queries": 0}

pytestmark = interpreted.mark


@pytest.fixture(autouse=True)
def _on_cpu(monkeypatch):
    def find(backend, *tensors, grad):
        if backend == "triton":
            return _paths._load_triton(must=True)
        return _paths.find_path(backend, *tensors, grad=grad)

    for module in (_passes, _paged):
        monkeypatch.setattr(module, "find_path", find)


def make(length=20, total=120, *, key_heads=1, batch=1, width=64, seed=0, dtype=torch.float32):
    """Whole-numbered queries and keys have exact products, so choices are exact too."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 2 * key_heads, length, width), *[(batch, key_heads, total, width)] * 2]
    return [torch.randint(-3, 4, s, generator=generator).to(dtype) for s in shapes]


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({}, torch.float32),
        ({"block_q": 4, "block_k": 1}, torch.float16),
        (
            {"block_q": 33, "block_k": 3, "stride_q": 3, "num_sink": 0, "window": 0, "budget": 6},
            torch.bfloat16,
        ),
        ({"representative": "first", "block_k": 4, "stride_k": 2}, torch.float16),
        ({"representative": "last", "budget": 200}, torch.float32),
        ({"representative": "random", "block_k": 1, "budget": 5}, torch.float32),
    ],
)
@pytest.mark.parametrize("length", [1, 20])
def test_the_tree_chooses_what_the_torch_tree_chooses(options, dtype, length):
    query, key, _ = make(length, 150, batch=2, dtype=dtype)
    expect_one_tree(query, key, first_key=torch.tensor([0, 40]), **{**SMALL, **options})


def test_the_tree_without_causality_and_in_slabs_agrees(monkeypatch):
    query, key, _ = make(40)
    monkeypatch.setattr(_triton_tree, "ENTRIES", 8 * 4)
    expect_one_tree(query, key, is_causal=False, **SMALL)


@pytest.mark.parametrize("dtype", interpreted.DTYPES)
@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize(
    ("length", "options"),
    [
        (1, {}),
        (40, {}),
        (150, {"block_q": 128, "block_k": 16, "budget": 128, "num_sink": 17}),
        (150, {"block_q": 20, "block_k": 3, "budget": 24, "num_sink": 0}),
        (20, {"block_q": 64, "window": 200}),
    ],
)
def test_values_equal_the_torch_path_under_the_mask(dtype, is_causal, length, options):
    query, key, value = make(length, 350, key_heads=2, batch=2, width=128, dtype=dtype)
    first = torch.tensor([0, 333])
    options = {**SMALL, **options, "enable_gqa": True, "is_causal": is_causal}
    mask = hip.hip_mask(query, key, first_key=first, **options)
    outs = [
        hip.block_sparse_attention(q, k, v, mask, 0.03, return_lse=True, backend=backend)
        for backend, (q, k, v) in (
            ("triton", (query, key, value)),
            ("torch", (query.float(), key.float(), value.float())),
        )
    ]
    for got, wanted in zip(*outs, strict=True):
        close(got, wanted, dtype)


@pytest.mark.parametrize("case", ["equal", "huge", "poisoned"])
@pytest.mark.parametrize("length", [1, 20])
def test_ties_extremes_and_poison_do_what_they_do_on_the_torch_path(case, length):
    query, key, value = make(length)
    if case == "equal":
        query, key = torch.ones_like(query), torch.ones_like(key)
    elif case == "huge":
        query, key = query * 2.0**50, key * 2.0**50  # still exact
    else:
        key[0, 0, 40:60:7] = torch.nan
        query[:, :, ::5, 3] = 0.0
    options = {**SMALL, "enable_gqa": True}
    masks = [hip.hip_mask(query, key, backend=b, **options) for b in ("triton", "torch")]
    assert torch.equal(masks[0].indices, masks[1].indices)
    out, expected = (
        hip.block_sparse_attention(query, key, value, masks[0], backend=backend)
        for backend in ("triton", "torch")
    )
    assert torch.equal(out.isnan(), expected.isnan())
    close(out.nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("page", [1, 16])
def test_pages_are_followed_by_the_table(queries, page):
    lengths = torch.tensor([50, 96])
    most = -(-96 // page)
    generator = torch.Generator().manual_seed(0)
    pool = torch.randint(-3, 4, (2, 2 * most + 3, 1, page, 64), generator=generator).float()
    table = torch.randperm(2 * most + 3, generator=generator)[: 2 * most].view(2, most)
    query = torch.randint(-3, 4, (2, 2, queries, 64), generator=generator).float()
    cache = hip.PagedCache(*pool, table.to(torch.int32), lengths)
    (out, mask), (expected, chosen) = (
        hip.hip_paged_attention(query, cache, return_mask=True, backend=backend, **SMALL)
        for backend in ("triton", "torch")
    )
    assert torch.equal(mask.indices, chosen.indices)
    close(out, expected)


def test_strided_tensors_and_other_value_widths_agree():
    query, key, _ = make(20, 150)
    value = torch.randn(1, 1, 150, 128)
    options = {**SMALL, "enable_gqa": True, "backend": "triton"}
    expected = hip.hip_attention(query, key, value, **options)
    assert expected.shape == (1, 2, 20, 128)
    for change in (
        lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
        lambda x: x.mT.contiguous().mT,
    ):
        assert torch.equal(
            hip.hip_attention(*map(change, (query, key, value)), **options), expected
        )


def test_decoding_and_prefill_in_chunks_agree():
    query, key, value = make(6, 126)
    options = {**SMALL, "refresh_every": 3}
    states = [hip.HipDecodeState(backend=backend, **options) for backend in ("triton", "torch")]
    for row in range(6):
        end = 121 + row
        tensors = (query[:, :, row : row + 1], key[:, :, :end], value[:, :, :end])
        out, expected = (state.step(0, *tensors) for state in states)
        close(out, expected)
    options = {**SMALL, "block_q": 3, "enable_gqa": True}
    whole = hip.hip_attention(query, key, value, backend="torch", **options)
    for begin, end in ((0, 3), (3, 6)):
        tensors = (query[:, :, begin:end], key[:, :, : 120 + end], value[:, :, : 120 + end])
        part = hip.hip_attention(*tensors, backend="triton", **options)
        close(part, whole[:, :, begin:end])


def test_operators_pass_torchs_own_checks():
    query, key, value = make(5, 60)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    chosen = (mask.indices, mask.counts, mask.local_start, mask.first_key)
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]
    torch.library.opcheck(
        torch.ops.tractable.hip_attend.default, (*leaves, None, *chosen, 16, 2, 3, True, 0.125)
    )
