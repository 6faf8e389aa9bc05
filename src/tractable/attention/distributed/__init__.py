"""Attention to sequences that no single device holds, and one template for long-sequence models.

For somebody whose sequence does not fit one device: `distributed_attention` spreads positions over
the ranks of a process group (gloo or NCCL) and gives the values and gradients of attention to the
whole, by four schedules whose bytes are known beforehand. For somebody who compares token mixers:
`make_mixer` builds fourteen of them behind one interface, each with the matrix that it applies.

Paper: Hongyu Hè and Marko Kabic, "A Unified View of Long-Sequence Models towards Modeling
Million-Scale Dependencies", 2023. https://arxiv.org/abs/2302.06218
Symbols: B batch, H query heads, G key heads, L positions, d width of queries and keys, e width of
values, P ranks, m = L d / P; X' = R(A(X) f(X W)), tokens X mixed by A, with read-out R (the
paper's P(X) with its real part, gates and projections).
Departures: of the paper's text only abstract and notation were at hand, and no code was published:
the template follows its notation, and the scheme is our reading of multi-head attention split as a
distributed matrix product is. That reading is "allgather" (keys and values gathered) and "mesh2d"
(a grid that gathers queries along rows and keys along columns); "ring" and "ulysses" (positions
traded for heads) are later rivals behind the same call. All are exact: softmax sums are merged,
scores made again in the backward pass. Added are causal masks with a zigzag layout that balances
them, shared key heads, uneven shards and a check on which ranks agree. Left out: GPU kernels (tiles
are torch's own products), masks other than causal, dropout, cross-attention, a second derivative,
and mixers other than softmax over ranks. A member that compresses tokens has a matrix with fewer
columns; an MLP over tokens is its second layer applied to the values of its first.
"""

from tractable.attention.distributed import (
    _attention_mixers,  # noqa: F401 (registers its members)
    _static_mixers,  # noqa: F401 (the same)
)
from tractable.attention.distributed._attention import CHECK_BYTES, distributed_attention
from tractable.attention.distributed._block import merge
from tractable.attention.distributed._layout import shard_sequence, unshard_sequence
from tractable.attention.distributed._meter import meter_tensors
from tractable.attention.distributed._module import DistributedMultiheadAttention
from tractable.attention.distributed._reference import reference
from tractable.attention.distributed._template import (
    MixerBlock,
    MixerShape,
    TokenMixer,
    make_mixer,
    register_mixer,
)
from tractable.attention.distributed._threads import run_ranks
from tractable.attention.distributed._volume import Volume, communication_volume

__all__ = [
    "CHECK_BYTES",
    "DistributedMultiheadAttention",
    "MixerBlock",
    "MixerShape",
    "TokenMixer",
    "Volume",
    "communication_volume",
    "distributed_attention",
    "make_mixer",
    "merge",
    "meter_tensors",
    "reference",
    "register_mixer",
    "run_ranks",
    "shard_sequence",
    "unshard_sequence",
]
