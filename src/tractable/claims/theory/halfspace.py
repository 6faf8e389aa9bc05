"""Claim: a halfspace learner that accepts normal data with noise, and never trusts bad data."""

from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

EPSILON = 0.05
ETA = 0.4  # given to the method whatever the noise
WIDTH = 10
ROWS = 2000 * WIDTH
FRESH = 40_000
FINER = 0.02
POLYNOMIAL_FRESH = 10_000  # monomials of more rows would fill the memory

claim = Claim(
    Paper(
        "An Efficient Tester-Learner for Halfspaces",
        authors="Aravind Gollakota, Adam R. Klivans, Konstantinos Stavropoulos, Arsen Vasilyan",
        year=2023,
        link="https://arxiv.org/abs/2302.14853",
        tier="consequence",
    ),
    says="a polynomial-time learner of halfspaces tests its own data: it accepts normal rows with "
    "error opt + epsilon under Massart noise and O(opt) + epsilon under adversarial noise, and "
    "what it accepts it may be trusted on, whatever the rows are",
    scope="Normal rows of 10 dimensions with seven kinds of noise, six marginals that are not "
    "normal, 20,000 rows each; operations from 4 to 14 dimensions, and a proof of the excess in "
    "4. Constants are this library's: normal rows leave the ranges of tests with probability "
    "0.05, and 3 opt + 2 epsilon is what counts as near opt. That no bad rows were trusted holds "
    "for those tried: two of the six fool the learner, which is what the knock-out loses on; on "
    "the others its error would do, and rejecting them is caution. `excess_bound` is a proof "
    "whatever the rows, but shows more than the error itself only with thousands of rows a "
    "dimension and little noise. On normal rows with even noise logistic regression is as "
    "accurate; noise on one side biases it. Errors are measured on 40,000 fresh rows against the "
    "planted halfspace. Degree 3 is far below what the rival's theorem asks for, which flatters it",
    solves=(
        "linear classifier with label noise and a guarantee",
        "certify that a classifier is near the best one",
        "test whether data are Gaussian enough to trust a model",
        "learn from noisy labels",
        "agnostic learning of halfspaces",
        "can I trust logistic regression on these data",
    ),
    agreement="the best halfspace of the plane and the largest disagreement, by exhaustive "
    "search, and closed forms on normal rows",
)


class Data(NamedTuple):
    """A sample, fresh rows to measure errors on, and the planted halfspace's error there."""

    X: Any
    y: Any
    fresh: Any
    labels: Any
    opt: float
    noise: str
    seed: int


class Answer(NamedTuple):
    """Fresh rows called positive, whether they are to be trusted, and what bounds the errors."""

    positive: Any
    accepted: bool
    error_bound: float = 1.0
    excess_bound: float = 1.0


def _error(output: Answer, data: Data) -> float:
    return float((output.positive != (data.labels[: len(output.positive)] > 0)).mean())


def acceptance(output: Answer, expected: Any, data: Data) -> float:
    """Whether the answer comes with a guarantee."""
    return float(output.accepted)


def excess(output: Answer, expected: Any, data: Data) -> float:
    """Error less that of the planted halfspace."""
    return _error(output, data) - data.opt


def error_beyond_thrice_opt(output: Answer, expected: Any, data: Data) -> float:
    """Error less three times that of the planted halfspace."""
    return _error(output, data) - 3.0 * data.opt


def broken_bounds(output: Answer, expected: Any, data: Data) -> float:
    """Whether the error, or its excess over the planted halfspace's, is above its bound."""
    error = _error(output, data)
    fair = 3.0 * (0.25 / FRESH) ** 0.5  # what fresh rows leave open
    over = error - data.opt > output.excess_bound + fair
    return float(error > output.error_bound + fair or over)


def false_trust(output: Answer, expected: Any, data: Data) -> float:
    """Whether it was accepted with an error above 3 opt + 2 epsilon."""
    return float(output.accepted and _error(output, data) > 3.0 * data.opt + 2.0 * EPSILON)


