"""Claim: recurrences in integer sequences find formulas that trying right-hand sides cannot."""

from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

POSITIVE = ("e", "e^2", "tan(1)", "I1(2)/I0(2)", "e^(1/2)")
CONTROLS = ("pi", "zeta(3)", "Catalan", "Euler gamma")
DIGITS = 300
"""Digits at which identities are evaluated anew; the search itself checks 200."""

BUDGET = 24_000_000
"""Operations of the rival, fifteen times those of the method on e."""

claim = Claim(
    Paper(
        "Automated Search for Conjectures on Mathematical Constants using Analysis of Integer "
        "Sequences",
        authors="Ofir Razon, Yoav Harris, Shahar Gottlieb, Dan Carmon, Ofir David, Ido Kaminer",
        year=2023,
        link="https://arxiv.org/abs/2212.09470",
        tier="same quantity",
    ),
    says="expanding functions of a constant and asking the terms for a linear recurrence finds "
    "many continued fractions of e, e^2, tan 1 and ratios of Bessel values, some faster than the "
    "simple one, none that is false, at a cost that does not grow with the formula's coefficients",
    scope="left-hand sides of degree 1 with coefficients up to 2 (112), periods of signs 1 "
    "and 2, 100 terms. The rival tries interlaced polynomials of degree 1 (one to three of them) "
    "and signs of the same periods, in compiled batches, with up to 24 million operations, "
    "fifteen times the method's on e. "
    "Cost: coth(1/k), whose terms are (2m + 1) k, with left-hand sides of coefficients up to 1; "
    "the rival knows that one polynomial of degree 1 and signs + suffice. False means: differs "
    "from the constant within 300 digits. Identities stay conjectures at any number of digits",
    solves=(
        "continued fraction of a mathematical constant",
        "find a closed form for an integer sequence",
        "linear recurrence of a sequence",
        "conjecture a formula from digits",
        "faster converging continued fraction",
    ),
    agreement="known expansions of e, e^2, tan 1 and Bessel ratios, and PSLQ from the value of the "
    "right-hand side alone: the same integer relation",
)


class Quest(NamedTuple):
    """What is looked for."""

    constant: Any
    coefficient_bound: int
    periods: tuple[int, int]


def _constant(name: str) -> Any:
    import importlib

    mp: Any = importlib.import_module("mpmath")
    known = {
        "e": mp.e,
        "e^2": lambda: mp.exp(2),
        "tan(1)": lambda: mp.tan(1),
        "I1(2)/I0(2)": lambda: mp.besseli(1, 2) / mp.besseli(0, 2),
        "e^(1/2)": lambda: mp.exp(mp.mpf(1) / 2),
        "pi": mp.pi,
        "zeta(3)": lambda: mp.zeta(3),
        "Catalan": mp.catalan,
        "Euler gamma": mp.euler,
    }
    return known[name]


def _search(quest: Quest, **options: Any) -> Any:
    from tractable.search.conjectures import esma

    options = {"periods": quest.periods, **options}
    return esma(quest.constant, coefficient_bound=quest.coefficient_bound, **options)


def _only_periodic(quest: Quest) -> Any:
    """Keep what repeats from some term on: sequences are looked at, recurrences are not."""
    found = _search(quest)
    return [one for one in found if one.polynomials and all(len(p) == 1 for p in one.polynomials)]


def left_sides_found(output: Any, expected: Any, quest: Quest) -> float:
    """Left-hand sides with an identity at least, plus one lest a ratio divides by zero."""
    return 1.0 + len({one.lhs for one in output})


def identities_found(output: Any, expected: Any, quest: Quest) -> float:
    """How many identities were found."""
    return float(len(output))


def false_identities(output: Any, expected: Any, quest: Quest) -> float:
    """How many identities differ from the constant, evaluated anew from their law."""
    import importlib

    mp: Any = importlib.import_module("mpmath")
    wrong = 0
    with mp.workdps(DIGITS + 30):
        c = quest.constant()
        for one in output:
            top, bottom = (sum(a * c**i for i, a in enumerate(p)) for p in one.lhs)
            value = mp.mpf(0)
            terms, signs = one.terms(3 * DIGITS)
            for term, sign in zip(reversed(terms), reversed(signs), strict=True):
                value = mp.mpf(term) + (sign / value if value else 0)
            wrong += bool(abs(value - top / bottom) > mp.mpf(10) ** -DIGITS)
    return float(wrong)


# Identities: found where they are, not where they are not.

