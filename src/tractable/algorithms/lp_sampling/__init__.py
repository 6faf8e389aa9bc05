"""Small weighted samples of rows that keep every l_p norm of a tall matrix, and l_p regression.

`sample_rows` keeps few rows of a tall matrix A, with weights, such that sum |a_i x|^p hardly
changes for any x; `sample_weight` of what it returns is what estimators take. Scores say how much
a row can matter: `lp_sensitivities`, `lewis_weights`, `leverage_scores`. `subspace_distortion`
looks for the x that a sample serves worst. `lp_regression` solves what is left, with a
certificate; `LpCoresetRegressor` in `lp_sampling.sklearn` does all of it.

Paper: David P. Woodruff and Taisuke Yasuda, "Sharper Bounds for ell_p Sensitivity Sampling",
    ICML 2023. https://arxiv.org/abs/2306.00732
Symbols: A matrix of n rows a_i and rank d, p >= 1, sigma_i sensitivity sup_x |a_i x|^p /
    ||Ax||_p^p, S their sum, tau_i leverage score (sensitivity at p = 2), w_i Lewis weight, q_i
    probability of row i, alpha oversampling, m rows kept, epsilon distortion.
Departures:
    - The bounds, S^(2/p) rows for p < 2 and S^(2-2/p) for p > 2, hide constants and
      powers of log n and 1/epsilon that no proof tries to keep small: they give no number to use.
      The caller says how many rows to keep; alpha is solved for; `subspace_distortion` checks.
    - Exact sensitivities take one convex program a row. Sampling needs them up to a constant
      factor: programs run on a Lewis sample, where theory asks for d^max(1, p/2) polylog(n) /
      epsilon^2 rows and 4 d^max(1, p/2) + 200 are taken, fewer where that would take over a
      second; each stops when its dual is within twice its primal value, mostly at once, or after
      four weightings, and the dual value is the score.
    - Root leverage scores are resampled until the sample stops shrinking, instead of O(log log n)
      times with fresh polylogarithmic factors; at equal alpha it settles at alpha^(2/p) d rows.
    - Flattening splits a row of large sensitivity into copies. Here a row with q = 1 is simply
      kept, which is the limit of many copies; only for "leverage+sensitivity" (p > 2), where
      splitting changes leverage scores, are these computed as if rows were split. The mixture is
      the larger of both normalised scores.
    - For p < 2 the authors note that an earlier bound, d^(1-p/2) S, subsumes theirs. "auto" takes
      Lewis weights there, which need d rows up to logarithms, and the mixture for p > 2.
    - Sketched leverage scores are left out: a sketch that is accurate to a half needs more
      columns than d for every d below some hundreds.
    - `lp_regression` is not the paper's: a fit is the same convex program as a sensitivity, so it
      is solved by the same weights and the same dual bound (p = 1: a linear program).
"""

from tractable.algorithms.lp_sampling._distortion import subspace_distortion
from tractable.algorithms.lp_sampling._regression import LpFit, lp_regression
from tractable.algorithms.lp_sampling._sample import RowSample, root_leverage_sample, sample_rows
from tractable.algorithms.lp_sampling._scores import (
    SensitivityBounds,
    leverage_scores,
    lewis_weights,
    lp_sensitivities,
    reference,
    sensitivity_bounds,
)

__all__ = [
    "LpFit",
    "RowSample",
    "SensitivityBounds",
    "leverage_scores",
    "lewis_weights",
    "lp_regression",
    "lp_sensitivities",
    "reference",
    "root_leverage_sample",
    "sample_rows",
    "sensitivity_bounds",
    "subspace_distortion",
]
