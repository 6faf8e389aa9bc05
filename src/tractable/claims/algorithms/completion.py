"""Claim: matrices are completed in entries times rank, as few entries being enough."""

from typing import Any

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

SIDE = 6
"""Rows and columns over the rank, where flops are counted; three quarters are seen."""
RANK = 48
"""Where recovery and robustness are tried."""
WIDTH = 64
"""Unknowns of the single regression, 128 equations each."""

claim = Claim(
    Paper(
        "Low Rank Matrix Completion via Robust Alternating Minimization in Nearly Linear Time",
        authors="Yuzhou Gu, Zhao Song, Junze Yin, Lichen Zhang",
        year=2024,
        link="https://arxiv.org/abs/2302.11068",
        tier="scaled down",
    ),
    says="alternating minimisation recovers a matrix of low rank from as few entries when its "
    "regressions are solved roughly, in flops that are linear in entries times rank, where exact "
    "regressions pay the rank squared",
    scope="Gaussian factors without noise, entries seen at random. Flops: ranks 8 to 256, six "
    "times as many rows and columns, three quarters of the entries seen, so that each instance "
    "is as hard as the others; sweeps until one changes less than 1e-3 of the norm, from the same "
    "spectral start. Recovery: 400 rows and columns, rank 48. Regressions go on from "
    "the last sweep and end after a tenth of the gradient; they take no sketch, since the rows "
    "that a line selects from an orthonormal factor are well conditioned already. The paper's "
    "sketch has an experiment of its own, on one regression; its sizes (order k log k / 0.01 rows, "
    "2 T + 1 fresh samples) are useless here, which `fresh_samples` shows. The theory's bound on "
    "the entries needed, k^4.5 and more, is not reached by any arm. Seconds: one sweep at 800 rows "
    "and columns, exact regressions by LAPACK",
    solves=(
        "fill in missing entries of a table",
        "recommender from explicit ratings",
        "matrix factorization with missing values is slow at high rank",
        "impute missing sensor readings",
        "genotype imputation by low rank",
        "alternating least squares too slow",
        "reconstruct an image with missing pixels",
        "ill-conditioned tall least squares",
    ),
    agreement="line-by-line numpy.linalg.lstsq, to 1e-6; the truncated SVD where all is seen",
)


def _draw(side: int, rank: int, entries: int, rng: Any) -> tuple[Any, Any]:
    """The true matrix, and a sparse one with some of its entries."""
    import numpy as np
    from scipy import sparse

    truth = rng.standard_normal((side, rank)) @ rng.standard_normal((rank, side))
    places = np.sort(rng.choice(side * side, entries, replace=False))
    row, column = np.divmod(places, side)
    return truth, sparse.coo_array((truth[row, column], (row, column)), shape=truth.shape)


def _start(seen: Any, rank: int, rng: Any) -> Any:
    """The spectral start that all arms share."""
    from tractable.algorithms.completion import Completion
    from tractable.algorithms.completion._observed import read_observed
    from tractable.algorithms.completion._start import spectral_start

    left, values, right = spectral_start(read_observed("seen", seen), rank, None, rng)
    return Completion(left, values, right, 0, False, (), ("", ""))


def _complete(seen: Any, rank: int, **options: Any) -> Any:
    from tractable.algorithms.completion import complete

    return complete(seen, rank, rng=0, **options)


def hidden_error(output: Any, expected: Any, truth: Any, seen: Any, *rest: Any) -> float:
    """The relative error on the entries that were not seen, in the Frobenius norm."""
    import numpy as np

    hidden = np.ones(truth.shape, np.bool_)
    hidden[seen.row, seen.col] = False
    error = float(np.linalg.norm((output.dense() - truth)[hidden]))
    return min(1e9, error / float(np.linalg.norm(truth[hidden])))


# Flops: whole completions, at ranks of a factor of 32.

