"""What HiP attention's kernels owe the torch path, on a GPU and interpreted."""

import torch

import tractable
from tractable.attention import hip

TOLERANCE = {torch.bfloat16: 2e-2, torch.float16: 3e-3, torch.float32: 2e-5}


def close(got, wanted, dtype=torch.float32):
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(got.double(), wanted.double(), atol=tolerance, rtol=tolerance)


def expect_one_tree(query, key, **options):
    """Both paths choose the same blocks, and read as many keys for it."""
    masks = []
    for backend in ("triton", "torch"):
        with tractable.count() as cost:
            mask = hip.hip_mask(
                query,
                key,
                enable_gqa=True,
                backend=backend,
                generator=torch.Generator().manual_seed(3),
                **options,
            )
        masks.append((mask, cost["key reads"]))
    (one, reads), (two, other) = masks
    assert torch.equal(one.indices, two.indices)
    assert torch.equal(one.counts, two.counts)
    assert reads == other
