"""How many bytes attention must move, how many its schedules do move, and which one to take.

For somebody who writes or tunes an attention kernel, chooses the size of an on-chip memory, or
teaches the memory model: schedules run on a simulated cache that counts every word and refuses
what does not fit, their counts are known in closed form, and `plan_attention` takes the cheapest
and says how far from the lower bound it is. It pays wherever moving costs more than computing.

Paper: Barna Saha and Christopher Ye, "The I/O Complexity of Attention, or How Optimal is Flash
Attention?", 2024. https://arxiv.org/abs/2402.07443
Symbols: n sequence length (the paper's N), d width of a head, M words in the cache, B side of a
square tile. The result: min(n²d²/M, n²d/√M) words up to a constant, the first for M >= d².
Departures: the paper exponentiates without subtracting maxima; here rows keep a maximum and a sum
online, which wait in the slow memory between tiles, and square tiling exponentiates scores when
they are read again: about 4n²/B words more. Its "outer_product" variant, which is the default,
streams single columns past one tile of side √M - 1 and moves about half as many words. The
bounds have explicit constants: the large-cache one counts scores by row and column of a dominator
and is tighter than the paper's proof by a constant; the small-cache one is that of Smith and
others on matrix products. Arithmetic is in float64 whatever the dtype, a word is an item of the
input, and a few scalars in registers are not counted. Fast matrix multiplication, the backward
pass, heads that share keys, and wider accumulators are left out.
"""

from tractable.attention.io._counts import (
    LowerBound,
    io_flash,
    io_lower_bound,
    io_square_tiling,
    io_standard,
)
from tractable.attention.io._exhaustive import least_traffic
from tractable.attention.io._memory import (
    CacheOverflowError,
    IOCount,
    StaleTileError,
    Tile,
    TwoLevelMemory,
)
from tractable.attention.io._misses import count_misses
from tractable.attention.io._plan import (
    KernelTile,
    TilePlan,
    plan_attention,
    plan_kernel_tiles,
    run_plan,
)
from tractable.attention.io._schedules import (
    reference,
    run_flash,
    run_square_tiling,
    run_standard,
)

__all__ = [
    "CacheOverflowError",
    "IOCount",
    "KernelTile",
    "LowerBound",
    "StaleTileError",
    "Tile",
    "TilePlan",
    "TwoLevelMemory",
    "count_misses",
    "io_flash",
    "io_lower_bound",
    "io_square_tiling",
    "io_standard",
    "least_traffic",
    "plan_attention",
    "plan_kernel_tiles",
    "reference",
    "run_flash",
    "run_plan",
    "run_square_tiling",
    "run_standard",
]
