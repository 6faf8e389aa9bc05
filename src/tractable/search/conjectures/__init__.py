"""Continued fractions of constants, found by looking for recurrences in integer sequences.

`esma` takes a constant c and finds identities |P(c) / Q(c)| = a_0 + s_0 / (a_1 + s_1 / (...)) whose
signs s_n repeat and whose terms a_n are interlaced polynomials. It does not guess right-hand
sides: each left-hand side is expanded, and the sequence of terms is asked for its shortest
recurrence. What it returns is checked to hundreds of digits with whole numbers, and not proved.

Paper: O. Razon, Y. Harris, S. Gottlieb, D. Carmon, O. David and I. Kaminer, "Automated Search for
    Conjectures on Mathematical Constants using Analysis of Integer Sequences", ICML 2023.
    https://arxiv.org/abs/2212.09470
Symbols: c the constant, P and Q polynomials with whole coefficients, a_n terms, s_n signs, N depth,
    L length of the shortest recurrence, P (of terms) how many polynomials p_j(m) take turns.
Operations: what `tractable.count()` reports as "operations" is terms extracted, terms put into
    convergents, and products made by Berlekamp's and Massey's algorithm and by checking a
    recurrence. "Expansions" are pairs of a left-hand side and a pattern of signs.
Departures:
    - A hit may have a preperiod. The published code strips the zeros at the end of the recurrence,
      which say how many first terms break the pattern, and then the terms that it makes are wrong
      and verification rejects them: of e's 112 left-hand sides (degree 1, coefficients to 2, sign
      periods 1 and 2, N = 105) it keeps 13. With preperiods the same rule keeps 88.
    - The threshold L < N/4 guards against chance modulo 199 and loses 18 of e's left-hand sides at
      N = 100. Here L may reach N/2 - 2: four spare terms modulo 2^61 - 1 leave no room for
      chance, and verification follows. All 112 are hit at N = 200; the longest L is 70.
    - Modulus 199 loses sequences whose coefficients it divides, such as coth(1/199). The default is
      2^61 - 1, which makes a second prime superfluous: the lifted recurrence must hold for
      every term as whole numbers.
    - Screening stops at the term where L passes the threshold, since L never shrinks.
    - Terms come from whole-number bounds on the constant and are yielded only while both bounds
      agree, at a precision that is doubled where it does not suffice, instead of from 500 digits
      whatever is needed. Left-hand sides below one, whose first term is 0, are kept.
    - Verification compares 2 N terms at least, and as many as fix 200 digits, with the constant's
      own, where the published code compares 100 printed digits. Under signs -1 a large term of the
      simple fraction becomes a run of 2s (pi has 290 of them) that passes every test on
      terms; it fixes so few digits that it is given up after ten terms a digit.
    - Left-hand sides are listed from polynomials in lowest terms, without computer algebra, and
      identities that differ in their signs alone are all kept.
    - Sequences that are recurrent but no interlaced polynomials are returned with the recurrence.
    - The bounds trust mpmath to round its constants within 64 guard bits.
"""

from tractable.search.conjectures._conjecture import Conjecture, pslq_agrees
from tractable.search.conjectures._continued import signed_continued_fraction
from tractable.search.conjectures._exhaustive import exhaustive_search
from tractable.search.conjectures._left import LeftHandSide, left_hand_sides
from tractable.search.conjectures._recurrence import (
    Recurrence,
    berlekamp_massey,
    closed_form,
    fit_recurrence,
)
from tractable.search.conjectures._reference import reference
from tractable.search.conjectures._search import esma

__all__ = [
    "Conjecture",
    "LeftHandSide",
    "Recurrence",
    "berlekamp_massey",
    "closed_form",
    "esma",
    "exhaustive_search",
    "fit_recurrence",
    "left_hand_sides",
    "pslq_agrees",
    "reference",
    "signed_continued_fraction",
]
