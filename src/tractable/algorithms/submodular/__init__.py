"""Keep the best k of elements that come and go: summaries, sensors, seeds.

`DynamicSubmodularMaximizer` answers at any time with a set that is worth nearly half of the best
one, after about as many evaluations of the function an update as logarithms have factors. Greedy
selections from scratch and a one-pass sieve are here to compare with;
`tractable.algorithms.submodular.sklearn` has a summariser of a stream of rows.

Paper: K. Banihashem, L. Biabani, S. Goudarzi, M. Hajiaghayi, P. Jabbarzade and M. Monemizadeh,
    "Dynamic Constrained Submodular Optimization with Polylogarithmic Update Time", ICML 2023.
    https://arxiv.org/abs/2305.15192
Symbols: f the function, f(e | S) the gain of e over S, n elements, k chosen at most, OPT the best
    value, v a guess of it, tau = v / 2k, R_i elements of level i, B_i its bucket, S_i the sample of
    the bucket, I_i all samples up to S_i, epsilon the accuracy.
Oracle queries: what `tractable.count()` reports is evaluations of f: one a gain, one for a set of
    several elements that were not added one by one, none for one whose value is known.
Departures:
    - Written from the paper's structure (guesses, levels, the sample size found by trials, level
      rebuilt when a bucket lost a share of epsilon or a level grew by half). Its constants were
      not to be had, so that growth and the bucket's share are as named here.
    - The paper keeps all log(2k) / epsilon guesses up to date. Here a guess waits while what others
      have reached (f of a solution) and excluded (a guess with fewer than k samples bounds OPT by
      f(I) + v / 2) shows that it is not the right one; then it carries out what it missed, so that
      no update is charged twice. The order of log n / epsilon^2 trials of each sample size that the
      failure probability of 1 / poly(n) asks for would be hundreds; `n_trials` is a constant, and
      the guarantee holds in expectation.
    - Buckets of fewer than 1 / epsilon elements, which one deletion rebuilds anyway, are taken
      element by element instead of by trials that cost more than the bucket has elements.
    - The bucket taken is the highest with a quarter of the largest one's elements, not the largest:
      a constant in the number of levels, much in the solution's value.
    - A rebuild starts at the first level that has used half of its allowance. With the paper's
      rule levels come due one by one, the last first, which costs their number squared.
    - An arriving element's last level is found by bisection, since its gains fall.
    - Solutions leave out dead samples, and their values are those of the live ones. An element
      that comes back is a new one: it does not replace its dead self in a sample.
    - The guarantee is for updates that do not depend on the answers, as in the paper.
"""

from tractable.algorithms.submodular._determinant import LogDetOracle
from tractable.algorithms.submodular._dynamic import DynamicSubmodularMaximizer, Stats
from tractable.algorithms.submodular._oracles import (
    CallableOracle,
    CoverageOracle,
    FacilityLocationOracle,
    SubmodularOracle,
)
from tractable.algorithms.submodular._static import (
    SieveStreaming,
    greedy,
    lazy_greedy,
    reference,
    stochastic_greedy,
)

__all__ = [
    "CallableOracle",
    "CoverageOracle",
    "DynamicSubmodularMaximizer",
    "FacilityLocationOracle",
    "LogDetOracle",
    "SieveStreaming",
    "Stats",
    "SubmodularOracle",
    "greedy",
    "lazy_greedy",
    "reference",
    "stochastic_greedy",
]
