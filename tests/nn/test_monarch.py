"""Monarch Mixer against loops, torch's FFT, matrices multiplied out, and hostile input."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from hypothesis import given, settings
from hypothesis import strategies as st

import tractable
from tractable._core import DTypeError, RangeError, ShapeError
from tractable.nn import monarch

BACKENDS = ("fft", "monarch", "direct", "auto")


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(one, two, tolerance=1e-10):
    torch.testing.assert_close(one, two, atol=tolerance, rtol=tolerance)


# Matrices.


@settings(max_examples=40)
@given(
    ins=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    outs=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    seed=st.integers(0, 9),
)
def test_products_equal_sums_over_one_digit_at_a_time(ins, outs, seed):
    sizes = list(ins)
    x = draw(3, math.prod(ins), seed=seed)
    expected = x.reshape(3, *ins)
    factors = []
    for axis in reversed(range(len(ins))):
        others = math.prod(sizes) // sizes[axis]
        factor = draw(others, outs[axis], sizes[axis], seed=seed + axis + 1)
        factors.append(factor)
        moved = expected.movedim(1 + axis, -1)
        found = torch.einsum("nbi,boi->nbo", moved.reshape(3, others, sizes[axis]), factor)
        expected = found.reshape(*moved.shape[:-1], outs[axis]).movedim(-1, 1 + axis)
        sizes[axis] = outs[axis]
    close(monarch.monarch_matmul(x, *factors), expected.reshape(3, -1))


@pytest.mark.parametrize("side", [(2, 3), (3, 3), (2, 3, 4), (3, 2, 2, 2), (5,)])
def test_products_equal_permutations_and_blocks_multiplied_out(side):
    size = math.prod(side)
    factors = [draw(size // n, n, n, seed=n) for n in reversed(side)]
    matrix = monarch.reference_matrix(*factors)
    x = draw(4, size)
    close(monarch.monarch_matmul(x, *factors), x @ matrix.T, 1e-12)


def test_a_matrix_of_order_two_has_full_rank_and_few_weights():
    factors = [draw(16, 16, 16, seed=i) for i in range(2)]
    assert torch.linalg.matrix_rank(monarch.reference_matrix(*factors)) == 256
    assert sum(factor.numel() for factor in factors) == 2 * 256**1.5


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 9),
)
def test_the_transform_is_a_monarch_matrix(sizes, seed):
    size, sizes = math.prod(sizes), tuple(sizes)
    x = torch.complex(draw(2, size, seed=seed), draw(2, size, seed=seed + 1))
    expected = torch.fft.fft(x)
    close(monarch.monarch_fft(x, sizes), expected, 1e-11)
    close(monarch.monarch_fft(x, sizes, inverse=True), torch.fft.ifft(x), 1e-11)
    factors = monarch.monarch_dft_factors(size, sizes)
    places = tuple(range(1, len(sizes) + 1))
    turned = x.reshape(2, *sizes).permute(0, *reversed(places)).reshape(2, size)
    close(monarch.monarch_matmul(turned, *factors), expected, 1e-11)


def test_long_transforms_keep_their_digits():
    x = torch.complex(draw(4096), draw(4096, seed=1))
    for sizes in ((16, 32, 8), (64, 64), (16, 16, 16)):
        close(monarch.monarch_fft(x, sizes), torch.fft.fft(x), 4e-12)
    narrow = monarch.monarch_fft(x.to(torch.complex64), (64, 64))
    assert float((narrow - torch.fft.fft(x)).norm() / torch.fft.fft(x).norm()) < 1e-6


@settings(max_examples=30)
@given(
    rows=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    columns=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
def test_projection_recovers_monarch_matrices_and_is_never_beaten(rows, columns, seed):
    (s, q), (k, p) = rows, columns
    first, second = draw(k, q, p, seed=seed), draw(q, s, k, seed=seed + 1)
    eye = torch.eye(k * p, dtype=torch.float64)
    matrix = monarch.monarch_matmul(eye, first, second).mT
    found = monarch.project_to_monarch(matrix, (rows, columns))
    close(monarch.monarch_matmul(eye, *found).mT, matrix)
    weight = draw(s * q, k * p, seed=seed + 2)
    best = monarch.monarch_matmul(eye, *monarch.project_to_monarch(weight, (rows, columns))).mT
    reached = float((weight - best).norm())
    # Alternating least squares from a random start: each slice is a column times a row.
    slices = weight.reshape(s, q, k, p).permute(1, 2, 0, 3)
    right = draw(q, k, p, seed=seed + 3)
    for _ in range(5):
        left = (slices @ right[..., None])[..., 0] / (right.square().sum(-1, keepdim=True) + 1e-30)
        right = (slices.mT @ left[..., None])[..., 0] / (
            left.square().sum(-1, keepdim=True) + 1e-30
        )
    other = float((slices - left[..., None] * right[..., None, :]).norm())
    assert reached <= other + 1e-9


# Layers.


@settings(max_examples=40)
@given(
    size=st.integers(1, 40),
    out=st.integers(1, 40),
    kind=st.sampled_from(("two", "three", "blocks", "diagonal", "shuffled")),
    nblocks=st.integers(1, 6),
    batch=st.sampled_from(((), (3,), (2, 0), (2, 3))),
)
def test_layers_equal_their_dense_matrices(size, out, kind, nblocks, batch):
    layer = {
        "two": lambda: monarch.MonarchLinear(size, out),
        "three": lambda: monarch.MonarchLinear(size, out, order=3),
        "blocks": lambda: monarch.MonarchLinear(size, out, nblocks=nblocks),
        "diagonal": lambda: monarch.BlockDiagonalLinear(size, out, nblocks, shuffle=False),
        "shuffled": lambda: monarch.BlockDiagonalLinear(size, out, nblocks),
    }[kind]().double()
    x = draw(*batch, size)
    close(layer(x), F.linear(x, layer.to_dense(), layer.bias), 1e-12)
    assert layer.to_dense().shape == (out, size)


def test_savings_and_spread_are_what_they_say():
    torch.manual_seed(0)
    assert monarch.MonarchLinear(1024, 1024).saving == 2 / 32
    assert monarch.MonarchLinear(1000, 1000, order=3).saving == pytest.approx(0.03)
    assert monarch.MonarchLinear(1024, 1024, nblocks=4).saving == 0.5
    assert monarch.BlockDiagonalLinear(1024, 1024, 8).saving == 1 / 8
    x = draw(500, 256, dtype=torch.float32)
    wanted = torch.nn.Linear(256, 256, bias=False)(x).std().detach()
    for layer in (
        monarch.MonarchLinear(256, 256, bias=False),
        monarch.MonarchLinear(256, 256, order=4, bias=False),
        monarch.MonarchLinear(256, 256, nblocks=4, bias=False),
        monarch.BlockDiagonalLinear(256, 256, bias=False),
    ):
        assert float(layer(x).std().detach() / wanted) == pytest.approx(1.0, abs=0.15)


def test_flops_of_layers_are_counted():
    x = torch.zeros(10, 64)
    for layer, weights in (
        (monarch.MonarchLinear(64, 64), 2 * 512),
        (monarch.MonarchLinear(64, 64, order=3), 3 * 256),
        (monarch.BlockDiagonalLinear(64, 64, 4), 1024),
    ):
        with tractable.count() as cost:
            layer(x)
        assert cost["flops"] == 2 * 10 * weights


def test_shuffled_layers_mix_all_groups_and_plain_ones_none():
    x = torch.zeros(1, 16)
    x[0, 0] = 1.0
    for shuffle, reached in ((True, 16), (False, 4)):
        torch.manual_seed(0)
        layers = [
            monarch.BlockDiagonalLinear(16, 16, shuffle=shuffle, bias=False) for _ in range(2)
        ]
        assert int((layers[1](layers[0](x)) != 0).sum()) == reached


@pytest.mark.parametrize("shape", [(16, 16), (9, 25), (7, 13), (1, 1)])
def test_layers_from_dense_matrices(shape):
    weight, bias = draw(*shape), draw(shape[0], seed=1)
    layer = monarch.MonarchLinear.from_dense(weight, bias)
    again = monarch.MonarchLinear.from_dense(layer.to_dense().detach())
    if shape[0] in (1, 9, 16):  # exact squares are not padded, so projecting twice is projecting
        close(again.to_dense().detach(), layer.to_dense().detach())
    assert float((layer.to_dense().detach() - weight).norm()) <= float(weight.norm()) + 1e-12
    close(layer.bias.detach(), bias)


# Long convolutions.


@settings(max_examples=60)
@given(
    length=st.integers(1, 40),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    causal=st.booleans(),
    backend=st.sampled_from(BACKENDS),
    order=st.integers(1, 4),
    skips=st.booleans(),
    seed=st.integers(0, 99),
)
def test_convolutions_equal_the_definition(*, length, shape, causal, backend, order, skips, seed):
    u = draw(*shape, length, seed=seed)
    k = draw(*(() if causal else (2,)), shape[1], length, seed=seed + 1)
    skip = draw(shape[1], seed=seed + 2) if skips else None
    found = monarch.long_conv(u, k, causal=causal, backend=backend, order=order, skip=skip)
    close(found, monarch.reference(u, k, causal=causal, skip=skip))


@pytest.mark.parametrize("backend", BACKENDS)
def test_lags_stand_where_they_should(backend):
    u = torch.zeros(1, 1, 5, dtype=torch.float64)
    u[0, 0, 2] = 1.0
    k = torch.tensor([[[1.0, 2, 3, 4, 5]], [[10.0, 20, 30, 40, 50]]], dtype=torch.float64)
    found = monarch.long_conv(u, k, causal=False, backend=backend)
    close(found.flatten(), torch.tensor([20.0, 10, 1, 2, 3], dtype=torch.float64))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [True, False])
def test_gradcheck_passes(backend, causal):
    u = draw(2, 2, 5).requires_grad_()
    k = draw(*(() if causal else (2,)), 2, 5).requires_grad_()
    skip = draw(2).requires_grad_()

    def convolve(u, k, skip):
        return monarch.long_conv(u, k, causal=causal, backend=backend, skip=skip)

    assert torch.autograd.gradcheck(convolve, (u, k, skip))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_dtypes_and_strides_come_back_as_they_went_in(backend, dtype):
    u, k = draw(50, 3, 2).permute(2, 1, 0).to(dtype), draw(50, 3).T.to(dtype)
    found = monarch.long_conv(u, k, backend=backend)
    assert found.dtype == dtype
    expected = monarch.reference(u.double(), k.double())
    error = float((found.double() - expected).norm() / expected.norm())
    assert error < {torch.float16: 5e-4, torch.bfloat16: 4e-3, torch.float32: 1e-6}[dtype]


@pytest.mark.parametrize("backend", ["fft", "monarch"])
def test_long_rows_agree_in_single_precision(backend):
    u, k = draw(2, 2, 5000), draw(2, 5000, seed=1)
    expected = monarch.long_conv(u, k, backend="direct")
    found = monarch.long_conv(u.float(), k.float(), backend=backend).double()
    assert float((found - expected).norm() / expected.norm()) < 1e-6


def test_flops_of_convolutions_are_counted():
    u, k = torch.ones(2, 3, 64), torch.ones(3, 64)
    noted = {}
    for backend in BACKENDS[:3]:
        with tractable.count() as cost:
            monarch.long_conv(u, k, backend=backend)
        noted[backend] = cost["flops"]
    assert noted["direct"] == 2 * 6 * 64 * 64
    transforms = (2 * 6 + 3) * 8 * 64 * (8 + 8)
    assert noted["monarch"] == transforms + 6 * 64 * 11 + 2 * 3 * 64
    assert noted["fft"] == round(2.5 * 15 * 128 * 7) + 6 * 2 * 3 * 65


def wrong_convolutions():
    u, k = torch.ones(2, 3, 8), torch.ones(3, 8)
    yield (u[0], k), {}, ShapeError, r"wanted \(B, C, L\)"
    yield (u[..., :0], k[..., :0]), {}, ShapeError, "L at least 1"
    yield (u, k[:, :7]), {}, ShapeError, r"k has shape \(3, 7\) with causal=True"
    yield (u, k), {"causal": False}, ShapeError, r"wanted \(2, 3, 8\)"
    yield (u, torch.ones(2, 3, 8)), {}, ShapeError, r"wanted \(3, 8\)"
    yield (u, k), {"skip": torch.ones(2)}, ShapeError, r"wanted \(3,\)"
    yield (u.long(), k), {}, DTypeError, "u has dtype torch.int64"
    yield (u.to(torch.complex64), k), {}, DTypeError, "floating-point"
    yield (u, k), {"backend": "cuda"}, RangeError, "auto, fft, monarch, direct, triton"
    yield (u, k), {"backend": "triton"}, RangeError, "on a CUDA device"
    yield (u, k), {"operands": "int8"}, RangeError, "float16 or bfloat16"
    yield (u, k), {"order": 0}, RangeError, "at least 1"
    yield (u, k), {"order": 17}, RangeError, "1 to 16"
    yield (u, k.to("meta")), {}, DTypeError, "k is on meta"


@pytest.mark.usefixtures("unchecked")
def test_wrong_convolutions_are_refused():
    for arguments, options, error, message in wrong_convolutions():
        with pytest.raises(error, match=message):
            monarch.long_conv(*arguments, **options)


def test_empty_batches_and_poisoned_rows():
    assert monarch.long_conv(torch.ones(0, 3, 8), torch.ones(3, 8)).shape == (0, 3, 8)
    u, k = draw(2, 2, 30), draw(2, 30)
    u[0, 0, 3] = torch.nan
    for backend in BACKENDS:
        found = monarch.long_conv(u, k, backend=backend)
        assert found[0, 0, 3:].isnan().all()
        assert torch.isfinite(found[1]).all()


# Filters and mixers.


def test_filters_follow_their_formula():
    torch.manual_seed(0)
    options = monarch.FilterOptions(order=6, emb_dim=5, w=3.0, num_inner=1)
    taps = monarch.ImplicitFilter(4, 20, options, bidirectional=True).double()
    t = torch.linspace(0, 1, 20).double()[:, None]
    angle = 2 * math.pi * torch.arange(20).double()[:, None] / 20 * torch.tensor([1e-4, 1.0])
    close(taps.positions, torch.cat([t, angle.cos(), -angle.sin()], 1), 1e-6)
    rates = torch.linspace(math.log(0.01) / 1.5, math.log(0.01) / 0.3, 4).abs().double()
    for network, got in zip((taps.forward_taps, taps.reverse_taps), taps(20), strict=True):
        found = taps.positions
        for layer in network[:-1]:
            found = torch.sin(3.0 * layer(found))
        close(got, (network[-1](found) * torch.exp(-t * rates)).T, 1e-6)
    close(taps(7), taps(20)[..., :7])


def test_a_filter_for_one_token():
    taps = monarch.ImplicitFilter(3, 1)
    assert torch.isfinite(taps(1)).all()
    assert monarch.MonarchMixerSequence(3, 1)(torch.ones(2, 1, 3)).shape == (2, 1, 3)


def test_the_sequence_mixer_follows_its_formula():
    torch.manual_seed(0)
    layer = monarch.MonarchMixerSequence(3, 12).double()
    x = draw(2, 9, 3)
    rows = layer.project(x).mT
    padded = F.pad(rows, (2, 0))
    weight = layer.short.weight[:, 0]
    short = sum(weight[:, i, None] * padded[..., i : i + 9] for i in range(3))
    short = short + layer.short.bias[:, None]
    first, second, value = short.chunk(3, 1)

    def convolve(x, taps):
        return monarch.reference(x, taps(9), causal=False, skip=taps.skip)

    with torch.no_grad():
        expected = convolve(value * first, layer.long) * second + convolve(x.mT, layer.residual)
        close(layer(x), layer.combine(expected.mT), 1e-6)


@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(causal):
    torch.manual_seed(0)
    layer = monarch.MonarchMixerBlock(6, 40, causal=causal).double()
    x = draw(2, 20, 6)
    mask = torch.zeros(2, 35, dtype=torch.bool)
    mask[:, :20] = True
    padded = torch.cat([x, 100 * draw(2, 15, 6, seed=1)], 1)
    close(layer(padded, mask)[:, :20], layer(x))
    if not causal:
        assert float((layer(padded)[:, :20] - layer(x)).detach().abs().max()) > 1e-3
    model = monarch.M2Bert(monarch.SMALL._replace(d_model=8), 50).double()
    tokens = torch.arange(20).expand(2, 20)
    wide = F.pad(tokens, (0, 15), value=7)
    close(model(wide, mask)[:, :20], model(tokens))


@pytest.mark.parametrize("glu", [True, False])
def test_the_channel_mixer_equals_dense_layers(glu):
    torch.manual_seed(0)
    layer = monarch.MonarchMixerChannel(8, 2, glu=glu).double()
    x = draw(3, 8)
    wide = x @ layer.widen.to_dense().T
    wide = F.gelu(wide[:, :16]) * wide[:, 16:] if glu else F.gelu(wide)
    close(layer(x), F.linear(wide, layer.narrow.to_dense(), layer.narrow.bias), 1e-12)


def causal_layers():
    torch.manual_seed(0)
    yield monarch.MonarchMixerSequence(4, 30, causal=True)
    yield monarch.MonarchMixerBlock(4, 30, causal=True, post_norm=True)
    for options in ({}, {"order": 3}, {"order": 1}, {"mode": "two_part"}):
        layer = monarch.CausalMonarch(4, 30, **options)
        for parameter in layer.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        yield layer


def test_causal_layers_read_no_later_token():
    for layer in causal_layers():
        x = draw(1, 25, 4)
        found = torch.autograd.functional.jacobian(layer.double(), x).abs().amax((0, 2, 3, 5))
        assert float(found.triu(1).max()) < 1e-12
        assert float(found.tril(-5).max()) > 1e-3
        close(layer(x[:, :11]), layer(x)[:, :11])


def test_a_causal_monarch_layer_starts_as_a_plain_convolution():
    torch.manual_seed(0)
    for options in ({}, {"order": 3}, {"mode": "two_part"}):
        layer = monarch.CausalMonarch(3, 30, **options).double()
        x = draw(2, 30, 3)
        expected = monarch.reference(x.mT, layer.taps.detach()[:, :30]).mT
        close(layer(x), expected)


def test_two_parts_reach_all_later_tokens_and_triangles_some():
    torch.manual_seed(0)
    reach = {}
    for mode in ("triangular", "two_part"):
        basis = monarch.CausalMonarch(1, 16, mode=mode).input_basis
        for parameter in basis.parameters():
            parameter.data = torch.rand_like(parameter)
        matrix = basis(torch.eye(16)).T.detach()
        assert float(matrix.triu(1).abs().max()) == 0
        reach[mode] = int((matrix != 0).sum())
    assert reach == {"triangular": 100, "two_part": 136}


def test_models_learn_and_have_their_sizes():
    with torch.device("meta"):
        assert sum(p.numel() for p in monarch.M2Bert().parameters()) == pytest.approx(
            80e6, rel=0.01
        )
    torch.manual_seed(0)
    config = monarch.SMALL._replace(d_model=16, max_len=32)
    tokens = torch.randint(0, 9, (4, 20))
    for model, given_ in (
        (monarch.M2Bert(config, 9), tokens),
        (monarch.M2Bert(monarch.M2Config(16, 2, 32), 9, positions=False), tokens),
        (monarch.M2GPT(config, 9), tokens),
        (monarch.M2ViT(config), torch.randn(4, 1, 8, 8)),
    ):
        optimizer = torch.optim.Adam(
            monarch.parameter_groups(model, lr=1e-2, weight_decay=0.0), lr=1e-2
        )
        losses = []
        for _ in range(25):
            out = model(given_)
            target = tokens if out.ndim == 3 else tokens[:, 0]
            loss = F.cross_entropy(out.flatten(0, -2), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0]
        every = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert every == {id(p) for p in model.parameters()}


def official_state(layers=1, width=8, vocab=11):
    """Names and shapes of an official checkpoint, with random numbers."""
    shapes = {
        "bert.embeddings.word_embeddings.weight": (vocab, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        "bert.embeddings.position_embeddings.weight": (16, width),
        "bert.embeddings.position_ids": (1, 16),
        "bert.embeddings.LayerNorm.weight": (width,),
        "bert.embeddings.LayerNorm.bias": (width,),
        "cls.predictions.transform.dense.weight": (width, width),
        "cls.predictions.transform.dense.bias": (width,),
        "cls.predictions.transform.LayerNorm.weight": (width,),
        "cls.predictions.transform.LayerNorm.bias": (width,),
        "cls.predictions.decoder.weight": (vocab, width),
        "cls.predictions.decoder.bias": (vocab,),
    }
    for layer in range(layers):
        start = f"bert.encoder.layer.{layer}."
        for name in ("filter_fn", "filter_fn2"):
            base = f"{start}attention.{name}."
            shapes[f"{base}bias"] = (width,)
            shapes[f"{base}pos_emb.z"] = (1, 16, 5)
            shapes[f"{base}pos_emb.t"] = (1, 16, 1)
            shapes[f"{base}modulation.deltas"] = (1, 1, width)
            for network in ("implicit_filter", "implicit_filter_rev"):
                for i, (a, b) in enumerate([(5, 6), (6, 6), (6, 6)]):
                    shapes[f"{base}{network}.{2 * i}.weight"] = (b, a)
                    shapes[f"{base}{network}.{2 * i}.bias"] = (b,)
                    shapes[f"{base}{network}.{2 * i + 1}.freq"] = (1, 6)
                shapes[f"{base}{network}.6.weight"] = (width, 6)
        shapes |= {
            f"{start}attention.in_linear.weight": (3 * width, width),
            f"{start}attention.in_linear.bias": (3 * width,),
            f"{start}attention.out_linear.weight": (width, width),
            f"{start}attention.out_linear.bias": (width,),
            f"{start}attention.short_filter.weight": (3 * width, 1, 3),
            f"{start}attention.short_filter.bias": (3 * width,),
            f"{start}mlp.gated_layers.weight": (4, 16, 2),
            f"{start}mlp.wo.weight": (4, 2, 8),
            f"{start}mlp.wo.bias": (width,),
            f"{start}mlp.layernorm.weight": (width,),
            f"{start}mlp.layernorm.bias": (width,),
        }
    return {f"model.{k}": torch.randn(v) for k, v in shapes.items()}


def test_official_checkpoints_are_renamed_and_fit():
    config = monarch.M2Config(8, 1, 16, filter_options=monarch.FilterOptions(order=6))
    model = monarch.M2Bert(config, 11)
    state = official_state()
    model.load_state_dict(monarch.load_m2_bert_state_dict(state))
    layer = model.stack.layers[0]
    assert torch.equal(
        layer.tokens.residual.reverse_taps[3].weight,
        state["model.bert.encoder.layer.0.attention.filter_fn2.implicit_filter_rev.6.weight"],
    )
    assert torch.equal(
        layer.tokens.long.skip, state["model.bert.encoder.layer.0.attention.filter_fn.bias"]
    )
    assert torch.isfinite(model.eval()(torch.zeros(1, 16, dtype=torch.int64))).all()


def wrong_calls():
    eye = torch.eye(4)[None]
    yield lambda: monarch.monarch_matmul(torch.ones(3), eye), ShapeError, "blocks of 4"
    yield lambda: monarch.monarch_matmul(torch.ones(4)), ShapeError, "at least one"
    yield lambda: monarch.monarch_matmul(torch.ones(4), eye[0]), ShapeError, "at least one"
    yield lambda: monarch.monarch_matmul(torch.tensor(1.0), eye), ShapeError, "one number"
    yield lambda: monarch.monarch_matmul(torch.ones(4).double(), eye), DTypeError, "convert"
    yield lambda: monarch.monarch_matmul(torch.ones(4), eye, eye, eye), ShapeError, "other digits"
    yield lambda: monarch.monarch_matmul(torch.ones(4), eye, eye[:, :3, :3]), ShapeError, "factor 2"
    yield lambda: monarch.project_to_monarch(torch.ones(4)), ShapeError, "a matrix"
    yield lambda: monarch.project_to_monarch(torch.ones(4, 4).long()), DTypeError, "convert"
    yield (
        lambda: monarch.project_to_monarch(torch.ones(4, 4), ((2, 2), (3, 2))),
        ShapeError,
        "weight's shape",
    )
    yield lambda: monarch.monarch_fft(torch.ones(6), (2, 2)), RangeError, "product is 4; wanted 6"
    yield lambda: monarch.monarch_fft(torch.tensor(1.0), ()), ShapeError, "one number"
    yield lambda: monarch.monarch_dft_factors(6, (-2, -3)), RangeError, "wanted 6"
    yield lambda: monarch.MonarchLinear(0, 4), RangeError, "at least 1"
    yield lambda: monarch.MonarchLinear(4, 4, order=3, nblocks=2), RangeError, "leave it out"
    yield lambda: monarch.MonarchLinear(4, 4)(torch.ones(3)), ShapeError, r"\(\.\.\., 4\)"
    yield lambda: monarch.BlockDiagonalLinear(4, 4, 0), RangeError, "at least 1"
    yield lambda: monarch.ImplicitFilter(3, 8)(9), RangeError, "max_len 8"
    yield (
        lambda: monarch.ImplicitFilter(3, 8, monarch.FilterOptions(emb_dim=4)),
        RangeError,
        "odd",
    )
    mixer = monarch.MonarchMixerSequence(3, 8)
    yield lambda: mixer(torch.ones(2, 9, 3)), RangeError, "max_len 8"
    yield lambda: mixer(torch.ones(2, 8, 4)), ShapeError, r"\(B, L, 3\)"
    yield lambda: mixer(torch.ones(2, 8, 3).long()), DTypeError, "floating-point"
    yield lambda: mixer(torch.ones(2, 8, 3), torch.ones(2, 8)), DTypeError, "booleans"
    yield (
        lambda: mixer(torch.ones(2, 8, 3), torch.ones(2, 7, dtype=torch.bool)),
        ShapeError,
        r"wanted \(2, 8\)",
    )
    yield lambda: monarch.MonarchMixerChannel(4, dropout=2.0), RangeError, "0.0 to 1.0"
    yield lambda: monarch.CausalMonarch(3, 8, mode="square"), RangeError, "two_part"
    yield lambda: monarch.CausalMonarch(3, 8, order=3, mode="two_part"), RangeError, "wanted 2"
    yield lambda: monarch.CausalMonarch(3, 8)(torch.ones(1, 9, 3)), RangeError, "max_len 8"
    yield lambda: monarch.CausalMonarch(3, 8)(torch.ones(1, 8, 2)), ShapeError, r"\(B, L, 3\)"
    yield lambda: monarch.M2ViT(image=8, patch=3), RangeError, "tile"
    yield lambda: monarch.M2ViT()(torch.ones(1, 1, 4, 4)), ShapeError, "4 patches; wanted 16"
    tokens = torch.zeros(1, 200, dtype=torch.int64)
    yield lambda: monarch.M2GPT()(tokens), RangeError, "max_len 128"
    yield lambda: monarch.M2GPT()(tokens[0]), ShapeError, r"\(B, L\)"


@pytest.mark.usefixtures("unchecked")
def test_wrong_calls_are_refused():
    for call, error, message in wrong_calls():
        with pytest.raises(error, match=message):
            call()
