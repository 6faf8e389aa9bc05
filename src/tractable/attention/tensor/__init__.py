"""Tensor attention: attend to pairs of keys, exactly in blocks or in near-linear time.

For relations of three and more tokens (triangles, sums, joins), which one layer of ordinary
attention cannot see. Exactly it costs n^3 for pairs of keys. Where entries are small and heads
are narrow, a polynomial stands for exp, with a checked error, and the cost is n times a rank that
does not depend on n; where they are not, the rank explodes, and the plan says so beforehand.

Paper: Josh Alman and Zhao Song, "How to Capture Higher-order Correlations? Generalizing Matrix
Softmax Attention to Kronecker Computation", 2024. https://arxiv.org/abs/2310.04064
Symbols: B batch, H heads, n queries, n_t keys of set t, d width of queries and keys, e width of
values, m key sets (the paper's case is 2), S bound of |score|, g degree, r rank; the paper's entry
bound B is `bound`, its accuracy `rtol`, its K1 (/) K2 the columnwise Kronecker product that no
path builds.
Departures: the degree is the least one whose error was computed on [-S, S], not the theorem's
asymptotic one, and the error is relative, so that row sums stay positive. S comes from the largest
entry of each coordinate, which is lower than the paper's d B^3 / d. Weights stay on the query's
side, with coordinates balanced between queries and keys, instead of being split over the factors.
Causal attention and other orders are added. The triple detector allows a token to meet itself,
as the definition of Match-3 does. The lower bound, that beyond B = (log n)^(1/3) no algorithm is
truly subcubic, has no code: the claim measures where this algorithm's rank passes n. Float32
inputs are computed in float64 where the polynomial's terms cancel. GPU kernels are left out.
"""

from tractable.attention.tensor._attention import tensor_attention
from tractable.attention.tensor._match import Match3Head, detect_match3, match3_head
from tractable.attention.tensor._module import TensorAttention
from tractable.attention.tensor._plan import Plan, plan_tensor_attention, score_bound
from tractable.attention.tensor._polynomial import (
    exp_polynomial,
    monomial_exponents,
    polynomial_features,
)
from tractable.attention.tensor._reference import reference

__all__ = [
    "Match3Head",
    "Plan",
    "TensorAttention",
    "detect_match3",
    "exp_polynomial",
    "match3_head",
    "monomial_exponents",
    "plan_tensor_attention",
    "polynomial_features",
    "reference",
    "score_bound",
    "tensor_attention",
]
