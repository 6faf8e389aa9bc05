"""The multi-stage successor of HiP against plain loops and dense attention."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)

import tractable
from tractable._core import RangeError
from tractable.attention import hip
from tractable.attention.hip import Stage

STAGES = (Stage(4, 16, 64), Stage(1, 4, 24))
SMALL = {"stages": STAGES, "block_q": 8, "num_sink": 3, "window": 5}


def make(length, total, *, batch=2, heads=4, key_heads=2, width=8, seed=0):
    """Whole numbers have exact products, so choices are exact too."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, length, width), *[(batch, key_heads, total, width)] * 2]
    return [torch.randint(-3, 4, shape, generator=generator).float() for shape in shapes]


def pruned_by_loops(query, key, first, where):
    """Ids that one block of queries of one key head keeps, one chunk after another."""
    b, group, block = where
    length, total = query.shape[2], key.shape[2]
    heads = query.shape[1] // key.shape[1]
    begin = first + 3
    position = total - length + block * 8
    stop = max(begin, position + 1 - 5)
    last = min((block + 1) * 8, length) - 1
    earliest = max(block * 8, first - (total - length))
    spots, size = list(range(0, max(stop - begin, 0), 16)), 16
    for stage in STAGES:
        starts = [s + i for s in spots for i in range(0, size, stage.chunk) if s + i < stop - begin]
        size = stage.chunk
        asked = [last - i for i in range(0, 8, stage.stride_q)]
        asked = [i if i >= earliest else last for i in asked]
        rows = query[b, group * heads : (group + 1) * heads][:, asked].reshape(-1, query.shape[3])

        def score(place, rows=rows):
            inside = place < stop - begin
            return float((rows @ key[b, group, begin + place]).max()) if inside else -1e30

        scored = []
        for start in starts:
            place, half = start, size // 2
            while half:
                place = place + half if score(place + half) > score(place) else place
                half //= 2
            scored.append((-score(place), start))
        spots = sorted(start for _, start in sorted(scored)[: stage.keep // size])
    return [start // size for start in spots]


@pytest.mark.parametrize(("length", "total"), [(150, 200), (1, 300), (200, 200), (5, 40), (1, 1)])
@pytest.mark.parametrize("padding", [None, (0, 17)])
def test_it_keeps_what_plain_loops_keep(length, total, padding):
    if padding and total <= 17:
        pytest.skip("no key would be real")
    query, key, value = make(length, total)
    first = None if padding is None else torch.tensor(padding)
    out, mask = hip.hip_pruned_attention(
        query, key, value, enable_gqa=True, first_key=first, return_mask=True, **SMALL
    )
    for b in range(2):
        for head in range(4):
            for block in range(mask.indices.shape[2]):
                begin = 0 if padding is None else padding[b]
                if block * 8 + 7 < begin - (total - length):
                    continue  # padding alone
                wanted = pruned_by_loops(query, key, begin, (b, head // 2, block))
                kept = mask.indices[b, head, block]
                assert kept[kept >= 0].tolist() == wanted, (b, head, block)
    allowed = mask.to_dense()
    reads = allowed.any(-1, keepdim=True)
    expected = F.scaled_dot_product_attention(
        query,
        key.repeat_interleave(2, 1),
        value.repeat_interleave(2, 1),
        attn_mask=allowed | ~reads,
    )
    torch.testing.assert_close(out, expected * reads, atol=1e-5, rtol=1e-5)


def test_stages_that_keep_everything_are_dense_attention():
    query, key, value = make(100, 100)
    out = hip.hip_pruned_attention(query, key, value, enable_gqa=True)
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_reads_grow_with_the_chunks_of_the_first_stage():
    counted = []
    for total in (2000, 4000):
        query, key, value = make(1, total, batch=1)
        with tractable.count() as cost:
            hip.hip_pruned_attention(query, key, value, enable_gqa=True, **SMALL)
        counted.append(cost["key reads"])
    chunks = 2 * 2000 / 16  # of both key heads
    assert counted[1] - counted[0] == pytest.approx(chunks * (1 + 4), rel=0.02)


@pytest.mark.parametrize(
    "stages",
    [
        (),
        (Stage(1, 12, 24),),
        (Stage(1, 8, 12),),
        (Stage(0, 8, 16),),
        (Stage(1, 8, 32), Stage(1, 16, 16)),
        (Stage(1, 8, 16), Stage(1, 4, 32)),
    ],
)
def test_stages_that_do_not_fit_are_refused(stages):
    query, key, value = make(10, 10)
    with pytest.raises(RangeError):
        hip.hip_pruned_attention(query, key, value, enable_gqa=True, stages=stages)
