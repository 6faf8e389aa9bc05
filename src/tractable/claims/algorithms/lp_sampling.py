"""Claim: few rows, drawn by how much each can matter, keep every l_p norm of a tall matrix."""

from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

EPSILON = 0.25
DRAWS = 40
ALPHA = 6.0
WIDTH = 10

claim = Claim(
    Paper(
        "Sharper Bounds for ell_p Sensitivity Sampling",
        authors="David P. Woodruff, Taisuke Yasuda",
        year=2023,
        link="https://arxiv.org/abs/2306.00732",
        tier="consequence",
    ),
    says="sampling rows by l_p sensitivity keeps all l_p norms with about S^(2-2/p) rows for p > 2 "
    "(S is the sum of sensitivities), fewer than the general S d, and root leverage scores, "
    "recomputed on the sample, settle at about d rows for p < 2 however many there were",
    scope="The paper proves bounds and runs nothing; constants and logarithms are left out of "
    "them, so sizes are searched for or given. `size` is p = 4 on matrices with S = d, half of "
    "whose columns stand on one row each, where the worst direction is known exactly; it is an "
    "easy case, near S log S, and consistency with the bound is all it shows. The bound for "
    "p < 2 is the authors' own to call subsumed, and the default there is Lewis weights. "
    "`direction` and `root` search for the worst direction, so their distortion is a lower "
    "estimate. `fit` has five rows that follow another law, a thousand times larger; at p = 1 "
    "they weigh little, and sampling uniformly does as well",
    solves=(
        "regression on too many rows",
        "coreset for least absolute deviations",
        "subsample data without losing outliers that matter",
        "Lewis weights or lp sensitivities of a matrix",
        "median regression is too slow",
        "importance sampling of rows with sample_weight",
    ),
    agreement="the definition of sensitivity by a general-purpose optimiser, and closed forms",
)


def _shuffled(scores: Any, seed: int) -> Any:
    """The same scores on other rows."""
    import numpy as np

    return np.random.default_rng(seed).permutation(scores)


# Size: the fewest rows that keep every norm at p = 4, as the total sensitivity grows.

size = Experiment(
    claim,
    "size",
    sweep=Sweep("columns", 4, 40, points=9),
    criteria=(
        Growth("rows needed", of="sensitivity", at_most=1.8),
        Level("rows needed", of="sensitivity", over="lewis", at_most=1.5),
        Level("rows needed", of="sensitivity", over="uniform", at_most=0.9, within=(13, 40)),
    ),
    rounds=8,
    short_rounds=3,
    limit=120.0,
)


class Stack(NamedTuple):
    """Rows of an orthogonal matrix, repeated: any two rows are equal or orthogonal."""

    A: Any
    columns: Any  # which row of the orthogonal matrix
    seed: int


