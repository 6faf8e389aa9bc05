"""Low-rank completion of a matrix from few entries, in time linear in entries times rank.

`complete` alternates between rows and columns, each a small regression a line. Exact regressions
cost the rank squared for every entry; here each takes a few gradients, a constant fraction better
than the last sweep, which is enough. `LowRankCompletion` in `completion.sklearn` is the
scikit-learn estimator, with warm starts; `sketched_lstsq` is the regression by itself.

Paper: Yuzhou Gu, Zhao Song, Junze Yin and Lichen Zhang, "Low Rank Matrix Completion via Robust
    Alternating Minimization in Nearly Linear Time", ICLR 2024. https://arxiv.org/abs/2302.11068
Symbols: m rows, n columns, k rank, Omega the observed entries, p their share, s entries of one
    line, U and V orthonormal factors, T sweeps, A the rows of U that one line's entries select, S
    a sketch, mu the incoherence.
Flops: what `tractable.count()` reports as "flops" is 4 s k for each product with A^T A and vectors
    of its size, s k (k + 1) for A^T A itself (half of it is mirrored), k^3 / 3 for a Cholesky
    factor, and the usual leading terms for the other factorisations and the spectral start.
Departures:
    - The theory starts each regression at zero and asks for an accuracy polynomial in 1/n and in
      the condition number, some 60 gradients. Here it starts at the last sweep's answer and stops
      once its gradient is a tenth of what it was. This is the paper's robustness, an error of a
      constant fraction of the present distance, without knowing the distance; `warm=False` with a
      small `inner_tol` is the theory's way.
    - The theory's sketch has order k log(k) / 0.01 rows, more than a line has entries in practice,
      and pays k^3 a line. CountSketch with 2 k + 32 rows is used, which is too coarse for
      gradients of unit length: conjugate gradients, or steepest descent for "sketch-gradient", do
      not mind. Even so it pays only where lines have over 16 k entries and condition numbers over
      about 50; incoherent lines of an orthonormal factor have neither, and "auto" then iterates
      without a sketch. Nothing is repeated for a failure probability of 1/poly(n).
    - The theory splits Omega into 2 T + 1 fresh samples (`resample=True`), which leaves each
      regression too few entries to recover anything near the information limit. All entries are
      used every time.
    - mu is unknown: by default rows of the spectral start that are longer than four times the
      median are zeroed; `incoherence` applies the paper's rule to entries.
    - T is not log(norm / error) but ends when a sweep changes less than `tol`.
    - A thin SVD replaces QR after each half sweep, so that a ridge can weigh factors evenly: `reg`
      adds `reg` times the nuclear norm, which the paper does not have. It is in the units of the
      data; numbers are rescaled by the largest entry inside.
"""

from tractable.algorithms.completion._complete import Completion, complete, reference
from tractable.algorithms.completion._lstsq import sketched_lstsq

__all__ = ["Completion", "complete", "reference", "sketched_lstsq"]