flops = Experiment(
    claim,
    "flops",
    sweep=Sweep("rank", 8, 256, points=6),
    needs=("numba",),
    criteria=(
        Growth("flops an entry", of="robust", at_most=1.35),
        Level("flops", of="robust", over="exact", at_most=1 / 3, within=(128, 256)),
    ),
    guards=(Level("hidden error", of="robust", at_most=1e-2),),
    rounds=2,
    short_rounds=2,
    limit=600.0,
)
flops.metric(hidden_error)


@flops.metric
def flops_an_entry(output: Any, expected: Any, truth: Any, seen: Any, *rest: Any) -> float:
    """All flops, from the start to the last sweep, over the entries seen."""
    return output.flops / seen.nnz


@flops.inputs
def mostly_seen(rank: int, rng: Any, device: str) -> tuple[Any, ...]:
    side = SIDE * rank
    truth, seen = _draw(side, rank, 3 * side * side // 4, rng)
    return truth, seen, rank, _start(seen, rank, rng)


class _Counted:
    """A completion that knows what it cost."""

    def __init__(self, fit: Any, flops: float) -> None:
        self.flops, self.dense = flops, fit.dense


def _count(seen: Any, rank: int, start: Any, **options: Any) -> Any:
    from tractable._core import count

    with count() as cost:
        fit = _complete(seen, rank, start=start, tol=1e-3, **options)
    return _Counted(fit, cost["flops"])


@flops.method
def robust(truth: Any, seen: Any, rank: int, start: Any) -> Any:
    """Conjugate gradients from the last sweep's answer, to a tenth of the gradient."""
    return _count(seen, rank, start, solver="cg")


@flops.baseline
def exact(truth: Any, seen: Any, rank: int, start: Any) -> Any:
    """Normal equations and Cholesky, in LAPACK above rank 32."""
    return _count(seen, rank, start, solver="cholesky")


@flops.knockout
def fixed_error(truth: Any, seen: Any, rank: int, start: Any) -> Any:
    """Errors that are a fixed share of the answer instead of the distance; ten sweeps."""
    return _count(seen, rank, start, solver="cg", warm=False, max_iter=10)


# Recovery: how many entries are needed.

recovery = Experiment(
    claim,
    "recovery",
    sweep=Sweep("entries over unknowns", instances=(1.25, 1.5, 2.0, 3.0)),
    needs=("numba",),
    criteria=(
        Level("lost recoveries", of="rough", at_most=0.0),
        Level("hidden error", of="rough", at_most=1e-4, within=(2.0, 3.0)),
        Level("flops", of="rough", over="solved", at_most=0.7, within=(2.0, 3.0)),
    ),
    rounds=5,
    short_rounds=2,
    limit=200.0,
)
recovery.metric(hidden_error)


@recovery.metric
def lost_recoveries(output: Any, expected: Any, *inputs: Any) -> float:
    """One if the baseline's error is below 1e-4 and the arm's is not."""
    reached = [hidden_error(fit, expected, *inputs) < 1e-4 for fit in (expected, output)]
    return float(reached[0] and not reached[1])


@recovery.inputs
def few_seen(entries_over_unknowns: float, rng: Any, device: str) -> tuple[Any, ...]:
    """400 rows and columns; a matrix of rank k has k (2 side - k) unknowns."""
    side = 400
    return _draw(side, RANK, round(entries_over_unknowns * RANK * (2 * side - RANK)), rng)


def _recover(seen: Any, **options: Any) -> Any:
    return _complete(seen, RANK, **{"tol": 1e-6, "max_iter": 100, **options})


@recovery.method
def rough(truth: Any, seen: Any) -> Any:
    """Conjugate gradients from the last sweep's answer, to a tenth of the gradient."""
    return _recover(seen, solver="cg")


@recovery.baseline
def solved(truth: Any, seen: Any) -> Any:
    """Exact regressions."""
    return _recover(seen, solver="cholesky")


@recovery.peer()
def preconditioned(truth: Any, seen: Any) -> Any:
    """Sketched preconditioners, regressions from zero to 1e-8, as theory has it; 20 sweeps."""
    return _recover(seen, solver="sketch-cg", warm=False, inner_tol=1e-8, max_iter=20)


@recovery.peer()
def fresh_samples(truth: Any, seen: Any) -> Any:
    """The theory's split into fresh samples, ten sweeps."""
    return _recover(seen, solver="cholesky", resample=True, max_iter=10)


@recovery.peer("cmfrec")
def cmfrec(truth: Any, seen: Any) -> Any:
    """The package's alternating least squares, its own conjugate gradients, as many sweeps."""
    import numpy as np
    from cmfrec import CMF
    from scipy import sparse

    model = CMF(
        k=RANK,
        lambda_=1e-9,
        method="als",
        use_cg=True,
        finalize_chol=True,
        niter=100,
        user_bias=False,
        item_bias=False,
        center=False,
        use_float=False,
        verbose=False,
        nthreads=1,
        random_state=1,
    ).fit(sparse.coo_matrix(seen))
    return _Dense(np.asarray(model.A_) @ np.asarray(model.B_).T)


class _Dense:
    """What `hidden_error` asks of a completion."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def dense(self) -> Any:
        return self.whole


@recovery.knockout
def fixed_share(truth: Any, seen: Any) -> Any:
    """Each regression from zero, to a tenth of the answer instead of the distance."""
    return _recover(seen, solver="cg", warm=False)


# Robustness: sweeps needed, as regressions get rougher.

robustness = Experiment(
    claim,
    "robustness",
    sweep=Sweep("inner tolerance", instances=(0.5, 0.3, 0.1, 1e-2, 1e-4, 1e-8)),
    needs=("numba",),
    criteria=(
        Level(
            "iterations",
            of="tolerant",
            over="perfect",
            at_most=1.5,
            within=(0.1, 1e-2, 1e-4, 1e-8),
        ),
        Level("flops", of="tolerant", over="perfect", at_most=0.8, within=(0.1,)),
    ),
    guards=(Level("hidden error", of="tolerant", at_most=1e-4, within=(0.1, 1e-2, 1e-4, 1e-8)),),
    rounds=5,
    short_rounds=2,
)
robustness.metric(hidden_error)


@robustness.inputs
def half_seen(inner_tolerance: float, rng: Any, device: str) -> tuple[Any, ...]:
    truth, seen = _draw(400, RANK, 400 * 400 // 2, rng)
    return truth, seen, inner_tolerance


def _tolerate(seen: Any, **options: Any) -> Any:
    return _complete(seen, RANK, tol=1e-6, **options)


@robustness.method
def tolerant(truth: Any, seen: Any, inner_tolerance: float) -> Any:
    """Regressions that end at this share of their gradient."""
    return _tolerate(seen, solver="cg", inner_tol=inner_tolerance)


@robustness.baseline
def perfect(truth: Any, seen: Any, inner_tolerance: float) -> Any:
    """Exact regressions."""
    return _tolerate(seen, solver="cholesky")


@robustness.knockout
def forgetful(truth: Any, seen: Any, inner_tolerance: float) -> Any:
    """The same tolerances of regressions that start at zero."""
    return _tolerate(seen, solver="cg", inner_tol=inner_tolerance, warm=False)


# Conditioning: the sketch, on one regression.

conditioning = Experiment(
    claim,
    "conditioning",
    sweep=Sweep("condition", 1, 10**4, points=9),
    criteria=(
        # Plain steps grow with the condition number until they pass d, sketched ones do not.
        Growth("matvecs", of="sketched", at_most=0.3),
        Level("matvecs", of="sketched", over="plain", at_most=0.25, within=(10**3, 10**4)),
        Level("iterations", of="sketched", at_most=60.0),
    ),
    guards=(Level("distance to lstsq", of="sketched", at_most=1e-6),),
    rounds=10,
    short_rounds=3,
)


@conditioning.inputs
def weighted(condition: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Singular values on a geometric scale, in no particular basis, and uneven weights."""
    import numpy as np

    rows = 128 * WIDTH
    left = np.linalg.qr(rng.standard_normal((rows, WIDTH)))[0]
    right = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    weights = rng.uniform(0.1, 10.0, rows)
    A = (left * np.geomspace(1.0, condition, WIDTH)) @ right / np.sqrt(weights)[:, None]
    b = A @ rng.standard_normal(WIDTH) + 1e-3 * rng.standard_normal(rows)
    return A, b, weights, int(rng.integers(2**31))


@conditioning.metric
def distance_to_lstsq(output: Any, expected: Any, *inputs: Any) -> float:
    """Of the fitted values, relative to LAPACK's."""
    import numpy as np

    A, b, weights, _ = inputs
    root = np.sqrt(weights)
    fitted = root[:, None] * A @ np.linalg.lstsq(root[:, None] * A, root * b)[0]
    away = np.linalg.norm(root * (A @ output) - fitted)
    return float(away / np.linalg.norm(fitted))


def _regress(A: Any, b: Any, weights: Any, seed: int, **options: Any) -> Any:
    from tractable.algorithms.completion import sketched_lstsq

    return sketched_lstsq(A, b, weights=weights, rng=seed, max_iter=5000, **options)


@conditioning.method
def sketched(A: Any, b: Any, weights: Any, seed: int) -> Any:
    """CountSketch with 4 d rows, its factor as the preconditioner."""
    return _regress(A, b, weights, seed, sketch_rows=4 * WIDTH)


@conditioning.baseline
def plain(A: Any, b: Any, weights: Any, seed: int) -> Any:
    """Conjugate gradients in their least-squares form."""
    return _regress(A, b, weights, seed, sketch=None)


@conditioning.peer()
def descent(A: Any, b: Any, weights: Any, seed: int) -> Any:
    """The paper's gradient steps, on a sketch of 8 d rows."""
    return _regress(A, b, weights, seed, sketch_rows=8 * WIDTH, iteration="gradient")


@conditioning.knockout
def narrow(A: Any, b: Any, weights: Any, seed: int) -> Any:
    """A sketch of d rows, which is no embedding."""
    return _regress(A, b, weights, seed, sketch_rows=WIDTH)


# Seconds: one sweep.

seconds = Experiment(
    claim,
    "seconds",
    sweep=Sweep("rank", 32, 256, points=4),
    needs=("numba",),
    criteria=(
        Level("seconds", of="iterated", over="factorised", at_most=1 / 3, within=(128, 256)),
    ),
    guards=(Level("error over exact", of="iterated", at_most=1.25),),
    rounds=3,
    short_rounds=3,
    limit=300.0,
)


@seconds.metric
def error_over_exact(output: Any, expected: Any, *inputs: Any) -> float:
    """After this sweep, of entries that were not seen."""
    return hidden_error(output, expected, *inputs) / hidden_error(expected, expected, *inputs)


@seconds.inputs
def four_fifths_seen(rank: int, rng: Any, device: str) -> tuple[Any, ...]:
    truth, seen = _draw(800, rank, 800 * 640, rng)
    return truth, seen, rank, _start(seen, rank, rng)


@seconds.method
def iterated(truth: Any, seen: Any, rank: int, start: Any) -> Any:
    """Conjugate gradients from the start, compiled."""
    return _complete(seen, rank, start=start, max_iter=1, solver="cg")


@seconds.baseline
def factorised(truth: Any, seen: Any, rank: int, start: Any) -> Any:
    """Exact regressions: a compiled loop up to rank 32, LAPACK above."""
    return _complete(seen, rank, start=start, max_iter=1, solver="cholesky")


@seconds.knockout
def overdone(truth: Any, seen: Any, rank: int, start: Any) -> Any:
    """No robustness: every regression to the accuracy that theory asks for, from zero."""
    return _complete(seen, rank, start=start, max_iter=1, solver="cg", warm=False, inner_tol=1e-12)
