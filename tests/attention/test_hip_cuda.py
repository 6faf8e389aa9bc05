"""HiP attention's kernels on a CUDA device against dense attention, the loops and torch."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from trees import close, expect_one_tree

from tractable._core import DataError, RangeError
from tractable.attention import hip

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

SMALL = {"budget": 16, "block_q": 8, "num_sink": 3, "window": 5, "dense_queries": 0}
DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def make(
    length=150,
    total=200,
    *,
    heads=4,
    key_heads=2,
    batch=2,
    width=64,
    seed=0,
    whole=False,
    dtype=torch.float32,
):
    """Whole-numbered queries and keys have exact products, so choices are exact too."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, length, width), *[(batch, key_heads, total, width)] * 2]
    if whole:
        tensors = [torch.randint(-3, 4, shape, generator=generator).float() for shape in shapes]
    else:
        tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    return [tensor.to("cuda", dtype) for tensor in tensors]


def dense(query, key, value, allowed, scale=None):
    """Attention in 64 bits under a boolean mask; zeros where nothing is read."""
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    reads = allowed.any(-1)[..., None]
    out = F.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), attn_mask=allowed | ~reads, scale=scale
    )
    return out * reads


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize(
    ("length", "total"), [(150, 200), (1, 1), (1, 2), (1, 777), (257, 257), (5, 700)]
)
def test_values_equal_dense_attention_under_the_mask(dtype, width, length, total):
    query, key, value = make(length, total, width=width, dtype=dtype)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    out, lse = hip.block_sparse_attention(
        query, key, value, mask, 0.3, return_lse=True, backend="triton"
    )
    assert out.dtype == dtype
    allowed = mask.to_dense()
    close(out, dense(query, key, value, allowed, 0.3), dtype)
    scores = 0.3 * query.double() @ key.double().repeat_interleave(2, 1).mT
    close(lse, scores.masked_fill(~allowed, -torch.inf).logsumexp(-1), torch.float16)


@pytest.mark.parametrize(
    "options",
    [
        {"block_q": 1, "block_k": 1, "budget": 7},
        {"block_q": 20, "block_k": 3, "budget": 24, "num_sink": 0},
        {"block_q": 64, "block_k": 2, "budget": 64, "window": 0},
        {"block_q": 128, "block_k": 16, "budget": 128, "num_sink": 17},
        {"block_q": 300, "block_k": 2, "budget": 64, "window": 200},
        {"block_q": 32, "block_k": 4, "budget": 600, "dense_queries": 300},
    ],
)
@pytest.mark.parametrize("first", [None, [0, 333]])
@pytest.mark.parametrize("is_causal", [True, False])
def test_every_block_size_padding_and_direction_agrees(options, first, is_causal):
    query, key, value = make(901, 1001, dtype=torch.bfloat16)
    first_key = None if first is None else torch.tensor(first, device="cuda")
    options = {**SMALL, **options}
    mask = hip.hip_mask(
        query, key, enable_gqa=True, first_key=first_key, is_causal=is_causal, **options
    )
    out = hip.block_sparse_attention(query, key, value, mask, backend="triton")
    close(out, dense(query, key, value, mask.to_dense()), torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block_q": 1, "block_k": 1},
        {"block_q": 64, "block_k": 4, "stride_k": 2, "stride_q": 4, "budget": 64},
        {"block_q": 33, "block_k": 3, "budget": 60, "stride_q": 3, "num_sink": 0, "window": 0},
        {"representative": "first"},
        {"representative": "last", "budget": 600},
        {"representative": "random", "block_k": 1, "budget": 10},
    ],
)
@pytest.mark.parametrize("first", [None, [0, 333]])
def test_the_tree_chooses_what_the_torch_tree_chooses(dtype, options, first):
    first_key = None if first is None else torch.tensor(first, device="cuda")
    for length in (1, 700):
        query, key, _ = make(length, 1501, whole=True, dtype=dtype)
        expect_one_tree(query, key, first_key=first_key, **{**SMALL, **options})


def test_the_tree_without_causality_and_in_slabs_agrees(monkeypatch):
    from tractable.attention.hip import _triton_tree

    query, key, _ = make(700, 900, whole=True)
    monkeypatch.setattr(_triton_tree, "ENTRIES", 8 * 100)
    expect_one_tree(query, key, is_causal=False, **SMALL)


