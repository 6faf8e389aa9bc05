"""HiP attention: find the keys that matter with a tree of block products, then attend to them.

For a model that is already trained: each block of queries descends a tree over the earlier keys,
keeps the best halves level by level (budget x log T products instead of T), and attends exactly
to what is left, to the first keys and to the near ones. It pays where nearby keys are alike, as
they are in the later layers of language models, and only for contexts many times the budget.

Paper: Heejun Lee, Geon Park, Youngwan Lee, Jaduk Suh, Jina Kim, Wonyoung Jeong, Bumsik Kim,
Hyemin Lee, Myeongjae Jeon and Sung Ju Hwang, "HiP Attention: Sparse Sub-Quadratic Attention with
Hierarchical Attention Pruning", 2024. https://arxiv.org/abs/2406.09827
Symbols: B batch, H query heads, G key heads, L queries, T keys, d width, N = ceil(L / block_q)
query blocks, C = budget / block_k kept key blocks; the paper's k is `budget`, its b_q and b_k
`block_q` and `block_k`, its r_m `refresh_every`, its l_d `dense_layers`.
Departures: the tree is in whole numbers and ties go to the earlier block, so results repeat. The
sampled queries of a block are counted back from its last one. `dense_queries="auto"` is the fixed
point of the official rule, p = 3 (log2(p / 2k) + 1) k, about ten budgets, because a rule that
depends on the final length would change early outputs when tokens are added. Between refreshes
the local keys grow instead of sliding, so no key falls into a gap. On a GPU everything is dense up
to sixteen budgets of keys, where launches cost more than they save. Heads that pool their budgets
and caches outside main memory are left out; `hip_pruned_attention` is the multi-stage successor.
"""

from tractable.attention.hip._attention import block_sparse_attention, hip_attention, hip_mask
from tractable.attention.hip._decode import HipDecodeState
from tractable.attention.hip._hf import register
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._paged import PagedCache, hip_paged_attention
from tractable.attention.hip._quality import QualityRow, quality_report
from tractable.attention.hip._reference import reference
from tractable.attention.hip._settings import HipSettings
from tractable.attention.hip._stages import STAGES, Stage, hip_pruned_attention

__all__ = [
    "STAGES",
    "HipDecodeState",
    "HipMask",
    "HipSettings",
    "PagedCache",
    "QualityRow",
    "Stage",
    "block_sparse_attention",
    "hip_attention",
    "hip_mask",
    "hip_paged_attention",
    "hip_pruned_attention",
    "quality_report",
    "reference",
    "register",
]
