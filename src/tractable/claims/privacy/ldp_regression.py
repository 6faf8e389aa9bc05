"""Claim: sparse regression from randomised answers, and how many people that takes."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep
from tractable.claims.privacy._ldp_surveys import (
    DELTA,
    NOISE,
    Y_BOUND,
    Survey,
    each,
    error,
    fit,
    in_turns,
    law_of,
    ldp,
    protocol_for,
    surveys_of,
)

claim = Claim(
    Paper(
        "Improved Analysis of Sparse Linear Regression in Local Differential Privacy Model",
        authors="Liyang Zhu, Meng Ding, Vaneet Aggarwal, Jinhui Xu, Di Wang",
        year=2023,
        link="https://arxiv.org/abs/2310.07367",
        tier="consequence",
    ),
    says="from one randomised message a person, the error of sparse regression falls like "
    "d sqrt(k / n), and public unlabelled rows or rounds of gradients save a factor of sqrt(d); "
    "with 51 columns and epsilon 1, below a hundred million people it is no better than zero",
    scope="The paper proves rates and runs nothing. Rows are Gaussian, y has noise of 0.1, "
    "coefficients are k equal numbers of random sign and norm 1; epsilon 1, delta 1e-5, rows "
    "shrunk to 2 sqrt(d), y clipped to 8, so that fewer than one person in 10^14 is clipped and "
    "the sum of all reports can be drawn exactly, for as many people as the rates need to show: "
    "up to 10^15, far more than there are. Sums of Duchi's reports are drawn from their normal "
    "limit. `break even` says how many people are needed until the error is 1 percent below that "
    "of returning zero: the answer for planning; flooring small eigenvalues (`clipped`) or rounds "
    "of gradients need far fewer. `rows` simulates each person, with four columns "
    "and epsilon 3. "
    "Budgets are of a person: in `interactive` each answers in one round of many. Noise is "
    "calibrated by the exact Gaussian analysis, x x^T and x y priced as one; `as printed` has the "
    "paper's split budget and layout, `printed rounds` its groups and its bound of gradients. The "
    "paper's interactive rate is k sqrt(d); clipped residuals give sqrt(k d); k is fixed here. "
    "Central privacy (diffprivlib) trusts the server and is a reference, no rival",
    solves=(
        "regression on answers that people randomise themselves",
        "local differential privacy for a survey or telemetry",
        "how many users does local privacy need",
        "sparse linear model without trusting the server",
        "differentially private feature selection",
        "private regression with public unlabelled data",
    ),
    agreement="least squares where the noise is nil, the paper's formula, closed forms of the "
    "mechanisms' privacy loss, and an empirical audit of epsilon on neighbouring inputs",
)


@each
def sparse(survey: Survey) -> Any:
    """The paper's estimate: invert and soften."""
    return fit(survey.total, survey.protocol)


@each
def dense(survey: Survey) -> Any:
    """The same reports, inverted alone."""
    return fit(survey.total, survey.protocol, threshold=0.0)


@each
def ridge(survey: Survey) -> Any:
    """The same reports, stabilised by the penalty that is best in hindsight."""
    import numpy as np

    values, vectors = np.linalg.eigh(survey.total.S / survey.n)
    c = vectors.T @ survey.total.c / survey.n
    fits = [
        vectors @ (c / (values + penalty))
        for penalty in (0.0, *np.logspace(-6, 1, 15))
        if np.abs(values + penalty).min() > 1e-12
    ]
    return min(fits, key=lambda fit: float(np.linalg.norm(fit - survey.law.theta)))


@each
def zero(survey: Survey) -> Any:
    """What costs no privacy."""
    return 0.0 * survey.law.theta


@each
def hard(survey: Survey) -> Any:
    """Invert, and leave what passes the threshold as it is."""
    return fit(survey.total, survey.protocol, rule="hard")


@each
def as_printed(survey: Survey) -> Any:
    """The budget split in two, and the same noise on every entry of x x^T."""
    protocol = protocol_for(survey.law.theta.size, accounting="split", layout="upper")
    total = ldp().simulate_gaussian_reports(survey.law, survey.n, protocol, rng=survey.seed)
    return fit(total, protocol)


# Break even: how many people until the error is below that of returning zero.

