"""Sparse linear regression where each person's answer is randomised before it leaves their device.

Client and server are apart. A client calls `privatize_statistics` (one message, of x x^T and x y)
or `privatize_gradient` (one message in one of several rounds) under a protocol that both sides
know; its noise comes from the operating system's entropy, and seeds are refused. The server adds
the messages up (`add_reports`) and solves in closed form (`sparse_regression`), or sends models
around (`HardThresholdingServer`). `simulate_*`, and the scikit-learn estimators in
`ldp_regression.sklearn`, play all clients at once: they plan a survey and protect nobody.

The price is high. With 40 columns and epsilon = 1 it takes about a hundred million people before
the paper's non-interactive estimate beats returning zero, seventeen million with `psd="clip"`,
five million in rounds or with public rows; `NoiseDominatesWarning` says when there are too few.

Paper: Liyang Zhu, Meng Ding, Vaneet Aggarwal, Jinhui Xu and Di Wang, "Improved Analysis of Sparse
    Linear Regression in Local Differential Privacy Model", ICLR 2024.
    https://arxiv.org/abs/2310.07367
Symbols: n people, d columns, k coefficients that are not zero, x row and y response of a person,
    r bound on ||x||, t bound on |y|, theta truth, Sigma covariance of x, S = x x^T and c = x y
    with noise, lambda threshold, k' coefficients kept in a round, T rounds, w a model.
Departures:
    - Noise scales are those of Balle and Wang's exact analysis, not of the classical formula,
      which is looser and only right up to epsilon = 1. S and c are priced as one vector: nobody
      differs most in both at once, which saves a factor of 1.6 (`accounting="split"` composes
      them as the paper does). Symmetric noise has half the variance off the diagonal, since the
      Frobenius norm counts these entries twice (`layout="upper"` is the paper's).
    - The paper's threshold has constants that it does not give; "auto" takes 0.1 false discoveries
      from the standard errors that the protocol's noise implies. Sampling errors of clients'
      rows, far below the noise, are left out of them; those of public rows are in.
    - Residuals of gradients are clipped to twice the bound of y. The paper bounds predictions by
      sqrt(k') times the bound of an entry of x; that is a factor of sqrt(k') more noise, and with
      it the rate k sqrt(d) instead of sqrt(k d) (set `residual_bound` to get it). Rows are shrunk
      by their norm; the paper clips entries there, as "duchi-linf" does.
    - Groups of a round grow geometrically, as an error made early is halved by every later round:
      a fifth to a third of the variance that the paper's equal groups leave after ten to fifteen
      rounds (`groups="equal"`).
    - For an even number of columns, "duchi-linf" splits ties evenly, which is as private and
      a little less noisy.
    - Reports are rounded to a grid that depends on the protocol alone, against attacks on
      floating-point noise. Pure non-interactive epsilon-privacy, which the paper's lower bounds
      are about, is not offered: Gaussian noise has a delta.
"""

from tractable.privacy.ldp_regression._client import (
    Report,
    privatize_gradient,
    privatize_statistics,
)
from tractable.privacy.ldp_regression._entropy import SystemEntropy
from tractable.privacy.ldp_regression._interactive import (
    HardThresholdingServer,
    group_sizes,
    hard_threshold,
)
from tractable.privacy.ldp_regression._mechanisms import (
    duchi_radius,
    gaussian_delta,
    gaussian_scale,
)
from tractable.privacy.ldp_regression._protocol import (
    GradientProtocol,
    NoiseScales,
    StatisticsProtocol,
)
from tractable.privacy.ldp_regression._server import (
    NoiseDominatesWarning,
    PublicRows,
    SparseFit,
    add_reports,
    reference,
    soft_threshold,
    sparse_regression,
    summarize_public,
)
from tractable.privacy.ldp_regression._simulate import (
    GaussianLaw,
    simulate_gaussian_gradients,
    simulate_gaussian_reports,
    simulate_gradients,
    simulate_reports,
)

__all__ = [
    "GaussianLaw",
    "GradientProtocol",
    "HardThresholdingServer",
    "NoiseDominatesWarning",
    "NoiseScales",
    "PublicRows",
    "Report",
    "SparseFit",
    "StatisticsProtocol",
    "SystemEntropy",
    "add_reports",
    "duchi_radius",
    "gaussian_delta",
    "gaussian_scale",
    "group_sizes",
    "hard_threshold",
    "privatize_gradient",
    "privatize_statistics",
    "reference",
    "simulate_gaussian_gradients",
    "simulate_gaussian_reports",
    "simulate_gradients",
    "simulate_reports",
    "soft_threshold",
    "sparse_regression",
    "summarize_public",
]