@pytest.mark.parametrize("is_causal", [True, False])
def test_equals_the_plain_loops(is_causal):
    query, key, value = make(70, 130, batch=1, whole=True)
    settings = hip.HipSettings(**SMALL)
    expected = hip.reference(
        query.cpu(), key.cpu(), value.cpu(), settings, is_causal=is_causal
    ).cuda()
    out = hip.hip_attention(
        query, key, value, enable_gqa=True, is_causal=is_causal, backend="triton", **SMALL
    )
    close(out, expected)


def test_strided_and_misaligned_tensors_and_other_value_widths_agree():
    query, key, _ = make(150, 700, whole=True, dtype=torch.bfloat16)
    value = torch.randn(2, 2, 700, 128, device="cuda", dtype=torch.bfloat16)
    expected, mask = hip.hip_attention(
        query, key, value, enable_gqa=True, backend="triton", return_mask=True, **SMALL
    )
    assert expected.shape == (2, 4, 150, 128)
    close(expected, dense(query, key, value, mask.to_dense()), torch.bfloat16)

    def swap(tensor):
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)

    def reverse(tensor):
        return tensor.mT.contiguous().mT

    def shift(tensor):
        room = tensor.new_empty(tensor.numel() + 1)
        room[1:] = tensor.flatten()
        return room[1:].view(tensor.shape)

    for change in (swap, reverse, shift):
        tensors = [change(tensor) for tensor in (query, key, value)]
        out = hip.hip_attention(*tensors, enable_gqa=True, backend="triton", **SMALL)
        assert torch.equal(out, expected)
        one = hip.hip_attention(
            tensors[0][:, :, -1:], *tensors[1:], enable_gqa=True, backend="triton", **SMALL
        )
        last = hip.hip_attention(
            query[:, :, -1:], key, value, enable_gqa=True, backend="triton", **SMALL
        )
        close(one, last, torch.bfloat16)  # vectors of another width are summed in another order


def test_keys_beyond_the_reach_of_32_bits_are_read():
    room = torch.zeros(1, 2**16 + 100, 2**15 + 64, device="cuda", dtype=torch.bfloat16)
    key = room[:, None, :, :64]
    query, own, value = make(40, 2**16 + 100, heads=1, key_heads=1, batch=1, dtype=torch.bfloat16)
    key[:] = own
    options = {"budget": 64, "dense_queries": 0, "backend": "triton"}
    for rows in (query, query[:, :, -1:]):
        expected = hip.hip_attention(rows, own, value, **options)
        assert torch.equal(hip.hip_attention(rows, key, value, **options), expected)


@pytest.mark.parametrize("case", ["equal", "huge", "duplicate"])
def test_ties_and_extremes_keep_the_earliest_and_stay_finite(case):
    query, key, value = make(150, 700)
    if case == "equal":
        query, key = torch.ones_like(query), torch.ones_like(key)
    elif case == "huge":
        query, key = query * 1e15, key * 1e15
    else:
        key[:] = key[:, :, :1]
    out, mask = hip.hip_attention(
        query, key, value, enable_gqa=True, backend="triton", return_mask=True, **SMALL
    )
    assert torch.isfinite(out).all()
    if case == "equal":
        assert torch.equal(mask.indices[0, 0, -1].cpu(), torch.arange(8, dtype=torch.int32))
        close(out, dense(query, key, value, mask.to_dense()))


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("length", [150, 1])
def test_poisoned_keys_change_what_they_change_on_the_torch_path(poison, length):
    query, key, value = make(length, 700, whole=True)
    key[0, 0, 300:420:7] = poison
    query[:, :, ::5, 3] = 0.0
    with pytest.raises(DataError, match="key has NaN or infinite"):
        hip.hip_attention(query, key, value, enable_gqa=True, check_finite=True, **SMALL)
    masks = [
        hip.hip_mask(query, key, enable_gqa=True, backend=backend, **SMALL)
        for backend in ("triton", "torch")
    ]
    assert torch.equal(masks[0].indices, masks[1].indices)
    out, expected = (
        hip.block_sparse_attention(query, key, value, masks[0], backend=backend)
        for backend in ("triton", "torch")
    )
    assert torch.equal(out.isnan(), expected.isnan())
    assert torch.isfinite(out[1]).all()
    close(out.nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("first", [None, [0, 130]])
def test_decoding_equals_the_torch_path(first):
    query, key, value = make(12, 412, whole=True)
    first_key = None if first is None else torch.tensor(first, device="cuda")
    states = [
        hip.HipDecodeState(refresh_every=4, backend=backend, **SMALL)
        for backend in ("triton", "torch")
    ]
    for row in range(12):
        end = 401 + row
        out, expected = (
            state.step(
                0,
                query[:, :, row : row + 1],
                key[:, :, :end],
                value[:, :, :end],
                first_key=first_key,
            )
            for state in states
        )
        close(out, expected)


def test_a_few_queries_on_many_keys_and_chunked_prefill_agree():
    query, key, value = make(600, 600, whole=True, dtype=torch.bfloat16)
    options = {**SMALL, "enable_gqa": True, "backend": "triton"}
    whole = hip.hip_attention(query, key, value, **options)
    for begin, end in ((0, 200), (200, 208), (208, 600)):
        part = hip.hip_attention(
            query[:, :, begin:end], key[:, :, :end], value[:, :, :end], **options
        )
        close(part, whole[:, :, begin:end], torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [150, 1])
def test_gradients_equal_dense_ones_under_the_same_mask(dtype, length):
    query, key, value = make(length, 300, dtype=dtype)
    first_key = torch.tensor([0, 170], device="cuda")
    mask = hip.hip_mask(query, key, enable_gqa=True, first_key=first_key, **SMALL)
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]
    weight = torch.randn(query.shape, device="cuda", dtype=dtype)
    out, lse = hip.block_sparse_attention(
        query, key, value, mask, return_lse=True, backend="triton"
    )
    finite = torch.where(lse == -torch.inf, 0.0, lse)
    got = torch.autograd.grad((out * weight).sum() + 0.3 * finite.sum(), leaves)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    allowed = mask.to_dense()
    expected = dense(*wide, allowed)
    scores = wide[0] @ wide[1].repeat_interleave(2, 1).mT / 8.0
    logs = scores.masked_fill(~allowed, -1e30).logsumexp(-1)[allowed.any(-1)]
    loss = (expected * weight).sum() + 0.3 * logs.sum()
    for one, two in zip(got, torch.autograd.grad(loss, wide), strict=True):
        close(one, two, dtype)


