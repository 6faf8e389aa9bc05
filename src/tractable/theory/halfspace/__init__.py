"""Halfspaces that come with a test of whether the data allow to trust them.

Under label noise, finding a good halfspace is hard in general and easy where rows are normal,
which nobody can know. `fit_halfspace` learns, then tests what its guarantee rests on, near the
halfspace that it found; it accepts, or says which test failed. On acceptance the error is near
the best halfspace's; normal rows are accepted. Whatever the rows are, it bounds the error, and
the error less that of the best halfspace. `disagreement_test`, `strip_moment_test` and
`moment_test` are the tests; `TestableHalfspaceClassifier` in `halfspace.sklearn` is the estimator.

Paper: Aravind Gollakota, Adam R. Klivans, Konstantinos Stavropoulos and Arsen Vasilyan, "An
    Efficient Tester-Learner for Halfspaces", ICLR 2024. https://arxiv.org/abs/2302.14853
Symbols: d dimension, w unit vector, w* the best halfspace's, opt its error, eta bound on Massart
    noise, epsilon excess allowed, l_sigma ramp loss of width sigma, k = -l'_sigma, v unit vector
    orthogonal to w.
Departures:
    - The theorems leave constants open. Ranges of masses are binomial quantiles, those of second
      moments the non-asymptotic bounds for normal matrices, so a normal sample fails them with
      probability at most delta. Fourth moments in the strip, which the paper matches entry by
      entry, are bounded for all directions at once by an eigenvalue on d x d matrices, wanted
      below twice the normal one; a sample with less than about d^2 rows in the strip fails.
    - The target is N(0, I) alone, not every strongly log-concave law.
    - Soundness is a number: `excess_bound` follows the proofs (the gradient bounds the angle,
      slabs bound disagreement) with what was measured in place of constants. It is the bound on
      the error itself where that is lower, as it mostly is for agnostic noise and for fewer than
      about 5,000 d rows: what acceptance promises beyond the bound is then the theorem's, with
      tests this sharp and no proof of the constant.
    - Disagreement matters only on rows that the halfspace gets wrong, so the certificate cuts
      those into slabs; Chebyshev's inequality is one-sided.
    - A sample is also accepted where `excess_bound` is at most epsilon, tests passed or not.
    - Under "massart", more errors than eta + epsilon are a reason to reject: the paper takes the
      bound on noise for granted, though labels can refute it.
    - Two splits: half learns, half tests, with a union over candidates. Candidates are tested by
      increasing held-out error until one passes.
    - Widths of the ramp come from a grid, since opt is unknown, and descent starts from the mean
      of yx and a perceptron as well as from random directions; all descend on the same batches.
"""

from tractable.theory.halfspace._fit import Candidate, HalfspaceFit, fit_halfspace, reference
from tractable.theory.halfspace._ramp import ramp_loss_and_grad
from tractable.theory.halfspace._slabs import DisagreementTest, disagreement_test
from tractable.theory.halfspace._strip import strip_moment_test
from tractable.theory.halfspace._target import Check, moment_test

__all__ = [
    "Candidate",
    "Check",
    "DisagreementTest",
    "HalfspaceFit",
    "disagreement_test",
    "fit_halfspace",
    "moment_test",
    "ramp_loss_and_grad",
    "reference",
    "strip_moment_test",
]