def _tested(data: Data, *, trust: bool = False, sigmas: Any = None, eta: float = ETA) -> Answer:
    from tractable.theory.halfspace import fit_halfspace

    noise: Any = "massart" if data.noise == "massart" else "agnostic"
    fit = fit_halfspace(
        data.X, data.y, epsilon=EPSILON, noise=noise, eta=eta, sigmas=sigmas, rng=data.seed
    )
    positive = data.fresh @ fit.coef >= 0.0
    return Answer(positive, fit.accepted or trust, fit.error_bound, fit.excess_bound)


def _linear(model: Any, data: Data, accepted: bool) -> Answer:
    model.fit(data.X, data.y)
    return Answer(data.fresh @ model.coef_[0] >= 0.0, accepted)


def _logistic(data: Data, accepted: bool) -> Answer:
    from sklearn.linear_model import LogisticRegression

    return _linear(LogisticRegression(fit_intercept=False, C=1e6), data, accepted)


def _svc(data: Data, accepted: bool) -> Answer:
    from sklearn.svm import LinearSVC

    return _linear(LinearSVC(fit_intercept=False, dual=False), data, accepted)


def _perceptron(data: Data, accepted: bool) -> Answer:
    from tractable.theory.halfspace._ramp import averaged_perceptron

    w = averaged_perceptron(data.X, data.y.astype(float), 10)
    return Answer(data.fresh @ w >= 0.0, accepted)


# Normal: acceptance and error on normal rows, under seven kinds of noise.

ONE_SIDE = ("one side 0.2", "one side 0.4")
MASSART = ("massart 0.25", "massart 0.4", *ONE_SIDE)
ADVERSARIAL = ("tail 0.05", "slab 0.05", "other 0.1")

normal = Experiment(
    claim,
    "normal",
    sweep=Sweep("noise", instances=(*MASSART, *ADVERSARIAL)),
    criteria=(
        Level("acceptance", of="tester_learner", at_least=0.85),
        Level("excess", of="tester_learner", at_most=EPSILON, within=MASSART),
        Level("excess", of="tester_learner", at_most=FINER, within=ONE_SIDE),
        Level("error beyond thrice opt", of="tester_learner", at_most=EPSILON, within=ADVERSARIAL),
    ),
    guards=(Level("broken bounds", of="tester_learner", at_most=0.01),),
    needs=("sklearn",),
    rounds=20,
    short_rounds=3,
)
for each in (acceptance, excess, error_beyond_thrice_opt, broken_bounds):
    normal.metric(each)


def _flips(noise: str, X: Any, u: Any, v: Any, rng: Any) -> Any:
    """Say which labels are wrong; v is orthogonal to u."""
    import numpy as np
    from scipy.special import ndtri

    kind, rate = noise.rsplit(" ", 1)
    share, along = float(rate), X @ u
    if kind == "massart":
        return rng.random(len(X)) < share
    if kind == "one side":  # wrong only where that tilts the mean of yx
        return (along * (X @ v) > 0.0) & (rng.random(len(X)) < share)
    if kind == "tail":
        return np.abs(along) > ndtri(1.0 - share / 2.0)
    if kind == "slab":
        return np.abs(along - 0.5) < share / 0.7
    follows = rng.random(len(X)) < 2.0 * share  # another halfspace, orthogonal to the first
    return follows & ((along >= 0.0) != (X @ v >= 0.0))


def _normal(width: int, rows: int, noise: str, rng: Any) -> Data:
    import numpy as np

    X = rng.standard_normal((rows + FRESH, width))
    u, v = np.linalg.qr(rng.standard_normal((width, 2)))[0].T
    wrong = _flips(noise, X, u, v, rng)
    y = np.where((X @ u >= 0.0) != wrong, 1, -1)
    law = "massart" if noise.startswith(("massart", "one side")) else "adversarial"
    opt = float(wrong[rows:].mean())
    return Data(X[:rows], y[:rows], X[rows:], y[rows:], opt, law, int(rng.integers(2**31)))


@normal.inputs
def normal_rows(noise: str, rng: Any, device: str) -> tuple[Any, ...]:
    """Normal rows, labels of a random halfspace, some of them flipped."""
    return (_normal(WIDTH, ROWS, noise, rng),)


@normal.method
def tester_learner(data: Data) -> Answer:
    """Learn, test and certify."""
    return _tested(data)


@normal.baseline
def logistic(data: Data) -> Answer:
    """Logistic regression, which promises nothing."""
    return _logistic(data, accepted=False)