def test_everything_is_dense_up_to_sixteen_budgets():
    options = {**SMALL, "dense_queries": "auto", "enable_gqa": True}
    for total, is_dense in ((256, True), (257, False)):
        query, key, value = make(total, total)
        out, mask = hip.hip_attention(query, key, value, return_mask=True, **options)
        assert bool((mask.local_start == 0).all()) == is_dense
        close(out, dense(query, key, value, mask.to_dense()))
        close(out, hip.hip_attention(query, key, value, **options), torch.float16)
        state = hip.HipDecodeState(**SMALL | {"dense_queries": "auto"})
        one = state.step(0, query[:, :, -1:], key, value)
        last = hip.hip_mask(query[:, :, -1:], key, **options)
        close(one, dense(query[:, :, -1:], key, value, last.to_dense()))


def test_both_passes_are_captured_in_a_graph():
    query, key, value = make(1, 3000, whole=True, dtype=torch.bfloat16)

    def attend():
        mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
        return hip.block_sparse_attention(query, key, value, mask)

    expected = attend()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = attend()
    graph.replay()
    assert torch.equal(out, expected)
    other = make(1, 3000, whole=True, dtype=torch.bfloat16, seed=1)
    for tensor, new in zip((query, key, value), other, strict=True):
        tensor.copy_(new)
    graph.replay()
    assert torch.equal(out, attend())
    assert not torch.equal(out, expected)


def test_operators_pass_torchs_own_checks():
    query, key, value = make(40, 300, whole=True)
    mask = hip.hip_mask(query, key, enable_gqa=True, **SMALL)
    chosen = (mask.indices, mask.counts, mask.local_start, mask.first_key)
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]
    torch.library.opcheck(
        torch.ops.tractable.hip_attend.default, (*leaves, None, *chosen, 8, 2, 3, True, 0.125)
    )


