"""Distributed attention against one process, its closed forms, and hostile input; and the mixers.

Run as a script this file is one process of a group: it attends and saves what it found.
"""

import math
import os
import subprocess
import sys
from itertools import product

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.attention import distributed
from tractable.attention.distributed import (
    _attention_mixers,
    _static_mixers,
    _template,
)

ALGORITHMS = ("ring", "allgather", "ulysses", "mesh2d")
LAYOUTS = ("contiguous", "zigzag")
MIXERS = sorted(_template._members)
NEVER_CAUSAL = {"linformer", "nystrom", "fnet", "mlp_mixer"}


def make(length=9, heads=(4, 4), widths=(3, 5), *, batch=2, seed=0, dtype=torch.float64):
    """Query, key, value, a gradient of the output and one of the log-sums."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((heads[0], widths[0]), (heads[1], widths[0]), (heads[1], widths[1]))
    shapes += ((heads[0], widths[1]), (heads[0], 1))
    return [
        torch.randn(batch, h, length, e, generator=generator, dtype=torch.float64).to(dtype)
        for h, e in shapes
    ]


def alone(tensors, is_causal, scale=None):
    """Output, log-sums and gradients by the definition."""
    query, key, value = (x.clone().requires_grad_() for x in tensors[:3])
    out = distributed.reference(query, key, value, is_causal=is_causal, scale=scale)
    scores = query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).mT
    scores = scores * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    lse = scores.logsumexp(-1, keepdim=True)
    total = (out * tensors[3]).sum() + (lse * tensors[4]).sum()
    return [out.detach(), lse.detach(), *torch.autograd.grad(total, (query, key, value))]


def spread(group, tensors, layout="contiguous", check=True, **options):
    """The same on a rank, gathered, and the bytes that it sent forward and backward."""
    length = tensors[0].shape[2]
    parts = [distributed.shard_sequence(x, 2, group, layout).clone() for x in tensors]
    leaves = [x.requires_grad_() for x in parts[:3]]
    options = {"length": length, "enable_gqa": True, "chunk_size": 4, "check": check} | options
    with tractable.count() as forward:
        out, lse = distributed.distributed_attention(
            *leaves, group=group, layout=layout, return_lse=True, **options
        )
    total = (out * parts[3]).sum() + (lse[..., None] * parts[4]).sum()
    with tractable.count() as backward:
        grads = torch.autograd.grad(total, leaves)
    found = [
        distributed.unshard_sequence(x, 2, group, layout, length=length)
        for x in (out, lse[..., None], *grads)
    ]
    return found, (forward["bytes sent"], backward["bytes sent"])


def close(found, expected, tolerance=1e-12):
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, atol=tolerance, rtol=tolerance)


def cases(ranks):
    """What a process group is asked: lengths with and without remainder, shared heads, layouts."""
    every = product(ALGORITHMS, LAYOUTS, (False, True), ((1, 4, 4), (13, 8, 4)))
    for algorithm, layout, is_causal, (length, heads, groups) in every:
        tensors = make(length, (heads, groups))
        yield tensors, {"algorithm": algorithm, "layout": layout, "is_causal": is_causal}


# Processes: each world is started once, and all its cases run inside.


def be_a_process(rank, size, folder, backend):
    torch.set_num_threads(1)
    device = torch.device("cpu" if backend == "gloo" else f"cuda:{rank}")
    meet = f"file://{folder}/meet"
    dist.init_process_group(backend, init_method=meet, rank=rank, world_size=size)
    try:
        found = []
        for tensors, options in cases(size):
            values, sent = spread(None, [x.to(device) for x in tensors], **options)
            found.append(([x.cpu() for x in values], sent))
        torch.save(found, f"{folder}/{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()


def run_processes(size, folder, backend):
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(size), str(folder), backend],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        said = [process.communicate(timeout=180)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert not any(process.returncode for process in started), said
    for rank in range(size):
        found = torch.load(folder / f"{rank}.pt")
        for (tensors, options), (values, sent) in zip(cases(size), found, strict=True):
            close(values, alone(tensors, options["is_causal"]))
            assert sent == sent_by_one(size, tensors, options), options


@pytest.mark.parametrize("size", [2, 4])
def test_processes_equal_one_process(size, tmp_path):
    run_processes(size, tmp_path, "gloo")


@pytest.mark.cuda
def test_gpus_equal_one_process(tmp_path):
    if torch.cuda.device_count() < 2:
        pytest.skip("wanted two GPUs, one a rank")
    run_processes(min(4, torch.cuda.device_count() // 2 * 2), tmp_path, "nccl")


def sent_by_one(ranks, tensors, options):
    options = {key: value for key, value in options.items() if key != "is_causal"}
    volume = distributed.communication_volume(
        options.pop("algorithm"),
        ranks,
        tensors[0].shape[2],
        tensors[0].shape[3],
        tensors[0].shape[1],
        kv_heads=tensors[1].shape[1],
        value_width=tensors[2].shape[3],
        batch=tensors[0].shape[0],
        dtype=tensors[0].dtype,
        return_lse=True,
        **options,
    )
    return volume.forward + (ranks - 1) * distributed.CHECK_BYTES, volume.backward


# Threads: cheap enough to draw cases.


@settings(max_examples=30)
@given(
    ranks=st.integers(1, 6),
    length=st.integers(1, 30),
    shared=st.integers(1, 3),
    batch=st.integers(1, 2),
    widths=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    algorithm=st.sampled_from(ALGORITHMS),
    layout=st.sampled_from(LAYOUTS),
    is_causal=st.booleans(),
    scale=st.sampled_from((None, 0.7, -0.4, 0.0)),
    chunk_size=st.sampled_from((1, 3, 100)),
    seed=st.integers(0, 99),
)
def test_threads_equal_one_process(
    *, ranks, length, shared, batch, widths, algorithm, layout, is_causal, scale, chunk_size, seed
):
    groups = ranks if algorithm == "ulysses" else 2
    tensors = make(length, (shared * groups, groups), widths, batch=batch, seed=seed)
    options = {"algorithm": algorithm, "layout": layout}
    more = {"is_causal": is_causal, "scale": scale, "chunk_size": chunk_size}
    expected = alone(tensors, is_causal, scale)
    for values, sent in distributed.run_ranks(
        ranks, lambda group: spread(group, tensors, **options, **more)
    ):
        close(values, expected, 1e-11)
        assert sent == sent_by_one(ranks, tensors, options)


@pytest.mark.parametrize("mesh", [(1, 6), (2, 3), (3, 2), (6, 1)])
def test_every_mesh_agrees_and_the_default_sends_least(mesh):
    tensors = make(12)
    options = {"algorithm": "mesh2d", "mesh": mesh, "is_causal": True}
    found = distributed.run_ranks(6, lambda group: spread(group, tensors, **options))
    for values, sent in found:
        close(values, alone(tensors, True))
        assert sent == sent_by_one(6, tensors, options)
    best = sent_by_one(6, tensors, {"algorithm": "mesh2d"})
    assert sum(best) <= sum(found[0][1])


@pytest.mark.parametrize("is_causal", [False, True])
def test_one_rank_is_torchs_own_attention(is_causal):
    query, key, value, *_ = make(33, (6, 2))
    expected = F.scaled_dot_product_attention(
        query, key, value, is_causal=is_causal, enable_gqa=True
    )
    for algorithm in ALGORITHMS:
        found = distributed.distributed_attention(
            query, key, value, algorithm=algorithm, is_causal=is_causal, enable_gqa=True
        )
        close([found], [expected])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gradcheck_passes(algorithm):
    leaves = [x.requires_grad_() for x in make(5, (2, 1), (2, 2), batch=1)[:3]]

    def attend(*tensors):
        return distributed.distributed_attention(
            *tensors,
            algorithm=algorithm,
            is_causal=True,
            enable_gqa=True,
            chunk_size=2,
            return_lse=True,
        )

    assert torch.autograd.gradcheck(attend, leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_other_dtypes_come_back_as_they_went_in(algorithm, dtype):
    tensors = make(24, dtype=dtype)
    tolerance = {torch.float32: 2e-5, torch.bfloat16: 0.06, torch.float16: 8e-3}[dtype]
    expected = alone([x.double() for x in tensors], True)
    options = {"algorithm": algorithm, "is_causal": True}
    for values, sent in distributed.run_ranks(4, lambda g: spread(g, tensors, **options)):
        assert [x.dtype for x in values] == [dtype, torch.float32, dtype, dtype, dtype]
        close([x.double() for x in values], expected, tolerance)
        assert sent == sent_by_one(4, tensors, {"algorithm": algorithm})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_empty_batches_and_strided_tensors(algorithm):
    tensors = make(8, batch=0)
    for values, sent in distributed.run_ranks(2, lambda g: spread(g, tensors, algorithm=algorithm)):
        assert values[0].shape == (0, 4, 8, 5)
        assert sent[1] == 0
    tensors = make(8)
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in tensors[:3]]

    def work(group):
        parts = [distributed.shard_sequence(x, 2, group) for x in strided]
        return distributed.distributed_attention(*parts, group=group, algorithm=algorithm)

    found = torch.cat(distributed.run_ranks(4, work), 2)
    close([found], [distributed.reference(*tensors[:3])])


def test_zigzag_halves_the_busiest_ranks_work():
    tensors = make(64, (1, 1), batch=1)

    def work(group, layout):
        parts = [distributed.shard_sequence(x, 2, group, layout) for x in tensors[:3]]
        with tractable.count() as cost:
            distributed.distributed_attention(
                *parts, group=group, layout=layout, is_causal=True, chunk_size=8
            )
        return cost["flops"]

    even, uneven = (distributed.run_ranks(4, work, layout) for layout in reversed(LAYOUTS))
    assert len(set(even)) == 1
    assert max(uneven) > 1.6 * max(even)
    assert sum(even) == sum(uneven)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("ranks", [1, 4])
def test_memory_is_near_its_closed_form(algorithm, ranks):
    heads, side, width = 4, 32, 64
    tensors = make(256, (heads, heads), (width, width), batch=1, dtype=torch.float32)[:3]

    def work(group):
        parts = [distributed.shard_sequence(x, 2, group).contiguous() for x in tensors]
        with distributed.meter_tensors() as meter:
            distributed.distributed_attention(
                *parts, group=group, algorithm=algorithm, chunk_size=side
            )
        return meter.peak - parts[0].nbytes

    volume = distributed.communication_volume(algorithm, ranks, 256, width, heads)
    # Of a tile: two squares of scores; its queries and three times its output.
    scratch = 4 * heads * side * (2 * side + 4 * width)
    for peak in distributed.run_ranks(ranks, work):
        assert 0.5 * volume.held <= peak <= volume.held + scratch


def test_closed_forms_are_the_known_ones():
    m = 4096 // 16 * 64 * 4

    def sent(algorithm, **options):
        return distributed.communication_volume(algorithm, 16, 4096, 64, 1, **options)

    assert sent("ring").forward == sent("allgather").forward == 30 * m
    assert sent("ulysses").forward == 4 * m * 15 // 16
    log_sums = 3 * 4096 // 16 * 4
    assert sent("mesh2d", mesh=(4, 4)).forward == 12 * m + log_sums
    assert sent("mesh2d").mesh == (4, 4)
    shared = distributed.communication_volume("ring", 16, 4096, 64, 8, kv_heads=2)
    assert shared.forward == 2 * sent("ring").forward
    assert sent("ring", dtype=torch.bfloat16).forward == 15 * m
    assert not any(distributed.communication_volume("ring", 1, 9, 2, 1)[:2])


@given(
    length=st.integers(1, 60),
    ranks=st.integers(1, 7),
    layout=st.sampled_from(LAYOUTS),
    dim=st.sampled_from((0, 1, -1)),
)
@settings(max_examples=15)
def test_shards_are_put_together_again(length, ranks, layout, dim):
    shape = [3, 2]
    shape.insert(dim % 3, length)
    whole = torch.arange(6 * length).reshape(shape)

    def work(group):
        part = distributed.shard_sequence(whole, dim, group, layout)
        return distributed.unshard_sequence(part, dim, group, layout, length=length)

    assert all(torch.equal(found, whole) for found in distributed.run_ranks(ranks, work))


def test_sums_over_no_keys_merge_without_nan():
    none = (torch.zeros(3), torch.tensor(-torch.inf))
    some = (torch.ones(3), torch.tensor(2.0))
    for pair in ((none, some), (some, none)):
        out, lse = distributed.merge(*pair)
        assert out.tolist() == [1.0] * 3
        assert lse == 2.0
    out, lse = distributed.merge(none, none)
    assert not out.any()
    assert lse == -torch.inf
    large = (torch.ones(3), torch.tensor(1e30))
    out, lse = distributed.merge(large, (3 * torch.ones(3), torch.tensor(1e30)))
    assert out.tolist() == [2.0] * 3
    assert lse == 1e30


def test_huge_entries_are_exact_or_refused():
    tensors = make(6, dtype=torch.float32)[:3]
    query, key, value = (1e15 * x for x in tensors)
    best = (query @ key.mT).argmax(-1)[..., None].expand(-1, -1, -1, value.shape[-1])
    found = distributed.distributed_attention(query, key, value, chunk_size=2)
    assert torch.equal(found, value.gather(2, best))
    with pytest.raises(DataError, match="scores can reach"):
        distributed.distributed_attention(1e10 * query, 1e10 * key, value)
    with pytest.raises(DataError, match="and sums"):
        distributed.distributed_attention(query, key, value * 1e23)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_poison_on_one_rank_is_refused_on_all(poison, place):
    def work(group):
        parts = [distributed.shard_sequence(x, 2, group).clone() for x in make(9)[:3]]
        if group.rank() == 1:
            parts[place][0, 0, 1, 0] = poison
        name = ("query", "key", "value")[place]
        with pytest.raises(DataError, match=f"{name} of rank 1 has NaN or infinite"):
            distributed.distributed_attention(*parts, group=group)
        return True

    assert distributed.run_ranks(3, work) == [True] * 3


@pytest.mark.usefixtures("unchecked")
def test_a_mistake_on_one_rank_ends_all():
    mistakes = (
        (lambda parts: parts[0].float(), DTypeError, "wanted the query's", DataError),
        (lambda parts: parts[0][0], ShapeError, "wanted .B, H, rows", DataError),
        (lambda parts: parts[0][..., :2], ShapeError, "wanted the query's 2", DataError),
        (lambda parts: parts[0].requires_grad_(), ShapeError, "rank 0 was given", ShapeError),
    )
    for change, error, message, elsewhere in mistakes:

        def work(group, change=change, error=error, message=message, elsewhere=elsewhere):
            parts = [distributed.shard_sequence(x, 2, group).clone() for x in make(8)[:3]]
            if group.rank() == 1:
                parts[0] = change(parts)
                with pytest.raises(error, match=message):
                    distributed.distributed_attention(*parts, group=group)
            else:
                with pytest.raises(elsewhere, match="rank 1 was given"):
                    distributed.distributed_attention(*parts, group=group)
            return True

        assert distributed.run_ranks(2, work) == [True] * 2


def wrong_inputs():
    query, key, value, *_ = make(9)
    yield (query[0], key, value), {}, ShapeError, "wanted .B, H, rows, width"
    yield (query, 3, value), {}, DTypeError, "wanted a tensor"
    yield (3, key, value), {}, DTypeError, "wanted a tensor"
    yield (query.long(), key, value), {}, DTypeError, "floating-point"
    yield (query, key.float(), value), {}, DTypeError, "wanted the query's"
    yield (query, key[..., :2], value), {}, ShapeError, "key has width 2"
    yield (query, key, value[:, :2]), {}, ShapeError, "value has 2 heads"
    yield (query, key[:, :, :4], value), {}, ShapeError, "4 rows"
    yield (query, key[:1], value), {}, ShapeError, "batch 1"
    yield (query[:, :0], key, value), {}, ShapeError, "wanted heads and a width"
    yield (query[:, :, :0], key[:, :, :0], value[:, :, :0]), {}, ShapeError, "no positions"
    yield (query, key[:, :2], value[:, :2]), {}, ShapeError, "with enable_gqa a divisor"
    yield (
        (query, key[:, :3], value[:, :3]),
        {"enable_gqa": True},
        ShapeError,
        "wanted a divisor of the query's 4",
    )
    yield (query, key, value), {"algorithm": "star"}, RangeError, "ring, allgather, ulysses"
    yield (query, key, value), {"layout": "striped"}, RangeError, "contiguous, zigzag"
    yield (query, key, value), {"length": 10}, ShapeError, "rank 0 has 9 positions; wanted 10"
    yield (query, key, value), {"length": 9.0}, DTypeError, "integer"
    yield (query, key, value), {"scale": math.inf}, RangeError, "finite"
    yield (query, key, value), {"chunk_size": 0}, RangeError, "at least 1"
    yield (query, key, value), {"algorithm": "mesh2d", "mesh": (2, 2)}, RangeError, "2 x 2"


@pytest.mark.usefixtures("unchecked")
def test_wrong_input_is_refused():
    for arguments, options, error, message in wrong_inputs():
        for check in (True, False):
            with pytest.raises(error, match=message):
                distributed.distributed_attention(*arguments, check=check, **options)


def test_what_only_several_ranks_can_refuse():
    def work(group):
        query, key, value, *_ = make(3, (4, 3))
        with pytest.raises(RangeError, match="3 heads on 2 ranks"):
            distributed.distributed_attention(
                *(query[:, :3], key, value), group=group, algorithm="ulysses"
            )
        with pytest.raises(ShapeError, match="two chunks of the same size"):
            distributed.distributed_attention(
                *(query[:, :3], key, value), group=group, layout="zigzag"
            )
        return True

    assert distributed.run_ranks(2, work) == [True] * 2


@pytest.mark.usefixtures("unchecked")
def test_the_helpers_refuse_wrong_input():
    x = torch.zeros(2, 3)
    with pytest.raises(ShapeError, match="wanted one called 2"):
        distributed.shard_sequence(x, 2)
    with pytest.raises(ShapeError, match="wanted positions"):
        distributed.shard_sequence(x[:0], 0)
    with pytest.raises(RangeError, match="contiguous, zigzag"):
        distributed.shard_sequence(x, 0, layout="odd")
    with pytest.raises(RangeError, match="not in the group"):
        distributed.shard_sequence(x, 0, dist.GroupMember.NON_GROUP_MEMBER)
    with pytest.raises(RangeError, match="at least 1"):
        distributed.run_ranks(0, print)
    with pytest.raises(ZeroDivisionError):
        distributed.run_ranks(2, lambda group: 1 // group.rank())
    with pytest.raises(RangeError, match="ring, allgather"):
        distributed.communication_volume("star", 2, 4, 2, 1)
    with pytest.raises(RangeError, match="each a multiple"):
        distributed.DistributedMultiheadAttention(12, 5)
    with pytest.raises(RangeError, match="plain self-attention"):
        distributed.DistributedMultiheadAttention.from_torch(
            torch.nn.MultiheadAttention(4, 2, dropout=0.5)
        )
    with pytest.raises(ShapeError, match="rows, 12"):
        distributed.DistributedMultiheadAttention(12, 3)(x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_is_torchs_own_spread_over_ranks(layout, bias):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, 4, bias=bias, batch_first=True, dtype=torch.float64)
    x = torch.randn(2, 10, 12, dtype=torch.float64)
    mask = torch.ones(10, 10, dtype=torch.bool).triu(1)
    expected = theirs(x, x, x, attn_mask=mask, need_weights=False)[0]
    expected.square().sum().backward()

    def work(group):
        layer = distributed.DistributedMultiheadAttention.from_torch(
            theirs, group=group, layout=layout
        )
        out = layer(distributed.shard_sequence(x, 1, group, layout), is_causal=True, length=10)
        out.square().sum().backward()
        whole = distributed.unshard_sequence(out, 1, group, layout, length=10)
        return whole, layer.project.weight.grad, layer.combine.weight.grad

    found = distributed.run_ranks(4, work)
    close([found[0][0]], [expected.detach()])
    grads = [sum(each[i] for each in found) for i in (1, 2)]
    close(grads, [theirs.in_proj_weight.grad, theirs.out_proj.weight.grad])


# The template and its members.


def build(name, causal=False, max_len=24):
    torch.manual_seed(1)
    return distributed.make_mixer(name, 12, heads=3, max_len=max_len, causal=causal).double()


def members():
    for name in MIXERS:
        yield name, False
        if name not in NEVER_CAUSAL:
            yield name, True


@pytest.mark.parametrize(("name", "causal"), list(members()))
@pytest.mark.parametrize("length", [1, 2, 5, 21])
def test_mixers_apply_the_matrix_they_name(name, causal, length, monkeypatch):
    monkeypatch.setattr(_attention_mixers, "CHUNK", 8)
    mixer = build(name, causal)
    x = torch.randn(2, length, 12, dtype=torch.float64)
    values, matrix = mixer.values(x), mixer.mixing_matrix(x)
    out = mixer(x)
    assert out.shape == x.shape
    close([out], [mixer.read_out(x, matrix @ values)], 1e-11)
    assert matrix.shape[-2:] == (length, values.shape[2])


@pytest.mark.parametrize(("name", "causal"), [each for each in members() if each[1]])
def test_causal_mixers_read_nothing_later(name, causal, monkeypatch):
    monkeypatch.setattr(_attention_mixers, "CHUNK", 8)
    mixer = build(name, causal)
    x = torch.randn(2, 20, 12, dtype=torch.float64)
    later = x.clone()
    later[:, 11:] = 50.0
    close([mixer(later)[:, :11]], [mixer(x)[:, :11]], 1e-10)
    assert not torch.allclose(mixer(later)[:, 11:], mixer(x)[:, 11:])
    assert (mixer.mixing_matrix(x).triu(1) == 0).all()


@pytest.mark.parametrize("name", MIXERS)
def test_gradients_reach_every_weight(name):
    block = distributed.MixerBlock(build(name)).double()
    block(torch.randn(2, 7, 12, dtype=torch.float64)).square().sum().backward()
    for label, weight in block.named_parameters():
        assert weight.grad is not None, label
        assert torch.isfinite(weight.grad).all(), label


@pytest.mark.parametrize("name", sorted(set(MIXERS) - {"fnet", "long_conv", "s4d", "aft_simple"}))
def test_declared_flops_grow_like_counted_ones(name):
    counted, declared = [], []
    for length in (512, 1024):
        mixer = build(name, max_len=length)
        x = torch.randn(1, length, 12, dtype=torch.float64)
        values = mixer.values(x)
        # Only the plain path of fused attention is counted on a CPU.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            mixer.mix(x, values)
        counted.append(counter.get_total_flops())
        declared.append(mixer.flops(length))
    if name == "pool":  # it has no product
        assert declared[1] == 2 * declared[0]
        return
    slopes = [math.log2(pair[1] / pair[0]) for pair in (counted, declared)]
    assert abs(slopes[0] - slopes[1]) < 0.1


def test_special_members_are_what_their_papers_say():
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    close([build("fnet")(x)], [torch.fft.fft2(x).real], 1e-11)
    mixer = build("nystrom")
    close(
        [mixer.mixing_matrix(x)], [_attention_mixers.SoftmaxMixer.scores(mixer, x).softmax(-1)], 0.1
    )
    wide = distributed.make_mixer("performer", 4, features=20_000, max_len=9).double()
    few = x[..., :4] / 2
    exact = _attention_mixers.SoftmaxMixer.mixing_matrix(wide, few)
    close([wide.mixing_matrix(few)], [exact], 0.05)
    pool = build("pool")(x)
    close([pool[:, 4]], [x[:, 3:6].mean(1) - x[:, 4]])


def test_members_can_be_registered_once():
    class Still(_static_mixers.PoolMixer):
        """Does what pooling does."""

    try:
        distributed.register_mixer("still", Still)
        distributed.register_mixer("still", Still)
        assert isinstance(distributed.make_mixer("still", 4), Still)
        with pytest.raises(RangeError, match="already"):
            distributed.register_mixer("still", _static_mixers.PoolMixer)
    finally:
        _template._members.pop("still")


@pytest.mark.usefixtures("unchecked")
def test_mixers_refuse_wrong_input():
    with pytest.raises(RangeError, match=r"wanted one of .*softmax"):
        distributed.make_mixer("magic", 4)
    with pytest.raises(RangeError, match="wanted a multiple"):
        distributed.make_mixer("softmax", 4, heads=3)
    for name in NEVER_CAUSAL:
        with pytest.raises(RangeError, match="causal=False"):
            distributed.make_mixer(name, 4, causal=True)
    mixer = build("softmax")
    with pytest.raises(ShapeError, match=r"wanted .B, L, 12"):
        mixer(torch.zeros(2, 12))
    with pytest.raises(ShapeError, match="wanted 1 to 24"):
        mixer(torch.zeros(1, 25, 12))
    with pytest.raises(DTypeError, match="floating-point"):
        mixer(torch.zeros(1, 5, 12, dtype=torch.int64))
    with pytest.raises(RangeError, match="at least 0"):
        distributed.make_mixer("local", 4, window=-1)


if __name__ == "__main__":
    be_a_process(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