@size.inputs
def stack(columns: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Half of the directions once, the others 50 times the columns; S is the number of columns."""
    import numpy as np

    repeats = np.where(np.arange(columns) % 2, 1, 50 * columns)
    which = rng.permutation(np.repeat(np.arange(columns), repeats))
    mixing = np.linalg.qr(rng.standard_normal((columns, columns)))[0]
    return (Stack(mixing[which], which, int(rng.integers(2**31))),)


def _rows_needed(data: Stack, scores: Any) -> int:
    """Bisect for the size at which 9 of 10 samples have a distortion up to epsilon."""
    import numpy as np

    from tractable.algorithms.lp_sampling import sample_rows

    rng = np.random.default_rng(data.seed)
    counts = np.bincount(data.columns)

    def distortion(rows: int) -> float:
        sample = sample_rows(data.A, 4, rows, scores=scores, rng=rng)
        kept = np.bincount(data.columns[sample.indices], sample.sample_weight, counts.size)
        return float(np.abs(kept / counts - 1.0).max())  # in the worst direction, a mixing row

    low, high = counts.size - 1, len(data.A)
    while high > 1.04 * low and high - low > 1:
        middle = round((low * high) ** 0.5)
        worst = np.quantile([distortion(middle) for _ in range(DRAWS)], 0.9)
        low, high = (low, middle) if worst <= EPSILON else (middle, high)
    return high


@size.metric
def rows_needed(output: Any, expected: Any, data: Stack) -> float:
    """What the search found."""
    return float(output)


def _sensitivities(data: Stack) -> Any:
    from tractable.algorithms.lp_sampling import lp_sensitivities

    return lp_sensitivities(data.A, 4, method="sampled", rng=data.seed)


@size.method
def sensitivity(data: Stack) -> Any:
    """Sensitivities, estimated from programs on a sample."""
    return _rows_needed(data, _sensitivities(data))


@size.baseline
def uniform(data: Stack) -> Any:
    """Every row alike."""
    import numpy as np

    return _rows_needed(data, np.ones(len(data.A)))


@size.peer()
def lewis(data: Stack) -> Any:
    """Lewis weights."""
    from tractable.algorithms.lp_sampling import lewis_weights

    return _rows_needed(data, lewis_weights(data.A, 4))


@size.knockout
def shuffled(data: Stack) -> Any:
    """The sensitivities of other rows."""
    return _rows_needed(data, _shuffled(_sensitivities(data), data.seed))


# Direction: the worst direction of a sample of given size, where rows are uneven.


class Rows(NamedTuple):
    """A matrix to sample."""

    A: Any
    seed: int


direction = Experiment(
    claim,
    "direction",
    sweep=Sweep("matrix", instances=("student", "spiky")),
    criteria=(
        Level("worst distortion", of="mixture", at_most=0.5),
        Level("worst distortion", of="mixture", over="alike", at_most=0.67),
    ),
    rounds=10,
    short_rounds=3,
)


@direction.inputs
def uneven(matrix: str, rng: Any, device: str) -> tuple[Any, ...]:
    """Heavy tails, or five rows a thousand times larger."""
    if matrix == "student":
        A = rng.standard_t(3, (5000, 8))
    else:
        A = rng.standard_normal((5000, 8))
        A[:5] *= 1e3
    return (Rows(A, int(rng.integers(2**31))),)


def worst_distortion(output: Any, expected: Any, data: Rows) -> float:
    """The largest relative error of a p-th power of a norm that a search found."""
    from tractable.algorithms.lp_sampling import subspace_distortion

    sample, p = output
    low, high = subspace_distortion(data.A, sample.scale(data.A, p), p, n_starts=4, rng=data.seed)
    return max(1.0 - low, high - 1.0)


direction.metric(worst_distortion)


def _fourth(data: Rows, scores: Any) -> Any:
    from tractable.algorithms.lp_sampling import sample_rows

    return sample_rows(data.A, 4, 1500, scores=scores, rng=data.seed), 4.0


@direction.method
def mixture(data: Rows) -> Any:
    """The larger of sensitivity and leverage, the default above p = 2."""
    return _fourth(data, "leverage+sensitivity")


@direction.baseline
def alike(data: Rows) -> Any:
    """Every row alike."""
    return _fourth(data, "uniform")


@direction.peer()
def by_lewis(data: Rows) -> Any:
    """Lewis weights."""
    return _fourth(data, "lewis")


@direction.peer()
def by_sensitivity(data: Rows) -> Any:
    """Sensitivities alone."""
    return _fourth(data, "sensitivity")


@direction.peer()
def by_leverage(data: Rows) -> Any:
    """Leverage scores alone, as least squares would."""
    return _fourth(data, "leverage")


@direction.knockout
def misplaced(data: Rows) -> Any:
    """The sensitivities of other rows."""
    from tractable.algorithms.lp_sampling import lp_sensitivities

    scores = lp_sensitivities(data.A, 4, method="sampled", rng=data.seed)
    return _fourth(data, _shuffled(scores, data.seed))


# Root: how many rows root leverage scores leave at p = 1.

root = Experiment(
    claim,
    "root",
    sweep=Sweep("rows", 4_000, 256_000, points=7),
    criteria=(
        Growth("samples", of="recursive", at_most=0.3),
        Level("samples", of="recursive", at_most=460),  # 20 d log d
        Level("worst distortion", of="recursive", at_most=0.3),
    ),
    rounds=8,
    short_rounds=5,
)
root.metric(worst_distortion)


@root.inputs
def heavy_tailed(rows: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Ten columns with infinite variance."""
    return (Rows(rng.standard_t(2, (rows, WIDTH)), int(rng.integers(2**31))),)


@root.method
def recursive(data: Rows) -> Any:
    """Recomputed on the sample until it stops shrinking."""
    from tractable.algorithms.lp_sampling import root_leverage_sample

    return root_leverage_sample(data.A, 1, ALPHA, rng=data.seed), 1.0


def _of_size(data: Rows, scores: Any) -> Any:
    from tractable.algorithms.lp_sampling import sample_rows

    return sample_rows(data.A, 1, int(ALPHA**2 * WIDTH), scores=scores, rng=data.seed), 1.0


@root.baseline
def blind(data: Rows) -> Any:
    """As many rows as the bound for the recursion, every row alike."""
    return _of_size(data, "uniform")


@root.peer()
def weights(data: Rows) -> Any:
    """As many rows as the bound for the recursion, by Lewis weights."""
    return _of_size(data, "lewis")


@root.knockout
def one_round(data: Rows) -> Any:
    """Root leverage scores once."""
    from tractable.algorithms.lp_sampling import root_leverage_sample

    return root_leverage_sample(data.A, 1, ALPHA, n_rounds=1, rng=data.seed), 1.0


# Fit: regression on a twentieth of the rows.

fit = Experiment(
    claim,
    "fit",
    sweep=Sweep("power", instances=(1, 1.5, 3, 4)),
    criteria=(
        Level("excess loss", of="coreset", at_most=0.05),
        Level("excess loss", of="coreset", over="anyhow", at_most=0.1, within=(1.5, 3, 4)),
    ),
    rounds=10,
    short_rounds=3,
)


class Targets(NamedTuple):
    """A regression and its least loss."""

    A: Any
    b: Any
    p: float
    least: float
    seed: int


@fit.inputs
def two_laws(power: float, rng: Any, device: str) -> tuple[Any, ...]:
    """Gaussian rows; five of them are a thousand times larger and have other coefficients."""
    import numpy as np

    from tractable.algorithms.lp_sampling import lp_regression

    A = rng.standard_normal((20_000, WIDTH))
    b = A @ rng.standard_normal(WIDTH) + rng.standard_normal(len(A))
    b[:5] = A[:5] @ rng.standard_normal(WIDTH) + rng.standard_normal(5)
    larger = np.where(np.arange(len(A)) < 5, 1e3, 1.0)
    A, b = A * larger[:, None], b * larger
    least = lp_regression(A, b, power).loss
    return (Targets(A, b, float(power), least, int(rng.integers(2**31))),)


@fit.metric
def excess_loss(output: Any, expected: Any, data: Targets) -> float:
    """Loss on all rows over the least, less one."""
    import numpy as np

    loss = float((np.abs(data.A @ output - data.b) ** data.p).sum())
    return max(loss / data.least - 1.0, 1e-12)


def _fit(data: Targets, scores: Any) -> Any:
    from tractable.algorithms.lp_sampling import lp_regression, sample_rows

    sample = sample_rows(data.A, data.p, 1000, scores=scores, b=data.b, rng=data.seed)
    kept = sample.indices
    found = lp_regression(
        data.A[kept], data.b[kept], data.p, sample_weight=sample.sample_weight, tol=1e-8
    )
    return found.coefficients


@fit.method
def coreset(data: Targets) -> Any:
    """The default scores."""
    return _fit(data, "auto")


@fit.baseline
def anyhow(data: Targets) -> Any:
    """Every row alike."""
    return _fit(data, "uniform")


@fit.peer()
def fit_by_sensitivity(data: Targets) -> Any:
    """Sensitivities, estimated from programs on a sample."""
    return _fit(data, "sensitivity")


@fit.peer()
def fit_by_leverage(data: Targets) -> Any:
    """Leverage scores."""
    return _fit(data, "leverage")


@fit.knockout
def astray(data: Targets) -> Any:
    """The sensitivities of other rows."""
    import numpy as np

    from tractable.algorithms.lp_sampling import lp_sensitivities

    both = np.column_stack((data.A, data.b))
    scores = lp_sensitivities(both, data.p, method="sampled", rng=data.seed)
    return _fit(data, _shuffled(scores, data.seed))