@normal.peer()
def perceptron(data: Data) -> Answer:
    """The averaged perceptron."""
    return _perceptron(data, accepted=False)


@normal.knockout
def straight(data: Data) -> Answer:
    """A ramp so wide that it has no corners: the mean of yx, with the same tests."""
    return _tested(data, sigmas=(1e3,))


# Proof: how small the certified excess gets with rows.

proof = Experiment(
    claim,
    "proof",
    sweep=Sweep("rows", 10_000, 320_000, points=6),
    criteria=(
        Level("excess bound", of="certified", at_most=EPSILON, within=(150_000, 320_000)),
        Growth("excess bound", of="certified", at_most=-0.2),
    ),
    guards=(Level("broken bounds", of="certified", at_most=0.01),),
    rounds=5,
    short_rounds=3,
)
proof.metric(broken_bounds)


@proof.metric
def excess_bound(output: Answer, expected: Any, data: Data) -> float:
    """What the error less the best halfspace's is proved to be below."""
    return output.excess_bound


@proof.inputs
def many_rows(rows: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Normal rows of four dimensions with a tenth of the labels wrong."""
    return (_normal(4, rows, "massart 0.1", rng),)


@proof.method
def certified(data: Data) -> Answer:
    """The tester-learner, told how much noise there is."""
    return _tested(data, eta=0.1)


@proof.baseline
def held_out(data: Data) -> Answer:
    """The error itself, which bounds its excess and needs no test."""
    from tractable.theory.halfspace._certificate import binomial_upper
    from tractable.theory.halfspace._ramp import averaged_perceptron

    half = len(data.X) // 2
    w = averaged_perceptron(data.X[:half], data.y[:half].astype(float))
    wrong = int(((data.X[half:] @ w >= 0.0) != (data.y[half:] > 0)).sum())
    bound = binomial_upper(wrong, len(data.X) - half, 0.05)
    return Answer(data.fresh @ w >= 0.0, True, bound, bound)


@proof.knockout
def unlabelled(data: Data) -> Answer:
    """Nothing assumed about noise: the gradient then proves no angle."""
    return _tested(data._replace(noise="adversarial"))


# Dimension: operations, beside tests and learners that do not look at labels.

dimension = Experiment(
    claim,
    "dimension",
    sweep=Sweep("dimension", 4, 14, points=7),
    criteria=(
        Growth("flops", of="local", at_most=3.2),
        Growth("flops", of="local", over="polynomial", at_most=-2.0),
    ),
    guards=(Level("excess", of="local", at_most=EPSILON),),
    rounds=3,
    limit=120.0,
)
dimension.metric(excess)
dimension.metric(acceptance)


@dimension.inputs
def by_dimension(dimension: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Normal rows, 600 a dimension, with a tenth of the labels wrong."""
    return (_normal(dimension, 600 * dimension, "massart 0.1", rng),)


@dimension.method
def local(data: Data) -> Answer:
    """The tester-learner."""
    return _tested(data)


@dimension.baseline
def polynomial(data: Data) -> Answer:
    """Moments up to 6, and a regression on all monomials up to degree 3."""
    from tractable.theory.halfspace._rivals import polynomial_tester_learner

    fit = polynomial_tester_learner(data.X, data.y.astype(float), 3)
    fresh = data.fresh[:POLYNOMIAL_FRESH]
    return Answer(fit.predict(fresh), fit.accepted)


@dimension.knockout
def quadratic(data: Data) -> Answer:
    """Tests that do not depend on labels, at the smallest degree that is not linear."""
    from tractable.theory.halfspace._rivals import polynomial_tester_learner

    fit = polynomial_tester_learner(data.X, data.y.astype(float), 2)
    return Answer(fit.predict(data.fresh[:POLYNOMIAL_FRESH]), fit.accepted)


# Bad: rows that fool the learner, to be rejected.

bad = Experiment(
    claim,
    "bad rows",
    sweep=Sweep(
        "marginal", instances=("two scales", "hidden", "clusters", "hypercube", "student", "gap")
    ),
    criteria=(
        Level("false trust", of="tested", at_most=0.01),
        Level("broken bounds", of="tested", at_most=0.01),
    ),
    needs=("sklearn",),
    rounds=20,
    short_rounds=3,
)
bad.metric(false_trust)
bad.metric(broken_bounds)
bad.metric(acceptance)


def _two_scales(X: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Most rows are tiny; the few large ones follow another halfspace."""
    import numpy as np

    large = rng.random(len(X)) < 0.05
    X *= np.where(large, 20.0**0.5, 0.002)[:, None]
    return X, np.where(large, X[:, 1], X[:, 0]), X[:, 0]


def _hidden(X: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Labels hang on a coordinate that is tiny on most rows, and large on the wrong ones."""
    import numpy as np

    share, tiny = rng.uniform(0.03, 0.1), 10.0 ** rng.uniform(-3.0, -1.0)
    large = rng.random(len(X)) < share
    X[:, 0] *= np.where(large, share**-0.5, tiny)
    return X, np.where(large, X[:, 1], X[:, 0]), X[:, 0]


def _clusters(X: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Forty tight clusters, two of which have the wrong labels."""
    import numpy as np

    which = rng.integers(40, size=len(X))
    X = rng.standard_normal((40, X.shape[1]))[which] + 0.05 * X
    return X, np.where(which < 2, -X[:, 0], X[:, 0]), X[:, 0]


def _hypercube(X: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Signs; labels by majority, wrong where it is clearest."""
    import numpy as np

    X = np.sign(X)
    votes = X.sum(axis=1) + 0.5 * X[:, 0]
    return X, np.where(np.abs(votes) > 7.0, -votes, votes), votes


def _student(X: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Heavy tails; far rows have the wrong labels."""
    import numpy as np

    X = rng.standard_t(2.5, X.shape) / 5.0**0.5
    far = np.linalg.norm(X, axis=1)
    return X, np.where(far > np.quantile(far, 0.95), -X[:, 0], X[:, 0]), X[:, 0]


def _gap(X: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Two sheets; labels need a coordinate along them, and far rows say the opposite."""
    import numpy as np

    X[:, 0] = np.sign(X[:, 0]) + 0.05 * rng.standard_normal(len(X))
    far = rng.random(len(X)) < 0.05
    X[:, 1] *= np.where(far, 4.0, 0.46)
    along = 0.3 * X[:, 0] + X[:, 1]
    return X, np.where(far, -X[:, 1], along), along


@bad.inputs
def bad_rows(marginal: str, rng: Any, device: str) -> tuple[Any, ...]:
    """Rows whose mean and covariance are near those of normal ones."""
    import numpy as np

    make = {
        "two scales": _two_scales,
        "hidden": _hidden,
        "clusters": _clusters,
        "hypercube": _hypercube,
        "student": _student,
        "gap": _gap,
    }[marginal]
    X, given, planted = make(rng.standard_normal((ROWS + FRESH, WIDTH)), rng)
    y = np.where(given >= 0.0, 1, -1)
    opt = float(((given >= 0.0) != (planted >= 0.0))[ROWS:].mean())
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    X = X @ turn
    return (Data(X[:ROWS], y[:ROWS], X[ROWS:], y[ROWS:], opt, "bad", int(rng.integers(2**31))),)


@bad.method
def tested(data: Data) -> Answer:
    """Learn, test and certify."""
    return _tested(data)


@bad.baseline
def trusted_logistic(data: Data) -> Answer:
    """Logistic regression, trusted as it usually is."""
    return _logistic(data, accepted=True)


@bad.peer("sklearn")
def trusted_svc(data: Data) -> Answer:
    """A linear support vector machine, trusted."""
    return _svc(data, accepted=True)


@bad.peer()
def trusted_perceptron(data: Data) -> Answer:
    """The averaged perceptron, trusted."""
    return _perceptron(data, accepted=True)


@bad.peer()
def moments_alone(data: Data) -> Answer:
    """The learner, accepted where mean and covariance are normal; labels play no part in that."""
    from tractable.theory.halfspace import moment_test

    answer = _tested(data)
    passed = all(check.passed for check in moment_test(data.X[::2], delta=0.05).values())
    return answer._replace(accepted=passed)


@bad.knockout
def untested(data: Data) -> Answer:
    """The learner alone, always accepted."""
    return _tested(data, trust=True)
