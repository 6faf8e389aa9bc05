"""Few Walsh-Hadamard coefficients of a huge signal, from few of its points.

A function of n bits is a sum of 2^n signs with coefficients, one a subset of the bits; where few
coefficients matter (a polynomial of low degree, a decision tree, a cut of a hypergraph),
`sparse_wht` finds them from queries whose number grows with the number of coefficients times n,
noise or not. `SparseBooleanRegressor` does so for functions of rows of 0 and 1; `fwht` is the
full transform.

Paper: X. Li, J. K. Bradley, S. Pawar and K. Ramchandran, "SPRIGHT: A Fast and Robust Framework
    for Sparse Walsh-Hadamard Transform", 2015. https://arxiv.org/abs/1508.06336
Symbols: n bits of an index, N = 2^n, m a point, k the index of a coefficient X_k, K how many are
    not zero, C groups, B = 2^b bins a group, M_c the matrix that hashes k into a bin, d an offset,
    P offsets a group, <k, m> the parity of the bits that both have.
Operations: what `tractable.count()` reports as "operations" is additions of the transforms,
    additions when coefficients are taken out of bins, values looked at by decoders, and the
    branches of Viterbi's search. "Oracle queries" are points read, each counted once.
Departures:
    - Offsets vary only over the n - b directions that hashing leaves open, as the noiseless
      predecessor has it, so that a group needs n - b unit vectors or code bits instead of n. The
      check that k hashes to its own bin is then void; 2 random offsets check in its place. Three
      equal coefficients in one bin can pass for one; peeling the other groups undoes that.
    - The theory's linear-time codes (expanders, spatially coupled LDPC) guarantee a share of
      errors too small to be of use at n < 64. "so" uses a convolutional code with 64 states,
      decoded softly by Viterbi's search for either sign; its error per bin grows with n, which
      does not show up to 63. "nso" adds up products instead of counting votes, and takes 4 random
      offsets where the theory asks for a multiple of n.
    - The theory's bin test, (1 + γ) times the noise with γ fixed, raises false alarms in one
      bin or misses coefficients in another, and its P is a Chernoff bound's. Here the limit is
      the chi-square quantile of a chance of 1e-4 a group. Where noise outweighs a coefficient,
      wrong indices pass that test, so a coefficient must besides be larger than the best of
      2^(n-b) indices would fit to noise; and bins that each look empty are tested together, since
      else all coefficients are lost in silence. Amplitudes are any numbers, not ±ρ.
    - Density evolution promises success for unbounded K. At K = 100 and 0.6 bins a coefficient
      three groups fail in about four runs of a hundred, mostly on a pair that collides in all of
      them; twice the bins make that rare at twice the samples. Instead, while something is left,
      one more group is added, with twice the bins of the last, which also lowers their noise.
    - A least-squares fit over all bins follows the peeling, and coefficients that are no larger
      than its error are dropped. The noise can be estimated (a bin a coefficient then).
    - Where the samples would be all 2^n points, the full transform is taken.
    - At 10 decibels and n up to 31, plain bits with these tests (method="noiseless" with
      `noise_std` given) need fewer queries than the code, and add a wrong coefficient in up to
      three runs of ten; for larger n or stronger noise the code needs fewer.
"""

from tractable.algorithms.sparse_wht._regressor import SparseBooleanRegressor
from tractable.algorithms.sparse_wht._spectrum import SparseSpectrum, sparse_wht
from tractable.algorithms.sparse_wht._transform import fwht, reference

__all__ = ["SparseBooleanRegressor", "SparseSpectrum", "fwht", "reference", "sparse_wht"]
