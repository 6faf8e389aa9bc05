"""The mask object: which keys each block of queries reads."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, no_type_check

import torch
from jaxtyping import Bool, Int
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

__all__ = ["HipMask"]

FLEX_TILE = 128


@dataclass(frozen=True, kw_only=True)
class HipMask:
    """Which keys each block of queries reads: the sink, the kept blocks and the local keys.

    Key block j holds the keys `sink_end + j * block_k` up to the next block's, where `sink_end`
    is `first_key + num_sink` of its batch row; the last one ends at `local_start`. A block of
    queries that attends to everything has `local_start == first_key` and keeps no blocks.

    Args:
        indices: ids of the kept key blocks, ascending, padded with -1.
        counts: how many are kept.
        local_start: where the keys begin that all queries of a block read, as far as causal.
        first_key: position of each row's first real key; queries before it read nothing.
        query_length, key_length: the lengths it was made for.
        block_q, block_k, num_sink, window: as in `hip_attention`.
        is_causal: whether a query reads no key after its own position.
    """

    indices: Int[Tensor, "B H N C"]
    counts: Int[Tensor, "B H N"]
    local_start: Int[Tensor, "B N"]
    first_key: Int[Tensor, "B"]
    query_length: int
    key_length: int
    block_q: int
    block_k: int
    num_sink: int
    window: int
    is_causal: bool = True

    @property
    def sink_end(self) -> Int[Tensor, "B N"]:
        """Where the sink ends."""
        return torch.minimum(self.first_key[:, None] + self.num_sink, self.local_start)

    @property
    def query_positions(self) -> Int[Tensor, "L"]:
        """Position of each query among the keys."""
        device = self.indices.device
        if not self.is_causal:
            return torch.full((self.query_length,), self.key_length - 1, device=device)
        begin = self.key_length - self.query_length
        return torch.arange(begin, self.key_length, device=device)

    def move_to(self, first_key: Int[Tensor, "B"]) -> "HipMask":
        """The same keys where each row's first one has another position, as after a new token.

        The local keys still end at the last position, so new ones are read.
        """
        moved = self.local_start + (first_key - self.first_key)[:, None]
        return replace(self, first_key=first_key, local_start=moved)

    def kept_keys(self) -> Int[Tensor, "B H N"]:
        """How many keys the kept blocks of each query block hold."""
        begin = (self.first_key[:, None] + self.num_sink)[:, None, :, None]
        ends = begin + (self.indices.to(torch.int64) + 1) * self.block_k
        excess = (ends - self.local_start[:, None, :, None]).clamp(min=0)
        excess = torch.where(self.indices >= 0, excess, 0).sum(-1)
        return self.counts.to(torch.int64) * self.block_k - excess

    def key_reads(self) -> int:
        """Keys that the blocks of queries read in the sparse pass, summed over them.

        A key counts once for each block of queries that reads it.
        """
        last = self.last_positions()
        local = (last - self.local_start + 1).clamp(min=0)
        sink = (torch.minimum(self.sink_end, last + 1) - self.first_key[:, None]).clamp(min=0)
        heads = self.indices.shape[1]
        return int(self.kept_keys().sum() + heads * (local + sink).sum())

    def density(self) -> float:
        """Pairs of query and key that are read, over those that dense attention reads."""
        positions = self.query_positions
        block = torch.arange(self.query_length, device=positions.device) // self.block_q
        first = self.first_key[:, None]
        allowed = (positions[None, :] + 1 - first).clamp(min=0)
        sink = torch.minimum(self.sink_end[:, block] - first, allowed)
        local = (positions[None, :] + 1 - self.local_start[:, block]).clamp(min=0)
        kept = self.kept_keys()[:, :, block] * (allowed > 0)[:, None, :]
        heads = self.indices.shape[1]
        read = kept.sum() + heads * (sink + local).sum()
        return float(read / (heads * allowed.sum()))

    def to_dense(self) -> Bool[Tensor, "B H L T"]:
        """Return the mask as booleans, true where a query reads a key; L x T of memory."""
        block = torch.arange(self.query_length, device=self.indices.device) // self.block_q
        return self._fixed_part() | (self._kept_part()[:, :, block] & self._causal_part())

    def to_flex_block_mask(self) -> "BlockMask":
        """Return the mask for `torch.nn.attention.flex_attention`.

        Holds one boolean for each pair of query block and key block.
        """
        from torch.nn.attention.flex_attention import BlockMask

        kept = self._kept_blocks()
        first, sink_end, local_start = self.first_key, self.sink_end, self.local_start
        positions, begin = self.query_positions, self.first_key + self.num_sink

        @no_type_check  # traced: nothing may wrap it
        def reads(batch: Any, head: Any, query: Any, key: Any) -> Any:
            block = query // self.block_q
            start = local_start[batch, block]
            fixed = (key < sink_end[batch, block]) | (key >= start)
            kept_id = ((key - begin[batch]) // self.block_k).clamp(0, kept.shape[3] - 1)
            inside = (key >= begin[batch]) & (key < start) & kept[batch, head, block, kept_id]
            return (fixed | inside) & (key >= first[batch]) & (key <= positions[query])

        tiles = self._tiles()
        counts = tiles.sum(-1).to(torch.int32)
        order = tiles.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
        return BlockMask.from_kv_blocks(
            counts,
            order.to(torch.int32),
            BLOCK_SIZE=FLEX_TILE,
            mask_mod=reads,
            seq_lengths=(self.query_length, self.key_length),
        )

    def last_positions(self) -> Int[Tensor, "1 N"]:
        """Position of each query block's last query."""
        count = self.indices.shape[2]
        rows = (torch.arange(count, device=self.indices.device) + 1) * self.block_q - 1
        return self.query_positions[rows.clamp(max=self.query_length - 1)][None, :]

    def _causal_part(self) -> Bool[Tensor, "B 1 L T"]:
        keys = torch.arange(self.key_length, device=self.indices.device)
        causal = keys[None, :] <= self.query_positions[:, None]
        return (causal[None] & (keys >= self.first_key[:, None])[:, None, :])[:, None]

    def _fixed_part(self) -> Bool[Tensor, "B 1 L T"]:
        keys = torch.arange(self.key_length, device=self.indices.device)
        block = torch.arange(self.query_length, device=self.indices.device) // self.block_q
        local = keys >= self.local_start[:, block, None]
        sink = keys < self.sink_end[:, block, None]
        return (local | sink)[:, None] & self._causal_part()

    def _kept_part(self) -> Bool[Tensor, "B H N T"]:
        keys = torch.arange(self.key_length, device=self.indices.device)
        begin = (self.first_key + self.num_sink)[:, None]
        kept = self._kept_blocks()
        ids = (keys[None, :] - begin) // self.block_k
        inside = (keys[None, :] >= begin)[:, None, :] & (keys < self.local_start[:, :, None])
        ids = ids.clamp(0, kept.shape[3] - 1)[:, None, None, :].expand(*kept.shape[:3], -1)
        return kept.gather(3, ids) & inside[:, None]

    def _kept_blocks(self) -> Bool[Tensor, "B H N K"]:
        total = -(-self.key_length // self.block_k)
        shape = (*self.indices.shape[:3], total + 1)
        kept = torch.zeros(shape, dtype=torch.bool, device=self.indices.device)
        ids = torch.where(self.indices >= 0, self.indices.to(torch.int64), total)
        return kept.scatter_(3, ids, True)[..., :total]

    def _tiles(self) -> Bool[Tensor, "B H QT KT"]:
        """Which tiles of flex_attention hold a pair that is read."""
        device = self.indices.device
        key_tiles = -(-self.key_length // FLEX_TILE)
        edges = torch.arange(key_tiles, device=device) * FLEX_TILE
        last = self.last_positions()[..., None]
        first, local = self.first_key[:, None, None], self.local_start[..., None]
        in_sink = (edges < self.sink_end[..., None]) & (edges + FLEX_TILE > first)
        near = in_sink | (edges + FLEX_TILE > local)
        shape = (*self.indices.shape[:3], key_tiles + 1)
        kept = torch.zeros(shape, dtype=torch.bool, device=device)
        begin = (self.first_key + self.num_sink)[:, None, None, None]
        for offset in (0, self.block_k - 1):
            keys = begin + self.indices.to(torch.int64) * self.block_k + offset
            tile = keys.clamp(max=self.key_length - 1) // FLEX_TILE
            kept.scatter_(3, torch.where(self.indices >= 0, tile, key_tiles), True)
        if self.block_k > FLEX_TILE:
            kept[:] = True
        used = (kept[..., :key_tiles] | near[:, None]) & (edges <= last)[:, None]
        query_tiles = -(-self.query_length // FLEX_TILE)
        rows = torch.arange(query_tiles * FLEX_TILE, device=device).view(query_tiles, FLEX_TILE)
        block = rows.clamp(max=self.query_length - 1) // self.block_q
        return used[:, :, block].any(3)
