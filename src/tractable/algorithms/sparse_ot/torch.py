"""Batches of problems on any device, with gradients, and a router; needs the extra `torch`.

The plan is found without gradients; one evaluation with the potentials held fixed then carries
them (Danskin's theorem for the value; for the plan, the derivative at fixed alpha).
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tractable._core import DataError, DTypeError, RangeError, ShapeError, note
from tractable._core.checks import check_integer, check_number

__all__ = [
    "Routing",
    "SparseOTRouter",
    "route",
    "sparse_ot_torch",
    "topk_relu",
    "topk_simplex_projection",
]

MEMORY = 10
"""Steps that the batched L-BFGS remembers."""
HALVINGS = 30
"""How often a step is halved before it is given up."""


class Routing(NamedTuple):
    """Which tokens each expert takes, and how its outputs are weighted."""

    indices: Int[Tensor, "experts capacity"]  # -1 for an empty slot
    weights: Float[Tensor, "experts capacity"]  # 0 for an empty slot
    plan: Float[Tensor, "tokens experts"]


def topk_simplex_projection(
    V: Float[Tensor, "..."], k: int, z: float = 1.0, dim: int = -1
) -> Float[Tensor, "..."]:
    """Find the nearest nonnegative vectors of sum z with at most k nonzeros, differentiably.

    Args:
        V: vectors along one axis.
        k: nonzeros at most, at least 1.
        z: the sum, above 0.
        dim: which axis.

    Returns:
        A tensor of the same shape, dtype and device.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as the function for arrays.

    Example:
        >>> topk_simplex_projection(torch.tensor([0.5, 0.75, 0.0]), 2)
        tensor([0.3750, 0.6250, 0.0000])
    """
    vectors, kept = _read_vectors(V, k, dim)
    total = check_number("z", z, low=0.0)
    if total == 0.0:
        raise RangeError("z is 0; wanted it above 0")
    top, places = vectors.topk(kept, dim=-1)
    found = _spread(top, top.new_full((*top.shape[:-1], 1), total))
    return torch.zeros_like(vectors).scatter(-1, places, found).movedim(-1, dim)


def topk_relu(V: Float[Tensor, "..."], k: int, dim: int = -1) -> Float[Tensor, "..."]:
    """Keep the k largest entries where they are positive, zeros elsewhere, differentiably.

    Args:
        V, k, dim: as in `topk_simplex_projection`.

    Returns:
        A tensor of the same shape, dtype and device.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as the function for arrays.

    Example:
        >>> topk_relu(torch.tensor([3.0, -1.0, 2.0, 1.0]), 2)
        tensor([3., 0., 2., 0.])
    """
    vectors, kept = _read_vectors(V, k, dim)
    top, places = vectors.topk(kept, dim=-1)
    return torch.zeros_like(vectors).scatter(-1, places, top.relu()).movedim(-1, dim)


@overload
def sparse_ot_torch(
    a: Tensor,
    b: Tensor,
    M: Tensor,
    reg: float,
    max_nz: int,
    *,
    formulation: Literal["semi_dual", "dual"] = ...,
    num_iter_max: int = ...,
    stop_thr: float = ...,
    log: Literal[False] = ...,
) -> Tensor: ...


@overload
def sparse_ot_torch(
    a: Tensor,
    b: Tensor,
    M: Tensor,
    reg: float,
    max_nz: int,
    *,
    formulation: Literal["semi_dual", "dual"] = ...,
    num_iter_max: int = ...,
    stop_thr: float = ...,
    log: Literal[True],
) -> tuple[Tensor, dict[str, Any]]: ...


def sparse_ot_torch(
    a: Float[Tensor, "... m"],
    b: Float[Tensor, "... n"],
    M: Float[Tensor, "... m n"],
    reg: float,
    max_nz: int,
    *,
    formulation: Literal["semi_dual", "dual"] = "semi_dual",
    num_iter_max: int = 200,
    stop_thr: float = 1e-7,
    log: bool = False,
) -> Tensor | tuple[Tensor, dict[str, Any]]:
    """Solve a batch of transport problems with at most `max_nz` nonzeros a column.

    Args:
        a: (m,) or (B, m) sums of the rows.
        b: (n,) or (B, n) sums of the columns, with the same totals.
        M: (m, n) or (B, m, n) costs, float32 or float64, on the device that is to work.
        reg, max_nz: as `tractable.algorithms.sparse_ot.sparse_ot` has them.
        formulation: "semi_dual" or "dual".
        num_iter_max: steps at most, at least 1.
        stop_thr: ends when a step gains less than this share of the costs' range in every
            problem, at least 0.
        log: return a pair of the plan and a dictionary.

    Returns:
        The plan, shaped like M; gradients flow to M and b with the potentials held fixed. The
        dictionary has "value" (of the objective), whose gradients with respect to M, a and b are
        the plan and the potentials, "alpha", "beta" (None for the semi-dual) and "n_iter".

    Raises:
        DataError: for NaN, infinities, negative or unequal masses.
        DTypeError: for other dtypes, or devices that differ.
        RangeError: for a parameter out of range.
        ShapeError: for tensors that are empty or do not fit together.

    Example:
        >>> half = torch.tensor([0.5, 0.5])
        >>> sparse_ot_torch(half, half, 3 * (1 - torch.eye(2)), 1.0, 1)
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    rows, columns, costs = _read_problem(a, b, M)
    gamma = check_number("reg", reg, low=0.0)
    if gamma == 0.0:
        raise RangeError("reg is 0; wanted it above 0")
    k = min(check_integer("max_nz", max_nz, low=1), costs.shape[-2])
    if formulation not in ("semi_dual", "dual"):
        raise RangeError(f"formulation is {formulation!r}; wanted 'semi_dual' or 'dual'")
    steps = check_integer("num_iter_max", num_iter_max, low=1)
    gain = check_number("stop_thr", stop_thr, low=0.0)
    evaluate = _project if formulation == "semi_dual" else _clip
    with torch.no_grad():
        mass = columns.sum(-1, keepdim=True)
        low = costs.amin((-2, -1))
        span = costs.amax((-2, -1)) - low
        unit = torch.where(span > 0, span, torch.ones_like(span))[:, None]
        scaled = (
            rows / mass,
            columns / mass,
            ((costs - low[:, None, None]) / unit[..., None]).mT.contiguous(),
        )
        smooth = gamma * mass / unit
        m, n = costs.shape[-2:]

        def objective(at: Tensor) -> tuple[Tensor, Tensor]:
            note("operations", costs.numel())
            return evaluate(at, *scaled, smooth, k)[:2]

        size = m if formulation == "semi_dual" else m + n
        at, used = _climb(objective, costs.new_zeros(len(costs), size), steps, gain)
        note("iterations", used)
        at = at * unit
        at[:, m:] += low[:, None]  # beta of the dual; the semi-dual has none
    value, _, plan = evaluate(at, rows, columns, costs.mT, gamma * torch.ones_like(mass), k)
    single = M.ndim == 2
    found = plan[0] if single else plan
    if not log:
        return found
    parts = {"value": value, "alpha": at[:, :m], "beta": at[:, m:]}
    chosen: dict[str, Any] = {name: x[0] if single else x for name, x in parts.items()}
    if formulation == "semi_dual":
        chosen["beta"] = None
    return found, {**chosen, "n_iter": used}