break_even = Experiment(
    claim,
    "break even",
    sweep=Sweep("columns", 16, 160, points=5),
    criteria=(
        Level("people needed", of="private", at_least=1e6),
        Level("people needed", of="private", at_least=1e8, within=(51, 160)),
        Level("people needed", of="public", over="private", at_most=0.5),
        Growth("people needed", of="public", over="private", at_most=-0.2),
    ),
    rounds=10,
    short_rounds=4,
)


class Question(NamedTuple):
    """How many people does this law need."""

    law: Any
    k: int
    seed: int
    public: Any


@break_even.inputs
def plan(columns: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Three coefficients; fifty public rows a column."""
    law = law_of(columns, 3, rng)
    rows = rng.standard_normal((50 * columns, columns))
    summary = ldp().summarize_public(rows, protocol_for(columns, public_covariance=True))
    return (Question(law, 3, int(rng.integers(2**31)), summary),)


@break_even.metric
def people_needed(output: Any, expected: Any, question: Question) -> float:
    """What the search found."""
    return float(output)


def _needed(question: Question, estimate: Callable[[int, int], Any]) -> float:
    """Bisect, from above, for the number at which the median error of three draws passes 0.99."""
    import numpy as np

    def helps(power: float) -> bool:
        draws = [estimate(round(10.0**power), question.seed + i) for i in range(3)]
        return bool(np.median([np.linalg.norm(d - question.law.theta) for d in draws]) < 0.99)

    high = 12.0
    while high > 4.0 and helps(high - 1.0):
        high -= 1.0
    low = high - 1.0
    while high - low > 0.05:
        middle = (low + high) / 2.0
        low, high = (low, middle) if helps(middle) else (middle, high)
    return 10.0**high


def _people(question: Question, changed: dict[str, Any], **options: Any) -> float:
    protocol = protocol_for(question.law.theta.size, **changed)

    def estimate(n: int, seed: int) -> Any:
        total = ldp().simulate_gaussian_reports(question.law, n, protocol, rng=seed)
        return fit(total, protocol, **options)

    return _needed(question, estimate)


@break_even.method
def public(question: Question) -> Any:
    """Public rows give the covariance, people x y alone."""
    return _people(question, {"public_covariance": True}, public=question.public)


@break_even.baseline
def private(question: Question) -> Any:
    """People give both."""
    return _people(question, {})


@break_even.peer()
def printed(question: Question) -> Any:
    """People give both; the budget is split in two, every entry has the same noise."""
    return _people(question, {"accounting": "split", "layout": "upper"})


@break_even.peer()
def clipped(question: Question) -> Any:
    """People give both; small eigenvalues are raised to the noise before inverting."""
    return _people(question, {}, psd="clip")


@break_even.peer()
def rounds(question: Question) -> Any:
    """Gradients in rounds, told k."""
    return _needed(question, lambda n, seed: in_turns(question, n, seed))


@break_even.knockout
def noisy_rows(question: Question) -> Any:
    """Public rows that are not used: the covariance comes from people."""
    return _people(question, {})


# People: the error as their number grows, with correlated columns.

people = Experiment(
    claim,
    "people",
    sweep=Sweep("people", 10**12, 10**15, points=5),
    criteria=(
        Growth("error", of="sparse", at_most=-0.2),
        Growth("error", of="sparse", at_least=-0.8),
        Level("error", of="sparse", over="dense", at_most=0.75),
    ),
    rounds=10,
    short_rounds=5,
)
people.metric(error)
people.method(sparse)
people.baseline(dense)
people.peer()(ridge)
people.peer()(zero)
people.peer()(hard)
people.peer()(as_printed)


@people.inputs
def correlated(people: int, rng: Any, device: str) -> tuple[Any, ...]:
    """160 columns, neighbours correlated by 0.3, three coefficients."""
    return surveys_of(160, 3, people, rng, correlation=0.3)


@people.knockout
@each
def marginal(survey: Survey) -> Any:
    """Without the inverse: x y alone, softened."""
    import numpy as np

    c = survey.total.c / survey.n
    scale = survey.protocol.scales(c.size).moment / math.sqrt(survey.n)
    return ldp().soft_threshold(c / (np.trace(survey.total.S) / survey.n / c.size), 3.0 * scale)


# Sparsity: the error as more coefficients count.

sparsity = Experiment(
    claim,
    "sparsity",
    sweep=Sweep("coefficients", 1, 16, points=5),
    criteria=(
        Growth("error", of="sparse", at_most=0.8),
        Growth("error", of="sparse", at_least=0.2),
        Level("error", of="sparse", over="dense", at_most=0.75, within=(1, 4)),
    ),
    rounds=10,
    short_rounds=5,
)
sparsity.metric(error)
sparsity.method(sparse)
sparsity.baseline(dense)
sparsity.peer()(ridge)
sparsity.peer()(hard)


@sparsity.inputs
def counted(coefficients: int, rng: Any, device: str) -> tuple[Any, ...]:
    """160 columns, 10^14 people."""
    return surveys_of(160, coefficients, 10**14, rng)


@sparsity.knockout
def unthresholded(surveys: list[Survey]) -> Any:
    """Without the threshold."""
    return dense(surveys)


# Columns: the error as columns are added, from people alone.

columns = Experiment(
    claim,
    "columns",
    sweep=Sweep("columns", 48, 480, points=5),
    criteria=(
        Growth("error", of="sparse", at_most=1.3),
        Growth("error", of="sparse", at_least=0.7),
        Level("error", of="sparse", over="dense", at_most=0.5, within=(300, 480)),
    ),
    rounds=10,
    short_rounds=5,
)
columns.metric(error)
columns.method(sparse)
columns.baseline(dense)
columns.peer()(hard)
columns.knockout(unthresholded)


@columns.inputs
def wide(columns: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Three coefficients, 10^15 people."""
    return surveys_of(columns, 3, 10**15, rng)


# Public: the same with the covariance from public rows.

beside_public = Experiment(
    claim,
    "public",
    sweep=Sweep("columns", 48, 480, points=5),
    criteria=(
        Growth("error", of="with_public", at_most=0.8),
        Growth("error", of="with_public", at_least=0.2),
        Growth("error", of="with_public", over="sparse", at_most=-0.2),
        Level("error", of="with_public", over="sparse", at_most=0.5, within=(200, 480)),
    ),
    rounds=10,
    short_rounds=5,
)
beside_public.inputs(wide)
beside_public.metric(error)
beside_public.baseline(sparse)


def _with_covariance(survey: Survey, noise: float) -> Any:
    """The covariance of 10^12 public rows, drawn as one Wishart matrix; with noise if wanted."""
    import numpy as np

    d = survey.law.theta.size
    protocol = protocol_for(d, public_covariance=True)
    total = ldp().simulate_gaussian_reports(survey.law, survey.n, protocol, rng=survey.seed)
    rng = np.random.default_rng(survey.seed + 1)
    rows = 10**12
    S, _ = survey.law.sums(rows, rng)
    S = S / rows
    if noise:
        jitter = rng.standard_normal((d, d)) * noise
        S = S + (jitter + jitter.T) / 2.0
    return fit(total, protocol, public=ldp().PublicRows(S, rows))


@beside_public.method
@each
def with_public(survey: Survey) -> Any:
    """A million million public rows give the covariance."""
    return _with_covariance(survey, 0.0)


@beside_public.knockout
@each
def with_noise(survey: Survey) -> Any:
    """Public rows with the noise of people's."""
    d = survey.law.theta.size
    return _with_covariance(survey, survey.protocol.scales(d).covariance / math.sqrt(survey.n))


# Interactive: gradients in rounds against one message, at the same budget of a person.

interactive = Experiment(
    claim,
    "interactive",
    sweep=Sweep("columns", 64, 640, points=5),
    criteria=(
        Growth("error", of="in_rounds", at_most=0.8),
        Growth("error", of="in_rounds", over="at_once", at_most=-0.2),
        Level("error", of="in_rounds", over="at_once", at_most=0.9),
    ),
    rounds=10,
    short_rounds=4,
)
interactive.metric(error)


@interactive.inputs
def narrow(columns: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Sixteen coefficients, 10^14 people."""
    return surveys_of(columns, 16, 10**14, rng)


@interactive.method
@each
def in_rounds(survey: Survey) -> Any:
    """Iterative hard thresholding with Duchi's mechanism, told k."""
    return in_turns(survey, survey.n, survey.seed)


@interactive.baseline
@each
def at_once(survey: Survey) -> Any:
    """One message, told k: the k largest of what was inverted, not softened; the best of ours."""
    return fit(survey.total, survey.protocol, threshold=0.0, k=survey.k)


@interactive.peer()
def softened(surveys: list[Survey]) -> Any:
    """One message, softened, not told k."""
    return sparse(surveys)


@interactive.peer()
@each
def printed_rounds(survey: Survey) -> Any:
    """Equal groups, and the paper's bound: entries of x by 8, so predictions by 8 sqrt(k')."""
    bound = math.sqrt(2.0 * survey.k) * 8.0 + Y_BOUND
    return in_turns(survey, survey.n, survey.seed, bound=bound, equal=True)


@interactive.knockout
@each
def all_kept(survey: Survey) -> Any:
    """Without hard thresholding."""
    return in_turns(survey, survey.n, survey.seed, kept=survey.law.theta.size)


# Rows: each person simulated, where few columns make that possible.

one_by_one = Experiment(
    claim,
    "rows",
    sweep=Sweep("people", 3 * 10**3, 3 * 10**5, points=9),
    criteria=(
        Level("distance", of="local", over="nothing", at_most=0.5, within=(3 * 10**5, 3 * 10**5)),
        Growth("distance", of="local", over="nothing", at_most=-0.2, within=(3 * 10**4, 3 * 10**5)),
    ),
    rounds=10,
    short_rounds=5,
)


class Rows(NamedTuple):
    """People's data, all in one place."""

    X: Any
    y: Any
    law: Any
    seed: int


@one_by_one.inputs
def bounded(people: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Four uniform columns of variance 1, one coefficient; bounds hold without clipping."""
    import numpy as np

    law = law_of(4, 1, rng)
    X = rng.uniform(-math.sqrt(3), math.sqrt(3), (people, 4))
    y = X @ law.theta + NOISE * np.clip(rng.standard_normal(people), -5, 5)
    return (Rows(X, y, law, int(rng.integers(2**31))),)


@one_by_one.metric
def distance(output: Any, expected: Any, data: Rows) -> float:
    """Euclidean distance from the truth."""
    return error([output], expected, [data])


ROWS_EPSILON = 3.0
BOUNDS: dict[str, Any] = {"x_bound": math.sqrt(12.0), "y_bound": 2.5}


@one_by_one.method
def local(data: Rows) -> Any:
    """One message a person."""
    protocol = ldp().StatisticsProtocol(ROWS_EPSILON, DELTA, **BOUNDS)
    return fit(ldp().simulate_reports(data.X, data.y, protocol, rng=data.seed), protocol)


@one_by_one.baseline
def nothing(data: Rows) -> Any:
    """What costs no privacy: zero."""
    return 0.0 * data.law.theta


@one_by_one.peer("sklearn")
def gradients(data: Rows) -> Any:
    """One noisy gradient a person, in rounds."""
    from tractable.privacy.ldp_regression.sklearn import LDPIterativeHardThresholding

    model = LDPIterativeHardThresholding(1, ROWS_EPSILON, **BOUNDS, random_state=data.seed)
    return model.fit(data.X, data.y).coef_


@one_by_one.peer("diffprivlib")
def central(data: Rows) -> Any:
    """A trusted server: diffprivlib's regression at the same epsilon."""
    import importlib
    import sys
    import types

    # diffprivlib's forests do not import beside recent scikit-learn; nothing else needs them.
    forests = types.ModuleType("diffprivlib.models.forest")
    vars(forests).update(RandomForestClassifier=None, DecisionTreeClassifier=None)
    sys.modules.setdefault("diffprivlib.models.forest", forests)
    models = importlib.import_module("diffprivlib.models")
    root = math.sqrt(3.0)
    model = models.LinearRegression(
        epsilon=ROWS_EPSILON,
        bounds_X=(-root, root),
        bounds_y=(-2.5, 2.5),
        fit_intercept=False,
        random_state=data.seed,
    )
    return model.fit(data.X, data.y).coef_


@one_by_one.peer("sklearn")
def not_private(data: Rows) -> Any:
    """scikit-learn's lasso on the data."""
    from sklearn.linear_model import Lasso

    return Lasso(1e-3, fit_intercept=False).fit(data.X, data.y).coef_
