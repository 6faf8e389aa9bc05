"""Conjectures: against brute force, known expansions, PSLQ, the published test, hostile input."""

import importlib
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tractable
from tractable._core import DataError, DTypeError, MissingPackageError, RangeError
from tractable.search.conjectures import (
    LeftHandSide,
    Recurrence,
    _continued,
    berlekamp_massey,
    closed_form,
    esma,
    exhaustive_search,
    fit_recurrence,
    left_hand_sides,
    pslq_agrees,
    reference,
    signed_continued_fraction,
)

mpmath = pytest.importorskip("mpmath")


def e_squared():
    return mpmath.exp(2)


def tangent():
    return mpmath.tan(1)


def bessel():
    return mpmath.besseli(1, 2) / mpmath.besseli(0, 2)


def coth_199():
    return mpmath.coth(mpmath.mpf(1) / 199)


signs_of = st.lists(st.sampled_from([1, -1]), min_size=1, max_size=4)
fractions = st.builds(Fraction, st.integers(-(10**30), 10**30), st.integers(1, 10**28))


# Expansions.


@pytest.mark.parametrize(
    ("constant", "terms"),
    [
        (mpmath.e, [2, 1, 2, 1, 1, 4, 1, 1, 6, 1]),
        (tangent, [1, 1, 1, 3, 1, 5, 1, 7, 1, 9]),
        (e_squared, [7, 2, 1, 1, 3, 18, 5, 1, 1, 6]),
        (bessel, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (mpmath.pi, [3, 7, 15, 1, 292, 1, 1, 1, 2, 1]),
        (lambda: -mpmath.e(), [-3, 3, 1, 1, 4, 1, 1, 6, 1, 1]),
    ],
)
def test_known_simple_fractions(constant, terms):
    assert signed_continued_fraction(constant, [1], 10) == terms


@given(fractions, signs_of)
def test_same_terms_as_the_reference_and_the_value_back(x, signs):
    terms = signed_continued_fraction(x, signs, 400)
    slow, _ = reference(x, signs, 60, 2)
    assert terms[:60] == slow
    if len(terms) < 400:
        cylinder = _continued.Cylinder(signs)
        for term in terms:
            cylinder.push(term)
        assert cylinder.convergent == x
    assert all(a >= 1 for a in terms[1:])


@given(fractions, st.integers(1, 10**9), signs_of)
def test_terms_of_an_interval_are_those_of_every_number_inside(x, width, signs):
    end = x + Fraction(1, width)
    shared = signed_continued_fraction((x, end), signs, 50)
    for share in (1, 2, 3):
        inside = x + (end - x) * Fraction(share, 5)
        assert signed_continued_fraction(inside, signs, 50)[: len(shared)] == shared


def test_simple_fraction_equals_sympys():
    sympy = pytest.importorskip("sympy")
    iterator = sympy.continued_fraction_iterator(sympy.tan(1) / 2)
    theirs = [int(a) for a in itertools.islice(iterator, 12)]
    assert signed_continued_fraction(lambda: mpmath.tan(1) / 2, [1], 12) == theirs


@given(signs_of, st.integers(1, 40))
def test_cylinder_holds_the_number_and_is_as_wide_as_it_says(signs, depth):
    terms = signed_continued_fraction(mpmath.pi, signs, depth)
    cylinder = _continued.Cylinder(signs)
    for term in terms:
        cylinder.push(term)
    low, high = _continued.enclose(mpmath.pi, 2000)
    gap = abs(cylinder.convergent - Fraction(low + high, 2 << 2000))
    assert gap < Fraction(10) ** -max(0, int(cylinder.digits)) or cylinder.digits < 1


# Recurrences.


primes = st.sampled_from([2, 3, 199, 2**31 - 1, 2**61 - 1])


@settings(max_examples=60)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=14), primes)
def test_length_equals_brute_force(sequence, modulus):
    coefficients, length = berlekamp_massey(sequence, modulus)
    _, slow = 0, 0
    while not _solvable(sequence, slow, modulus):
        slow += 1
    assert length == slow == len(coefficients)
    for n in range(length, len(sequence)):
        made = sum(c * sequence[n - 1 - i] for i, c in enumerate(coefficients))
        assert (made - sequence[n]) % modulus == 0


def _solvable(sequence, length, modulus):
    module = importlib.import_module("tractable.search.conjectures._reference")
    rows = [
        [a % modulus for a in sequence[n - length : n + 1]] for n in range(length, len(sequence))
    ]
    return module._solvable(rows, modulus)


