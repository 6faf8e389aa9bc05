"""HiP attention on paged caches against each row's own contiguous keys."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tractable._core import DataError, DTypeError, ShapeError
from tractable.attention import hip

SMALL = {"budget": 16, "block_q": 8, "num_sink": 3, "window": 5, "dense_queries": 0}


def make(lengths, *, queries=1, page=16, heads=4, key_heads=2, width=32, seed=0):
    """A pool whose pages lie in no order, a query, and each row's keys and values laid out."""
    generator = torch.Generator().manual_seed(seed)
    most = -(-max(lengths) // page)
    pages = len(lengths) * most + 3
    pool = torch.randn(2, pages, key_heads, page, width, generator=generator)
    table = torch.randperm(pages, generator=generator)[: len(lengths) * most]
    table = table.view(len(lengths), most)
    cache = hip.PagedCache(pool[0], pool[1], table, torch.tensor(lengths))
    query = torch.randn(len(lengths), heads, queries, width, generator=generator)
    rows = [
        [torch.cat([part[p] for p in table[b]], 1)[None, :, :length] for part in pool]
        for b, length in enumerate(lengths)
    ]
    return query, cache, rows


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(9, 200), min_size=1, max_size=3),
    queries=st.integers(1, 9),
    page=st.sampled_from([1, 7, 16]),
    seed=st.integers(0, 99),
)
def test_each_row_equals_its_own_keys_laid_out(lengths, queries, page, seed):
    query, cache, rows = make(lengths, queries=queries, page=page, seed=seed)
    out, mask = hip.hip_paged_attention(query, cache, return_mask=True, **SMALL)
    for b, (key, value) in enumerate(rows):
        alone = hip.hip_attention(query[b : b + 1], key, value, enable_gqa=True, **SMALL)
        torch.testing.assert_close(out[b : b + 1], alone, atol=1e-5, rtol=1e-5)
    again = hip.hip_paged_attention(query, cache, mask=mask, **SMALL)
    torch.testing.assert_close(again, out)


def test_a_mask_serves_a_row_that_has_grown():
    query, cache, rows = make([150, 200])
    _, mask = hip.hip_paged_attention(query, cache, return_mask=True, **SMALL)
    shorter = hip.PagedCache(cache.key, cache.value, cache.table, cache.lengths - 3)
    _, old = hip.hip_paged_attention(query, shorter, return_mask=True, **SMALL)
    out = hip.hip_paged_attention(query, cache, mask=old, **SMALL)
    for b, (key, value) in enumerate(rows):
        total = key.shape[2]
        begin = cache.capacity - total
        moved = old.move_to(cache.first_key)
        kept = moved.to_dense()[b : b + 1, :, :, begin:]
        # What the older mask kept, and the three new keys beside it.
        scores = query[b : b + 1] @ key.repeat_interleave(2, 1).mT / 32**0.5
        weights = scores.masked_fill(~kept, -torch.inf).softmax(-1)
        assert bool(kept[..., -4:].all())
        expected = weights @ value.repeat_interleave(2, 1)
        torch.testing.assert_close(out[b : b + 1], expected, atol=1e-5, rtol=1e-5)
    assert not torch.equal(mask.local_start, old.move_to(cache.first_key).local_start)


def test_rows_may_share_pages_and_gradients_reach_the_pool():
    query, cache, _ = make([64, 64])
    shared = cache.table[:1].expand(2, -1)
    key = cache.key.clone().requires_grad_()
    out = hip.hip_paged_attention(
        query, hip.PagedCache(key, cache.value, shared, cache.lengths), **SMALL
    )
    out.sum().backward()
    assert key.grad is not None
    read = key.grad.abs().sum((1, 2, 3)) > 0
    assert set(read.nonzero().flatten().tolist()) <= set(shared[0].tolist())


def test_caches_that_hold_no_rows_are_refused(unchecked):
    query, cache, _ = make([40, 50])
    key, value, table, lengths = cache.key, cache.value, cache.table, cache.lengths
    with pytest.raises(ShapeError, match="none empty"):
        hip.PagedCache(key[:0], value[:0], table, lengths)
    with pytest.raises(ShapeError, match="page size"):
        hip.PagedCache(key, value[:, :1], table, lengths)
    with pytest.raises(ShapeError, match="lengths"):
        hip.PagedCache(key, value, table, lengths[:1])
    with pytest.raises(DTypeError, match="integers"):
        hip.PagedCache(key, value, table.float(), lengths)
    with pytest.raises(ShapeError, match="rows"):
        hip.hip_paged_attention(query[:1], cache, **SMALL)
    for bad in (lengths * 0, lengths * 2):
        with pytest.raises(DataError, match="tokens each"):
            hip.hip_paged_attention(query, hip.PagedCache(key, value, table, bad), **SMALL)
    with pytest.raises(DataError, match="where tokens are"):
        hip.hip_paged_attention(query, hip.PagedCache(key, value, table - 99, lengths), **SMALL)
    _, other, _ = make([40, 90])
    _, mask = hip.hip_paged_attention(query, cache, return_mask=True, **SMALL)
    with pytest.raises(ShapeError, match="made for"):
        hip.hip_paged_attention(query, other, mask=mask, **SMALL)
