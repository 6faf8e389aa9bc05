"""The words of a claim: what an author writes, plain data on the standard library.

A `Claim` says what a paper promises; each `Experiment` has a sweep of sizes, arms that run on
the same inputs (the method, the baseline, peers, a knock-out) and criteria that the machine
judges. A criterion is one number of the arm `of`, divided by the arm `over` if given, bounded
by `at_most` or `at_least`. Judging, placebo (the baseline put for `of`) and knock-out (the
knock-out arm put for `of`) are that one rule with another arm.

Every command loads this file, so its classes are plain: data classes take longer to make.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from tractable._core.counting import UNITS
from tractable._core.errors import RangeError

__all__ = [
    "Arm",
    "Association",
    "Claim",
    "Criterion",
    "Experiment",
    "Growth",
    "Level",
    "Paper",
    "Sweep",
]

Tier = Literal["same quantity", "scaled down", "consequence"]
Role = Literal["method", "baseline", "peer", "knockout"]
Form = Literal["smoke", "short", "full"]
Size = int | float | str
Function = TypeVar("Function", bound=Callable[..., Any])

CLOCKED = ("seconds", "peak bytes")
"""Metrics that only a clock or a memory meter can give."""


class Paper(NamedTuple):
    """The paper behind a claim.

    Args:
        title: as printed.
        authors: "A. Author, B. Author".
        year: of the version that the claim follows.
        link: where to read it.
        tier: `same quantity` (the paper's own quantity at its own scale, or free of size),
            `scaled down`, or `consequence` (a theorem's or a huge run's executable consequence).
    """

    title: str
    authors: str
    year: int
    link: str
    tier: Tier


class Sweep:
    """The sizes of an experiment: a geometric range of whole numbers, or named instances.

    Args:
        axis: what is swept; inputs receive it under this name, spaces as underscores.
        low, high: both ends, included.
        points: how many sizes the full form has; the short form takes every second one.
        scale: "log", or "linear" for laws that are exponential in the size.
        instances: names or numbers instead of a range; every form but smoke takes all.

    Raises:
        RangeError: for a range that is none.
    """

    def __init__(
        self,
        axis: str,
        low: int = 0,
        high: int = 0,
        points: int = 13,
        scale: Literal["log", "linear"] = "log",
        *,
        instances: tuple[Size, ...] = (),
    ) -> None:
        """Check and store."""
        if not instances and not (0 < low < high and points >= 2):
            raise RangeError(
                f"sweep {axis!r} has low {low}, high {high}, points {points}; wanted "
                "0 < low < high and two points, or instances"
            )
        self.axis, self.low, self.high, self.points = axis, low, high, points
        self.scale: Literal["log", "linear"] = scale
        self.instances = instances

    def __repr__(self) -> str:
        """Show every field; the hash of a claim's criteria reads it."""
        inside = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Sweep({inside})"

    def sizes(self, form: Form = "full") -> tuple[Size, ...]:
        """Return the sizes of a form, in order."""
        if self.instances:
            return self.instances[:1] if form == "smoke" else self.instances
        steps = range(self.points)
        if self.scale == "log":
            ratio = self.high / self.low
            every = [round(self.low * ratio ** (i / (self.points - 1))) for i in steps]
        else:
            gap = self.high - self.low
            every = [round(self.low + gap * i / (self.points - 1)) for i in steps]
        distinct = tuple(dict.fromkeys(every))
        return {"full": distinct, "short": distinct[::2], "smoke": distinct[:1]}[form]


class Criterion:
    """One number of arm `of`, divided by arm `over` if given, against one bound.

    Args:
        metric: `seconds`, `peak bytes`, a unit of `tractable._core.UNITS`, or the name of an
            `@experiment.metric` function with spaces for underscores.
        of: the arm that is judged.
        over: the arm that it is compared with, on the same inputs.
        at_most, at_least: exactly one of the two.
        within: (low, high) sizes that count; all by default. For instances, their names.

    Raises:
        RangeError: without exactly one finite bound.
    """

    kind: ClassVar[str] = "criterion"

    def __init__(
        self,
        metric: str,
        *,
        of: str,
        over: str | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
        within: tuple[Size, ...] | None = None,
    ) -> None:
        """Check and store."""
        bounds = [bound for bound in (at_most, at_least) if bound is not None]
        if len(bounds) != 1 or not math.isfinite(bounds[0]):
            raise RangeError(
                f"{self.kind} of {metric!r} has at_most={at_most}, at_least={at_least}; wanted "
                "exactly one finite bound"
            )
        self.metric, self.of, self.over = metric, of, over
        self.at_most, self.at_least = at_most, at_least
        self.bound = float(bounds[0])
        self.within = within

    def judged_on(self, arm: str) -> "Criterion":
        """Return the same rule with another arm in the place of `of`."""
        made = type(self).__new__(type(self))
        vars(made).update(vars(self), of=arm)
        return made

    def covers(self, size: Size, instances: bool) -> bool:
        """Whether a size counts for this criterion."""
        if self.within is None:
            return True
        if instances:
            return size in self.within
        low, high = self.within
        return float(low) <= float(size) <= float(high)

    def __str__(self) -> str:
        """Say the rule in words."""
        what = f"{self.metric} of {self.of}" + (f" over {self.over}" if self.over else "")
        side = "at most" if self.at_least is None else "at least"
        where = ""
        if self.within is not None:
            where = f" on {', '.join(map(str, self.within))}"
        return f"{self.kind} of {what} {side} {self.bound:g}{where}"


class Growth(Criterion):
    """An exponent: the slope of log(of / over) against log(size), or size on a linear axis."""

    kind: ClassVar[str] = "growth"


class Level(Criterion):
    """A value, or a ratio to another arm, at every size that counts."""

    kind: ClassVar[str] = "level"


class Association(Criterion):
    """A rank correlation over the sizes or instances, with `against` or with the axis itself.

    Args:
        metric, of, over, at_most, at_least, within: as in `Criterion`.
        against: another metric of the same arm; None takes the axis, whose instances are
            numbers then.
    """

    kind: ClassVar[str] = "association"

    def __init__(
        self,
        metric: str,
        *,
        of: str,
        over: str | None = None,
        against: str | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
        within: tuple[Size, ...] | None = None,
    ) -> None:
        """Check and store."""
        super().__init__(
            metric, of=of, over=over, at_most=at_most, at_least=at_least, within=within
        )
        self.against = against


class Arm(NamedTuple):
    """One contender of an experiment."""

    name: str
    role: Role
    function: Callable[..., Any]
    package: str | None = None


class Experiment:
    """A sweep, the arms that run on it, and the criteria that judge them.

    The decorators below fill it.

    Args:
        claim: the claim that it belongs to.
        name: one or two words.
        sweep: sizes or instances.
        criteria: what earns the verdict; at least one.
        guards: what must hold besides.
        needs: packages without which the experiment is not run.
        devices: where it can run: "cpu", "cuda".
        rounds: rounds (or seeds) of the full form.
        short_rounds: rounds (or seeds) of the short form.
        limit: seconds that one block of one size may take before it counts as hung.
    """

    def __init__(
        self,
        claim: "Claim",
        name: str,
        *,
        sweep: Sweep,
        criteria: tuple[Criterion, ...],
        guards: tuple[Criterion, ...] = (),
        needs: tuple[str, ...] = (),
        devices: tuple[str, ...] = ("cpu",),
        rounds: int = 5,
        short_rounds: int = 3,
        limit: float = 60.0,
    ) -> None:
        """Join the claim, without arms yet."""
        claim.experiments[name] = self
        self.name = name
        self.sweep = sweep
        self.criteria = criteria
        self.guards = guards
        self.needs = needs
        self.devices = devices
        self.rounds = rounds
        self.short_rounds = short_rounds
        self.limit = limit
        self.arms: dict[str, Arm] = {}
        self.metrics: dict[str, Callable[..., float]] = {}
        self.make_inputs: Callable[..., tuple[Any, ...]] | None = None

    def inputs(self, function: Function) -> Function:
        """Make the inputs of one size, outside the clock: `inputs(<axis>, rng, device)`.

        The function returns a tuple, which every arm receives as its arguments.
        """
        self.make_inputs = function
        return function

    def metric(self, function: Function) -> Function:
        """Score one output: `metric(output, expected, *inputs)`; `expected` is the baseline's."""
        self.metrics[function.__name__.replace("_", " ")] = function
        return function

    def method(self, function: Function) -> Function:
        """Add the paper's method, as the library's public function runs it."""
        return self._add("method", function)

    def baseline(self, function: Function) -> Function:
        """Add the strongest honest rival."""
        return self._add("baseline", function)

    def knockout(self, function: Function) -> Function:
        """Add the method with the paper's key idea removed; it must lose the verdict."""
        return self._add("knockout", function)

    def peer(self, package: str | None = None) -> Callable[[Function], Function]:
        """Add a further rival or a bound; one that needs a package is skipped without it."""

        def add(function: Function) -> Function:
            return self._add("peer", function, package)

        return add

    def _add(self, role: Role, function: Function, package: str | None = None) -> Function:
        self.arms[function.__name__] = Arm(function.__name__, role, function, package)
        return function

    def arm(self, role: Role) -> Arm | None:
        """Return the first arm of a role."""
        return next((arm for arm in self.arms.values() if arm.role == role), None)

    @property
    def rules(self) -> tuple[Criterion, ...]:
        """Criteria and guards."""
        return (*self.criteria, *self.guards)

    @property
    def clocked(self) -> bool:
        """Whether a criterion or guard needs a clock or a memory meter."""
        return any(rule.metric in CLOCKED for rule in self.rules)

    def lacks(self) -> list[str]:
        """Return the needed packages that are not installed."""
        import importlib.util

        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def judges(self, metric: str) -> bool:
        """Whether a criterion or guard is about this metric."""
        return any(rule.metric == metric for rule in self.rules)

    def knows(self, metric: str) -> bool:
        """Whether a metric name means something here."""
        return metric in CLOCKED or metric in UNITS or metric in self.metrics


class Claim:
    """What a paper promises, where it is checked, and how.

    Args:
        paper: the paper.
        says: the promise, one sentence that a stranger understands.
        scope: where it is checked here, and how that differs from the paper's own setting.
        solves: problems in the words of somebody who does not know the paper; `find` reads them.
        agreement: the independent thing that a test compares the output with, and how closely.
        stakes: for high-stakes subjects, what the code is not for ("clinical use").
    """

    def __init__(
        self,
        paper: Paper,
        *,
        says: str,
        scope: str,
        solves: tuple[str, ...],
        agreement: str,
        stakes: str | None = None,
    ) -> None:
        """Start without experiments."""
        self.paper = paper
        self.says = says
        self.scope = scope
        self.solves = solves
        self.agreement = agreement
        self.stakes = stakes
        self.experiments: dict[str, Experiment] = {}

    def __iter__(self) -> Iterator[Experiment]:
        """Iterate over the experiments in the order they were added."""
        return iter(self.experiments.values())