def make_paged(lengths, queries, page=16, dtype=torch.bfloat16, capacity=None):
    """Whole-numbered pages in no order; the same cache on both devices."""
    generator = torch.Generator().manual_seed(0)
    most = -(-(capacity or max(lengths)) // page)
    pages = len(lengths) * most + 3
    pool = torch.randint(-3, 4, (2, pages, 2, page, 64), generator=generator)
    table = torch.randperm(pages, generator=generator)[: len(lengths) * most]
    table = table.view(len(lengths), most).to(torch.int32)
    query = torch.randint(-3, 4, (len(lengths), 4, queries, 64), generator=generator)
    on_cpu = hip.PagedCache(*pool.float(), table, torch.tensor(lengths))
    on_gpu = hip.PagedCache(
        *pool.to("cuda", dtype), table.cuda(), torch.tensor(lengths, device="cuda")
    )
    return query.float(), query.to("cuda", dtype), on_cpu, on_gpu


@pytest.mark.parametrize("queries", [1, 5, 70])
@pytest.mark.parametrize("page", [1, 16, 48])
def test_pages_are_followed_by_the_table(queries, page):
    query, asked, on_cpu, on_gpu = make_paged([100, 333, 300], queries, page)
    expected, chosen = hip.hip_paged_attention(query, on_cpu, return_mask=True, **SMALL)
    out, mask = hip.hip_paged_attention(asked, on_gpu, return_mask=True, **SMALL)
    assert torch.equal(mask.indices.cpu(), chosen.indices)
    close(out.cpu(), expected, torch.bfloat16)


def test_a_graph_on_pages_serves_rows_that_grow():
    query, asked, on_cpu, on_gpu = make_paged([400, 500], 1, capacity=600)

    def attend():
        return hip.hip_paged_attention(asked, on_gpu, **SMALL)

    attend()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = attend()
    for lengths in ([401, 501], [590, 7]):
        on_gpu.lengths.copy_(torch.tensor(lengths))
        graph.replay()
        grown = hip.PagedCache(on_cpu.key, on_cpu.value, on_cpu.table, torch.tensor(lengths))
        close(out.cpu(), hip.hip_paged_attention(query, grown, **SMALL), torch.bfloat16)


GENERATE = """
import torch, transformers
from tractable.attention import hip

torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=64,
    hidden_size=256,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=1024,
)
model = transformers.LlamaForCausalLM(config).eval().cuda()
tokens = torch.randint(0, 64, (2, 500), device="cuda")
padding = torch.ones_like(tokens)
padding[0, :37] = 0
written = []
for cache in (None, "static"):
    for backend in ("triton", "torch"):
        hip.register(
            "hip_cuda", dense_layers=(0,), refresh_every=4, backend=backend, budget=16, block_q=8,
            num_sink=3, window=5, dense_queries=0,
        )
        model.set_attn_implementation("hip_cuda")
        written.append(
            model.generate(
                tokens, attention_mask=padding, max_new_tokens=10, do_sample=False,
                pad_token_id=0, cache_implementation=cache,
            )
        )
for other in written[1:]:
    assert torch.equal(written[0], other), written
"""


LAYER = """
import torch
from tractable.attention import hip

class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pack = torch.nn.Linear(256, 256 + 128 + 128, bias=False)
        self.project = torch.nn.Linear(256, 256, bias=False)

    def forward(self, x):
        query, key, value = self.pack(x).split((256, 128, 128), -1)
        query, key, value = (
            part.unflatten(-1, (-1, 64)).transpose(1, 2) for part in (query, key, value)
        )
        out = hip.hip_attention(
            query, key, value, enable_gqa=True, budget=16, block_q=8, window=5, dense_queries=0
        )
        return x + self.project(out.transpose(1, 2).flatten(2))

layer, x = Layer().cuda(), torch.randn(2, 300, 256, device="cuda")
compiled = torch.compile(layer, fullgraph=True)
torch.testing.assert_close(compiled(x), layer(x), atol=1e-3, rtol=1e-3)
grads = [torch.autograd.grad(f(x).square().sum(), layer.pack.weight)[0] for f in (compiled, layer)]
torch.testing.assert_close(*grads, atol=1e-1, rtol=1e-2)
"""


@pytest.mark.parametrize(
    "script",
    [pytest.param(LAYER, id="a compiled layer"), pytest.param(GENERATE, id="generate on caches")],
)
def test_what_torch_compiles_runs_without_shape_checks(script):
    # A process of its own: the tests' shape checks are no code that torch can trace.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_other_tensors_are_refused_by_name_and_served_by_torch():
    query, key, value = make(40, 300, width=32)
    with pytest.raises(RangeError, match="widths 64 and 128"):
        hip.hip_attention(query, key, value, enable_gqa=True, backend="triton", **SMALL)
    with pytest.raises(RangeError, match="CUDA device"):
        hip.hip_attention(
            *[x.cpu() for x in make(40, 300)], enable_gqa=True, backend="triton", **SMALL
        )
    out = hip.hip_attention(query, key, value, enable_gqa=True, **SMALL)
    assert torch.equal(
        out, hip.hip_attention(query, key, value, enable_gqa=True, backend="torch", **SMALL)
    )