@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=5),
    st.lists(st.integers(-9, 9), min_size=5, max_size=9),
)
def test_recovers_recurrences_with_preperiods(coefficients, start):
    truth = Recurrence(tuple(coefficients), tuple(start)).terms(60)
    found = fit_recurrence(truth)
    assert found is not None
    assert found.terms(60) == truth
    assert len(found.start) <= len(start)
    rational, length = berlekamp_massey(truth)
    assert length == len(found.start)
    assert rational[: found.order] == list(found.coefficients)
    assert not any(rational[found.order :])


def test_random_sequences_have_half_their_length():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sequence = rng.integers(0, 199, 100).tolist()
        assert abs(berlekamp_massey(sequence, 199)[1] - 50) <= 3
        assert fit_recurrence(sequence) is None


@given(st.lists(st.lists(st.integers(-6, 6), min_size=1, max_size=4), min_size=1, max_size=4))
def test_closed_form_of_interlaced_polynomials(polynomials):
    period = len(polynomials)
    sequence = [
        sum(c * (n // period) ** i for i, c in enumerate(polynomials[n % period]))
        for n in range(120)
    ]
    found = fit_recurrence([-1000, *sequence])
    forms = closed_form(found)
    assert forms is not None
    skipped = found.preperiod
    for n in range(120 - skipped):
        m, j = divmod(n, len(forms))
        made = sum(c * m**i for i, c in enumerate(forms[j]))
        assert made == [-1000, *sequence][skipped + n]


def test_no_closed_form_for_growth():
    assert closed_form(fit_recurrence([2**n for n in range(20)])) is None
    assert closed_form(Recurrence((), (5, 6))) == ((Fraction(0),),)


def test_a_period_longer_than_the_order():
    waves = [3, 4, 4, 3, 2, 2] * 8  # order 3: 1, and the sixth roots of unity
    found = fit_recurrence(waves)
    assert found.order == 3
    assert [int(p[0]) for p in closed_form(found)] == waves[:6]


# Left-hand sides.


@pytest.mark.parametrize(("degree", "bound"), [(1, 1), (1, 2), (1, 3), (2, 1)])
def test_left_hand_sides_are_each_function_once(degree, bound):
    x = Fraction(31415926535, 8765432197)  # no short relation holds for it
    values = range(-bound, bound + 1)
    polynomials = list(itertools.product(values, repeat=degree + 1))
    y = Fraction(27182818284, 9876543211)

    def at(p, c):
        return sum(a * c**i for i, a in enumerate(p))

    wanted = set()
    for top, bottom in itertools.product(polynomials, repeat=2):
        if any(top) and any(bottom):
            pair = tuple(abs(at(top, c) / at(bottom, c)) for c in (x, y))
            if pair[0] != pair[1]:
                wanted.add(pair)
    sides = left_hand_sides(degree, bound)
    found = [tuple(abs(at(s.numerator, c) / at(s.denominator, c)) for c in (x, y)) for s in sides]
    assert len(found) == len(set(found))
    assert set(found) == wanted


@given(st.integers(-(2**70), 2**70), st.integers(0, 400))
def test_left_hand_sides_enclose_their_value(low, which):
    sides = left_hand_sides(2, 1)
    side = sides[which % len(sides)]
    x = side.enclose(low, low + 3, 64)
    c = Fraction(low + 1, 1 << 64)
    top, bottom = (sum(a * c**i for i, a in enumerate(p)) for p in side)
    if x is not None:
        assert Fraction(x.low, x.low_over) <= abs(top / bottom) <= Fraction(x.high, x.high_over)


# The search.


def test_the_published_test_and_what_it_misses():
    # The published test: e, degree 1, coefficients to 2, signs of period 2 (and 1), N = 105.
    options = {"symbol": "e", "periods": (1, 2), "depth": 105}
    found = esma(mpmath.e, threshold=26, modulus=199, allow_preperiod=False, **options)
    assert len({one.lhs for one in found}) == 13
    laws = {(one.lhs.text("e"), one.signs): one.recurrence.coefficients for one in found}
    assert laws["e/(e - 1)", (1, -1)] == (0, 2, 0, -1)
    assert laws["e - 1", (-1, 1)] == (0, 2, 0, -1)
    assert laws["e/(e - 2)", (1,)] == (0, 0, 1, 0, 0, 1, 0, 0, -1) or "e/(e - 2)" in str(laws)
    more = esma(mpmath.e, **options)
    assert {one.lhs for one in found} < {one.lhs for one in more}
    assert len({one.lhs for one in more}) >= 106


@pytest.mark.parametrize("constant", [mpmath.e, e_squared, tangent, bessel])
def test_identities_hold_to_hundreds_of_digits_and_pslq_finds_them_too(constant):
    found = esma(constant, coefficient_bound=1, periods=(1, 2), verify_digits=300)
    assert len(found) >= 10
    for one in found:
        assert one.digits_checked >= 300
        assert pslq_agrees(one, constant)
        with mpmath.workdps(350):
            c = constant()
            top, bottom = (sum(a * c**i for i, a in enumerate(p)) for p in one.lhs)
            value = one.evaluate(one.terms_checked)
            right = mpmath.mpf(value.numerator) / value.denominator
            assert abs(right - top / bottom) < mpmath.mpf(10) ** -299


@pytest.mark.parametrize(
    "constant", [mpmath.pi, mpmath.catalan, mpmath.euler, lambda: mpmath.zeta(3)]
)
def test_controls_have_none(constant):
    assert esma(constant, periods=(1, 2), depth=60) == []


def test_a_long_run_of_twos_is_no_identity():
    # pi's term 292 becomes 290 twos under signs -1 and follows a_n = a_{n-1} for that long.
    terms = signed_continued_fraction(lambda: 1 / (mpmath.pi() - 3), [-1], 200)
    runs = max(len(list(run)) for _, run in itertools.groupby(terms))
    assert runs > 100

    def odd():
        return 1 + mpmath.mpf(10) ** -300 * mpmath.pi()

    assert fit_recurrence(signed_continued_fraction(odd, [-1], 100)).order == 1
    assert esma(odd, coefficient_bound=1, periods=(1, 1), depth=40, verify_digits=50) == []


def test_modulus_that_divides_the_coefficients():
    options = {"coefficient_bound": 1, "periods": (1, 1), "depth": 60}
    small = esma(coth_199, modulus=199, **options)
    large = esma(coth_199, **options)
    assert LeftHandSide((0, 1), (1,)) in {one.lhs for one in large}
    assert LeftHandSide((0, 1), (1,)) not in {one.lhs for one in small}


def test_quadratic_irrationals_are_periodic():
    found = esma(lambda: mpmath.sqrt(2), degree=2, coefficient_bound=1, periods=(1, 1), depth=40)
    assert all(len(p) == 1 for one in found for p in one.polynomials)
    assert str(found[0]) == "c = [1, (2)] signs +"


def test_same_on_every_executor():
    options = {"coefficient_bound": 1, "periods": (1, 2), "depth": 60}
    with tractable.count() as alone:
        wanted = esma(tangent, **options)
    for kind in (ThreadPoolExecutor, ProcessPoolExecutor):
        with kind(2) as executor, tractable.count() as spread:
            assert esma(tangent, executor=executor, **options) == wanted
        assert dict(spread) == dict(alone)
    assert alone["expansions"] > 0


def test_precision_is_doubled_where_terms_are_long():
    def huge():
        return mpmath.coth(mpmath.mpf(1) / 10**40)

    found = esma(huge, coefficient_bound=1, periods=(1, 1), depth=20, verify_digits=50)
    assert found[0].recurrence.start[0] == 10**40


def test_exhaustive_search_agrees_where_it_reaches():
    options = {"coefficient_bound": 1, "periods": (1, 2)}
    tried = exhaustive_search(tangent, interlaced=2, largest=3, **options)
    found = {(one.lhs, one.signs): one.recurrence for one in esma(tangent, **options)}
    assert tried
    for one in tried:
        assert found[one.lhs, one.signs] == one.recurrence
    with tractable.count() as cost:
        assert (
            len(exhaustive_search(tangent, interlaced=2, largest=3, stop_after=1, **options)) == 1
        )
        exhaustive_search(tangent, interlaced=2, largest=9, budget=1000, **options)
    assert cost["operations"] < 10**6
    with pytest.raises(RangeError, match="candidates"):
        exhaustive_search(tangent, interlaced=6, largest=9)


# What is printed.


def test_latex_and_text():
    found = esma(mpmath.e, symbol="e", periods=(2, 2), coefficient_bound=1)
    (one,) = [o for o in found if o.lhs.text("e") == "e/(e - 1)" and o.signs == (1, -1)]
    assert str(one) == "e/(e - 1) = [(2m + 1, 2)] signs +-"
    assert one.latex(3) == (
        r"\frac{e}{e - 1} = 1 + \cfrac{1}{2 - \cfrac{1}{3 + \ddots}}, \quad "
        r"a_{2m} = 2m + 1,\; a_{2m+1} = 2 \; (m \ge 0)"
    )
    grows = one._replace(polynomials=None, recurrence=Recurrence((2, -1), (7, 1, 2)))
    assert grows.latex(2).endswith(r"a_n = 2a_{n-1} - a_{n-2} \; (n \ge 3)")
    assert str(grows).startswith("e/(e - 1) = [7, 1, 2, 3")
    halves = one._replace(polynomials=((Fraction(1), Fraction(1, 2)),))
    assert "(m + 2)/2" in str(halves)
    assert one.evaluate(1) == 1
    assert one.terms(0) == ([], [])
    assert LeftHandSide((1, 2), (-2, 2)).text("e") == "(2*e + 1)/(2*e - 2)"
    assert LeftHandSide((1,), (0, 0, 2)).text("e") == "1/(2*e^2)"
    assert LeftHandSide((1,), (0, 0, 2)).latex("e") == r"\frac{1}{2e^{2}}"


def test_pslq_refuses_a_wrong_identity():
    one = esma(mpmath.e, coefficient_bound=1, periods=(1, 1))[0]
    assert not pslq_agrees(one._replace(lhs=LeftHandSide((1, 1), (1,))), mpmath.e)
    assert not pslq_agrees(one, mpmath.pi)


# Hostile input.


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: esma(3.0), DTypeError, "function without arguments"),
        (lambda: esma(lambda: 2.5), DTypeError, "float"),
        (lambda: esma(lambda: mpmath.mpc(0, 1)), DTypeError, "real"),
        (lambda: esma(lambda: mpmath.inf), DataError, "finite"),
        (lambda: esma(lambda: mpmath.mpf("nan")), DataError, "finite"),
        (lambda: esma(lambda: mpmath.mpf(3) / 7, depth=12), DataError, "rational"),
        (lambda: esma(lambda: mpmath.mpf(0), depth=12), DataError, "rational"),
        (lambda: esma(mpmath.e, degree=0), RangeError, "degree"),
        (lambda: esma(mpmath.e, coefficient_bound=0), RangeError, "coefficient_bound"),
        (lambda: esma(mpmath.e, periods=(2, 1)), RangeError, "longest"),
        (lambda: esma(mpmath.e, periods=3), RangeError, "periods"),
        (lambda: esma(mpmath.e, depth=4), RangeError, "depth"),
        (lambda: esma(mpmath.e, modulus=200), RangeError, "prime"),
        (lambda: esma(mpmath.e, modulus=561), RangeError, "prime"),
        (lambda: esma(mpmath.e, verify_digits=True), DTypeError, "verify_digits"),
        (lambda: esma(mpmath.e, threshold=0), RangeError, "threshold"),
        (lambda: signed_continued_fraction(Fraction(1, 2), [], 3), RangeError, "signs"),
        (lambda: signed_continued_fraction(Fraction(1, 2), [2], 3), RangeError, "signs"),
        (lambda: signed_continued_fraction(Fraction(1, 2), [1], 0), RangeError, "depth"),
        (lambda: signed_continued_fraction((2, 1), [1], 3), RangeError, "smaller"),
        (lambda: signed_continued_fraction((0.5, 1), [1], 3), DTypeError, "fractions"),
        (lambda: signed_continued_fraction(mpmath.mpf(2), [1], 3), DTypeError, "callable|function"),
        (lambda: signed_continued_fraction(lambda: mpmath.mpf(2), [1], 3), DataError, "rational"),
        (lambda: berlekamp_massey([0.5], 199), DTypeError, "integer"),
        (lambda: berlekamp_massey([0.5]), DTypeError, "whole numbers"),
        (lambda: berlekamp_massey([1], 1), RangeError, "modulus"),
        (lambda: fit_recurrence([True]), DTypeError, "integer"),
        (lambda: pslq_agrees(None, mpmath.e), DTypeError, "esma"),
        (lambda: left_hand_sides(1.5, 1), DTypeError, "integer"),
    ],
)
def test_refuses(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_small_sequences_and_numpy_integers():
    assert fit_recurrence([]) is None or fit_recurrence([]) == Recurrence((), ())
    assert fit_recurrence([5]) is None
    assert berlekamp_massey([], 199) == ([], 0)
    assert berlekamp_massey([0, 0, 0], 199) == ([], 0)
    assert fit_recurrence(np.full(20, 7, np.int8)) == Recurrence((1,), (7,))
    assert fit_recurrence(np.arange(40, dtype=np.uint8)[::2]).order == 2
    assert fit_recurrence([10**100 * n for n in range(20)]).order == 2


def test_without_mpmath(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    with pytest.raises(MissingPackageError, match="pip install mpmath"):
        esma(lambda: 1)
