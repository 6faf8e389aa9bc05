"""Transport plans with at most k nonzeros a column: matchings, routers, colour maps.

`sparse_ot` solves one problem with arrays; `tractable.algorithms.sparse_ot.torch` (extra `torch`)
solves batches, carries gradients, and has a router for mixtures of experts. `semi_dual` and `dual`
are the objectives, `round_to_marginals` repairs row sums.

Paper: Tianlin Liu, Joan Puigcerver and Mathieu Blondel, "Sparsity-Constrained Optimal Transport",
    ICLR 2023. https://arxiv.org/abs/2209.15466
Symbols: m rows and n columns of the plan T, a and b their sums, C costs (argument M, as in POT),
    gamma weight of the quadratic term (argument `reg`), k nonzeros a column (argument `max_nz`),
    alpha and beta the potentials of rows and columns, Omega* the conjugate of a column's
    regulariser.
Operations: what `tractable.count()` reports as "operations" is costs read, m n an evaluation of
    the objective; "iterations" are steps of L-BFGS, those with larger k included.
Departures:
    - For 1 < k < support of quadratic transport the dual's maximum mostly lies at a tie of the
      k-th and next score. There the paper's optimiser, one run of L-BFGS from zero, stops at a
      kink: 1e-5 to 1e-7 short of the best value known on clouds of points, up to 1e-2 on problems
      of a few rows. It is started again with fresh memory until a run gains nothing, after short
      runs with 4k and 2k, which are smoother; for k = 1, whose value does not depend on gamma,
      with four nonzeros and falling gamma. Up to 1e-3 is still lost on a few rows; no certificate
      of the maximum is given.
    - At such ties the plan misses the row sums (by 0.01 to 0.1 of the mass in L1): the paper's
      duality is that of the convex hull. The plan is returned as it is, `log` has "row_error",
      and `round_to_marginals` repairs it, at the price of a few more nonzeros; it is not in the
      paper.
    - gamma acts on entries of size 1 / (m n), so that gammas of order one do nothing: useful ones
      are 0.1 n to n. Potentials are computed in units of the range of the costs, so that a billion
      times the costs and gamma gives the same plan, and `stop_thr` is a share of that range.
    - A score further than gamma b_j below the column's best cannot be in the projection's support;
      the kernels skip it, which spares the partition by k.
    - Batches run an L-BFGS with halved steps in torch, routers too, where the paper's layers take
      a fixed number of gradient steps: 50 steps of ADAM at the best of five rates leave 23 to 34
      of 512 tokens without an expert, 50 of this leave 2. The router's gamma is in units of
      scores. The paper's accuracies of V-MoE models need data that is not public.
"""

from tractable.algorithms.sparse_ot._columns import (
    dual,
    reference,
    semi_dual,
    topk_relu,
    topk_simplex_projection,
)
from tractable.algorithms.sparse_ot._round import round_to_marginals
from tractable.algorithms.sparse_ot._solve import sparse_ot

__all__ = [
    "dual",
    "reference",
    "round_to_marginals",
    "semi_dual",
    "sparse_ot",
    "topk_relu",
    "topk_simplex_projection",
]