def route(
    scores: Float[Tensor, "tokens experts"], capacity: int, gamma: float = 1.0, n_iter: int = 50
) -> Routing:
    """Let each expert take at most `capacity` tokens, and each token about one expert.

    Args:
        scores: of each token for each expert, larger is better.
        capacity: tokens an expert takes at most, at least 1.
        gamma: strength of the quadratic term in units of scores, above 0: a token whose score,
            corrected by its potential, is further than that from an expert's best is not taken.
        n_iter: steps of the solver, at least 1.

    Returns:
        Indices of tokens, their softmax weights (these carry gradients), and the plan.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: as `sparse_ot_torch`.

    Example:
        >>> route(torch.tensor([[2.0, 1.0], [1.0, 0.0]]), 1).indices.tolist()
        [[0], [1]]
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        raise DTypeError(f"scores are {_describe(scores)}; wanted a floating-point tensor")
    if scores.ndim != 2 or not scores.numel():
        raise ShapeError(f"scores have shape {tuple(scores.shape)}; wanted (tokens, experts)")
    tokens, experts = scores.shape
    slots = min(check_integer("capacity", capacity, low=1), tokens)
    width = check_number("gamma", gamma, low=0.0)
    costs = -scores.detach().to(torch.promote_types(scores.dtype, torch.float32))
    plan = sparse_ot_torch(
        costs.new_full((tokens,), 1 / tokens),
        costs.new_full((experts,), 1 / experts),
        costs,
        width * experts,
        slots,
        num_iter_max=n_iter,
    )
    mass, places = plan.mT.topk(slots, dim=-1)
    gates = scores.softmax(-1).mT.gather(-1, places)
    taken = mass > 0
    return Routing(places.masked_fill(~taken, -1), gates * taken, plan)


class SparseOTRouter(nn.Module):
    """Route the tokens of a batch to experts by sparse transport.

    Args:
        dim: width of a token.
        n_experts: how many experts.
        capacity, gamma, n_iter: as in `route`; tokens of the whole batch share the capacity.

    Raises:
        DTypeError, RangeError: for a parameter that is no number or out of range.

    Example:
        >>> router = SparseOTRouter(8, n_experts=4, capacity=5)
        >>> indices, weights, plan = router(torch.randn(2, 10, 8))
        >>> indices.shape, plan.shape
        (torch.Size([4, 5]), torch.Size([20, 4]))
    """

    def __init__(
        self, dim: int, n_experts: int, capacity: int, gamma: float = 1.0, n_iter: int = 50
    ) -> None:
        """Make the gate, a linear map without bias."""
        super().__init__()
        width = check_integer("dim", dim, low=1)
        experts = check_integer("n_experts", n_experts, low=1)
        self.capacity = check_integer("capacity", capacity, low=1)
        self.gamma = check_number("gamma", gamma, low=0.0)
        self.n_iter = check_integer("n_iter", n_iter, low=1)
        if self.gamma == 0.0:
            raise RangeError("gamma is 0; wanted it above 0")
        self.gate = nn.Linear(width, experts, bias=False)

    def forward(self, tokens: Float[Tensor, "batch length dim"]) -> Routing:
        """Route; indices count tokens over the flattened batch.

        Raises:
            ShapeError: for tokens of another width or number of axes.
        """
        if tokens.ndim != 3 or tokens.shape[-1] != self.gate.in_features:
            raise ShapeError(
                f"tokens have shape {tuple(tokens.shape)}; wanted (batch, length, "
                f"{self.gate.in_features})"
            )
        return route(self.gate(tokens.flatten(0, 1)), self.capacity, self.gamma, self.n_iter)


def _project(  # noqa: PLR0917
    at: Tensor, a: Tensor, b: Tensor, costs: Tensor, gamma: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Value of the semi-dual, its gradient and the plan; costs have columns in rows."""
    top, places = (at[:, None] - costs).topk(k, dim=-1)
    smooth = gamma[..., None]
    mass = _spread(top, smooth * b[..., None]) / smooth
    plan = torch.zeros_like(costs).scatter(-1, places, mass)
    omega = (top * mass - 0.5 * smooth * mass.square()).sum((-2, -1))
    return (at * a).sum(-1) - omega, a - plan.sum(-2), plan.mT