identities = Experiment(
    claim,
    "identities",
    sweep=Sweep("constant", instances=POSITIVE + CONTROLS),
    needs=("mpmath",),
    criteria=(
        Level("identities found", of="recurrences", at_least=10, within=POSITIVE),
        Level(
            "left sides found", of="recurrences", over="right_sides", at_least=2, within=POSITIVE
        ),
        Level("identities found", of="recurrences", at_most=0, within=CONTROLS),
    ),
    guards=(Level("false identities", of="recurrences", at_most=0),),
    rounds=2,
    short_rounds=2,
)
identities.metric(left_sides_found)
identities.metric(identities_found)
identities.metric(false_identities)


@identities.inputs
def named(constant: str, rng: Any, device: str) -> tuple[Any, ...]:
    """One constant; nothing is random."""
    return (Quest(_constant(constant), 2, (1, 2)),)


@identities.method
def recurrences(quest: Quest) -> Any:
    """Left-hand sides expanded, their terms' shortest recurrence found."""
    return _search(quest)


@identities.baseline
def right_sides(quest: Quest) -> Any:
    """Right-hand sides tried, small coefficients first."""
    from tractable.search.conjectures import exhaustive_search

    found: dict[Any, Any] = {}
    for interlaced, largest in ((1, 300), (2, 18), (3, 6)):
        for one in exhaustive_search(
            quest.constant,
            coefficient_bound=quest.coefficient_bound,
            interlaced=interlaced,
            largest=largest,
            periods=quest.periods,
            budget=BUDGET // 3,
        ):
            found.setdefault((one.lhs, one.signs), one)
    return list(found.values())


@identities.knockout
def repeats_only(quest: Quest) -> Any:
    """The same sequences, asked whether they repeat and not for a recurrence."""
    return _only_periodic(quest)


@identities.peer()
def without_preperiods(quest: Quest) -> Any:
    """The published rule: a quarter of the terms, and the law must hold from the first."""
    return _search(quest, threshold=25, modulus=199, allow_preperiod=False)


# Convergence: signs can make a fraction faster.

convergence = Experiment(
    claim,
    "convergence",
    sweep=Sweep("constant", instances=POSITIVE),
    needs=("mpmath",),
    criteria=(Level("best gain", of="any_signs", at_least=1.2),),
    rounds=2,
    short_rounds=2,
)
convergence.inputs(named)


@convergence.metric
def best_gain(output: Any, expected: Any, quest: Quest) -> float:
    """Largest digits a term over those of the simple fraction of the same left-hand side."""
    from fractions import Fraction

    from tractable.search.conjectures import signed_continued_fraction
    from tractable.search.conjectures._continued import digits_after, enclose

    gains = [0.0]
    low, _ = enclose(quest.constant, 4096)
    for one in output:
        c = Fraction(low, 1 << 4096)
        top, bottom = (sum(a * c**i for i, a in enumerate(p)) for p in one.lhs)
        simple = signed_continued_fraction(top / bottom, [1], 100)
        gains.append(one.digits_per_term * len(simple) / digits_after(simple, [1]))
    return max(gains)


@convergence.method
def any_signs(quest: Quest) -> Any:
    """Signs of period 1 and 2."""
    return _search(quest)


@convergence.baseline
def simple(quest: Quest) -> Any:
    """Simple continued fractions alone."""
    return _search(quest, periods=(1, 1))


@convergence.knockout
def repeats_with_signs(quest: Quest) -> Any:
    """Sequences asked whether they repeat."""
    return _only_periodic(quest)


# Cost: the rival pays for the formula's coefficients.

cost = Experiment(
    claim,
    "cost",
    sweep=Sweep("k", 4, 128, points=11),
    needs=("mpmath",),
    criteria=(Growth("operations", of="by_recurrence", over="by_trial", at_most=-1.5),),
    guards=(Level("identities found", of="by_recurrence", at_least=1),),
    rounds=2,
    short_rounds=2,
)
cost.metric(identities_found)


@cost.inputs
def hyperbolic(k: int, rng: Any, device: str) -> tuple[Any, ...]:
    """The hyperbolic cotangent of 1/k."""
    import importlib

    mp: Any = importlib.import_module("mpmath")
    return (Quest(lambda: mp.coth(mp.mpf(1) / k), 1, (1, 1)),)


@cost.method
def by_recurrence(quest: Quest) -> Any:
    """All left-hand sides."""
    return _search(quest)


@cost.baseline
def by_trial(quest: Quest) -> Any:
    """Right-hand sides by growing coefficients, up to the first identity."""
    from tractable.search.conjectures import exhaustive_search

    return exhaustive_search(quest.constant, coefficient_bound=1, largest=512, stop_after=1)


@cost.knockout
def by_repeats(quest: Quest) -> Any:
    """Sequences asked whether they repeat."""
    return _only_periodic(quest)