def _clip(  # noqa: PLR0917
    at: Tensor, a: Tensor, b: Tensor, costs: Tensor, gamma: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same for the dual; `at` holds alpha and beta."""
    alpha, beta = at[:, : a.shape[-1]], at[:, a.shape[-1] :]
    top, places = (alpha[:, None] + beta[..., None] - costs).topk(k, dim=-1)
    smooth = gamma[..., None]
    mass = top.relu() / smooth
    plan = torch.zeros_like(costs).scatter(-1, places, mass)
    value = (alpha * a).sum(-1) + (beta * b).sum(-1) - 0.5 * (smooth * mass**2).sum((-2, -1))
    return value, torch.cat([a - plan.sum(-2), b - plan.sum(-1)], -1), plan.mT


def _spread(top: Tensor, width: Tensor) -> Tensor:
    """Project falling scores onto the simplex of sum `width`."""
    gaps = top - top[..., :1]
    counts = torch.arange(1, top.shape[-1] + 1, device=top.device, dtype=top.dtype)
    levels = (gaps.cumsum(-1) - width) / counts
    support = (gaps > levels).sum(-1, keepdim=True).clamp(min=1)
    return (gaps - levels.gather(-1, support - 1)).relu()


def _climb(
    objective: Callable[[Tensor], tuple[Tensor, Tensor]], at: Tensor, steps: int, gain: float
) -> tuple[Tensor, int]:
    """Maximise each problem of the batch by L-BFGS with steps halved until they gain enough."""
    value, slope = objective(at)
    moves: list[tuple[Tensor, Tensor, Tensor]] = []
    used = 0
    while used < steps:
        used += 1
        direction = _apply_memory(slope, moves)
        rise = (direction * slope).sum(-1, keepdim=True)
        direction = torch.where(rise > 0, direction, slope)
        rise = (direction * slope).sum(-1, keepdim=True)
        step = torch.ones_like(rise)
        if not moves:  # a first step of unit length, in the costs' range
            step = 1 / direction.norm(dim=-1, keepdim=True).clamp(min=1e-30)
        for _ in range(HALVINGS):
            tried = at + step * direction
            new, new_slope = objective(tried)
            good = new[:, None] >= value[:, None] + 1e-4 * step * rise
            if bool(good.all()):
                break
            step = torch.where(good, step, step / 2)
        tried = torch.where(good, tried, at)
        new, new_slope = torch.where(good[:, 0], new, value), torch.where(good, new_slope, slope)
        move, bend = tried - at, slope - new_slope
        moves = [*moves[1 - MEMORY :], (move, bend, (move * bend).sum(-1, keepdim=True))]
        stuck = bool((new - value <= gain).all())
        at, value, slope = tried, new, new_slope
        if stuck:
            if len(moves) == 1:
                break
            moves = []  # a kink spoils the memory: once more along the gradient
    return at, used


def _apply_memory(slope: Tensor, moves: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """L-BFGS's two loops; moves without positive curvature are left out, problem by problem."""
    out, factors = slope, []
    for move, bend, product in reversed(moves):
        inverse = torch.where(product > 0, 1 / product.clamp(min=1e-30), torch.zeros_like(product))
        factor = inverse * (move * out).sum(-1, keepdim=True)
        out = out - factor * bend
        factors.append((factor, inverse))
    if moves:
        _, bend, product = moves[-1]
        length = bend.square().sum(-1, keepdim=True)
        out = out * torch.where(product > 0, product / length.clamp(min=1e-30), 1.0)
    for (move, bend, _), (factor, inverse) in zip(moves, reversed(factors), strict=True):
        out = out + move * (factor - inverse * (bend * out).sum(-1, keepdim=True))
    return out


def _read_problem(a: Tensor, b: Tensor, M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Check, and give each tensor an axis of the batch."""
    for name, part in (("M", M), ("a", a), ("b", b)):
        if not isinstance(part, Tensor) or part.dtype not in (torch.float32, torch.float64):
            raise DTypeError(f"{name} is {_describe(part)}; wanted a float32 or float64 tensor")
        if part.dtype != M.dtype or part.device != M.device:
            raise DTypeError(f"{name} is {_describe(part)}; wanted M's {_describe(M)}")
    if M.ndim not in (2, 3) or not M.numel():
        raise ShapeError(f"M has shape {tuple(M.shape)}; wanted (m, n) or (B, m, n), not empty")
    costs = M if M.ndim == 3 else M[None]
    batch, m, n = costs.shape
    for name, part, size in (("a", a, m), ("b", b, n)):
        if part.shape not in ((size,), (batch, size)) or (part.ndim == 2 and M.ndim == 2):
            raise ShapeError(f"{name} has shape {tuple(part.shape)}; M has {tuple(M.shape)}")
    rows, columns = a.expand(batch, m), b.expand(batch, n)
    with torch.no_grad():
        span = costs.amax() - costs.amin()
        if not all(bool(torch.isfinite(x).all()) for x in (costs, rows, columns, span)):
            raise DataError("M, a or b has NaN or infinite entries, or M's range overflows")
        if float(torch.minimum(rows.min(), columns.min())) < 0.0:
            raise DataError("a or b has a negative entry; wanted masses")
        sums = rows.sum(-1), columns.sum(-1)
        slack = math.sqrt(max(m, n)) * 8 * torch.finfo(M.dtype).eps
        if bool((sums[1] <= 0).any()) or bool(((sums[0] - sums[1]).abs() > slack * sums[1]).any()):
            raise DataError(
                f"a sums to {sums[0].tolist()} and b to {sums[1].tolist()}; wanted equal sums "
                "above 0"
            )
        factor = (sums[1] / sums[0])[:, None]
    return rows * factor, columns, costs


def _read_vectors(V: Tensor, k: int, dim: int) -> tuple[Tensor, int]:
    if not isinstance(V, Tensor) or not V.is_floating_point():
        raise DTypeError(f"V is {_describe(V)}; wanted a floating-point tensor")
    if not V.numel():
        raise ShapeError(f"V has shape {tuple(V.shape)}; wanted at least one element")
    if not -V.ndim <= dim < V.ndim:
        raise RangeError(f"dim is {dim}; V has {V.ndim} axes")
    if not bool(torch.isfinite(V).all()):
        raise DataError("V has NaN or infinite entries; clean or mask them first")
    return V.movedim(dim, -1), min(check_integer("k", k, low=1), V.shape[dim])


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} on {value.device}"
    return type(value).__name__
