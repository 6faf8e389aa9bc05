"""From rows to a verdict: one rule, judged with the method, the placebo and the knock-out.

The placebo puts the baseline in the method's place: its second copy where a clock decides, its
rounds shifted by one where seeds do. A claim whose placebo or knock-out agrees measures the
wrong thing, and its verdict says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tractable import stats
from tractable._core.counting import UNITS
from tractable.claims import CLOCKED, Arm, Association, Criterion, Experiment, Form, Growth
from tractable.run._block import AGAIN, CONTENDER
from tractable.run._jobs import Subject
from tractable.run._keys import criteria_hash
from tractable.run._sentences import finding_text, verdict_sentence
from tractable.run._table import Table
from tractable.stats import Word, combine
from tractable.store import Measurement, Verdict

__all__ = ["ExperimentJudgement", "Finding", "Judgement", "judge"]

Array = NDArray[np.float64]
ORDER = {"method": 0, "baseline": 1, "peer": 2, "knockout": 3}
Kind = Literal["clocked", "seeded", "counted"]


@dataclass(frozen=True)
class Finding:
    """One criterion or guard, judged.

    Args:
        rule: the criterion in words.
        word: agrees, disagrees, undecided or not run.
        point, low, high: the number that decided, and its interval; None where there is none.
        reason: why it is undecided or not run; may be empty.
        guard: whether it is a guard, which must hold but earns nothing.
        text: the finding in a sentence.
    """

    rule: str
    word: Word
    point: float | None
    low: float | None
    high: float | None
    reason: str
    guard: bool
    text: str


@dataclass(frozen=True)
class ExperimentJudgement:
    """One experiment, judged with the method, the placebo and the knock-out in its place."""

    name: str
    word: Word
    criteria: tuple[Finding, ...]
    placebo: Word | None
    knockout: Word | None
    crossover: str | None
    crossover_point: float | None
    curves: dict[str, Any]
    why: str
    contender: tuple[Finding, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether more rounds would not change a word."""
        return self.word in ("agrees", "disagrees") and self.knockout not in ("undecided",)


@dataclass(frozen=True)
class Judgement:
    """What this machine says about a paper."""

    subject: Subject
    word: Word
    sentence: str
    experiments: dict[str, ExperimentJudgement]

    def verdict(self, machine: str, form: Form, device: str, at: str) -> Verdict:
        """Return the row that the store keeps."""
        return Verdict(
            machine=machine,
            slug=self.subject.slug,
            form=form,
            device=device,
            at=at,
            word=self.word,
            sentence=self.sentence,
            tier=self.subject.claim.paper.tier,
            criteria_hash=criteria_hash(self.subject.claim),
            key=self.subject.key,
            detail={"experiments": [self._detail(found) for found in self.experiments.values()]},
        )

    @staticmethod
    def _detail(found: ExperimentJudgement) -> dict[str, Any]:
        made = asdict(found)
        return made


def judge(
    subject: Subject,
    rows: Sequence[Measurement],
    form: Form,
    absent: Mapping[str, str] | None = None,
) -> Judgement:
    """Judge a claim by its rows.

    Args:
        subject: the paper.
        rows: measurements of one machine, device, seed and resume key.
        form: the form whose sizes count.
        absent: why experiments could not run here, by name.

    Returns:
        The judgement: it agrees if all experiments do, disagrees if one criterion is refuted.
    """
    absent = absent or {}
    found: dict[str, ExperimentJudgement] = {}
    for experiment in subject.claim:
        mine = [row for row in rows if row.experiment == experiment.name]
        table = Table(experiment, mine, experiment.sweep.sizes(form))
        found[experiment.name] = _judge_experiment(
            experiment, table, absent.get(experiment.name, "")
        )
    word = combine([each.word for each in found.values()])
    return Judgement(subject, word, verdict_sentence(subject.claim, word, found), found)


def _judge_experiment(experiment: Experiment, table: Table, why: str) -> ExperimentJudgement:
    findings = tuple(
        _judge_rule(table, rule, guard=rule in experiment.guards) for rule in experiment.rules
    )
    method, knockout = experiment.arm("method"), experiment.arm("knockout")
    lost = None
    if knockout is not None and method is not None:
        lost = combine(
            _judge_rule(table, _put(rule, method, knockout.name)).word for rule in experiment.rules
        )
    word = combine(finding.word for finding in findings)
    if word == "not run" and not why:
        why = next((finding.reason for finding in findings if finding.reason), "no rounds yet")
    crossing = _crossover(experiment, table)
    return ExperimentJudgement(
        experiment.name,
        word,
        findings,
        _placebo(experiment, table),
        lost,
        str(crossing) if crossing else None,
        _finite(crossing.point) if crossing else None,
        _curves(experiment, table),
        why if word == "not run" else "",
        tuple(
            _judge_rule(table, _put(rule, method, CONTENDER), guard=rule in experiment.guards)
            for rule in experiment.rules
            if method is not None and CONTENDER in table.arms and rule.of == method.name
        ),
    )


def _put(rule: Criterion, method: Arm, arm: str) -> Criterion:
    """Put another arm in the method's place; rules about other arms stay as they are."""
    return rule.judged_on(arm) if rule.of == method.name else rule


def _placebo(experiment: Experiment, table: Table) -> Word | None:
    """Judge the criteria, without guards, with the baseline in the method's place."""
    method, baseline = experiment.arm("method"), experiment.arm("baseline")
    if method is None or baseline is None:
        return None
    words = []
    for rule in experiment.criteria:
        copy = _put(rule, method, baseline.name)
        if copy is not rule and rule.metric in CLOCKED and rule.over == baseline.name:
            copy = rule.judged_on(baseline.name + AGAIN)
        words.append(_judge_rule(table, copy, shift=copy is not rule).word)
    return combine(words)


def _judge_rule(
    whole: Table, rule: Criterion, *, guard: bool = False, shift: bool = False
) -> Finding:
    """Estimate the rule's number and hold it against its bound."""
    table = whole.covered_by(rule)
    of = table.values(rule.of, rule.metric)
    over = None if rule.over is None else table.values(rule.over, rule.metric)
    if shift and rule.of == rule.over and rule.metric not in CLOCKED:
        of = np.roll(of, 1, axis=0)
    if np.isfinite(of).any():
        ruling = _rule(table, rule, of, over)
        reason = ruling.reason
    else:
        ruling = stats.Ruling("not run", None)
        failed = table.failures(rule.of) or (table.failures(rule.over) if rule.over else [])
        reason = f"{failed[0].status}: {failed[0].detail}" if failed else "no rounds yet"
    sweep = table.experiment.sweep
    text = finding_text(rule, sweep.axis, sweep.scale, ruling, reason)
    interval = ruling.interval or stats.Interval(np.nan, np.nan, np.nan)
    return Finding(
        str(rule),
        ruling.word,
        _finite(interval.point),
        _finite(interval.low),
        _finite(interval.high),
        reason,
        guard,
        text,
    )


def _rule(table: Table, rule: Criterion, of: Array, over: Array | None) -> stats.Ruling:
    experiment = table.experiment
    kind = _kind(rule.metric, experiment)
    ratio = None
    if kind == "clocked" and rule.over is not None:
        ratio = table.log_ratios(rule.of, rule.over, rule.metric)
    noise = stats.noise_floor(ratio) if ratio is not None else 0.0
    if isinstance(rule, Association):
        estimate = _associate(table, rule, of if over is None else of / over)
    elif isinstance(rule, Growth):
        scale = experiment.sweep.scale
        estimate = stats.growth(table.numbers(), of, over, log_ratio=ratio, kind=kind, axis=scale)
    else:
        bare = kind == "clocked" and rule.bound == 1.0
        estimate = stats.level(of, over, log_ratio=ratio, kind=kind, bare_direction=bare)
    return stats.judge(
        estimate,
        at_most=rule.at_most,
        at_least=rule.at_least,
        noise=noise if np.isfinite(noise) else 0.0,
    )


def _associate(table: Table, rule: Association, y: Array) -> stats.Estimate:
    if rule.against is not None:
        return stats.association(table.values(rule.of, rule.against), y)
    return stats.association(table.numbers(), y)


def _kind(metric: str, experiment: Experiment) -> Kind:
    if metric in CLOCKED:
        return "clocked"
    return "seeded" if metric in experiment.metrics else "counted"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _headline(experiment: Experiment) -> Criterion:
    """Return the rule whose curves are shown: the first that compares two arms."""
    rules = [*experiment.criteria, *experiment.guards]
    return next((rule for rule in rules if rule.over is not None), rules[0])


def _crossover(experiment: Experiment, table: Table) -> stats.Crossover | None:
    """Return where the method's cost passes the baseline's, where the sweep is one of sizes."""
    method, baseline = experiment.arm("method"), experiment.arm("baseline")
    metric = _headline(experiment).metric
    if method is None or baseline is None or experiment.sweep.instances or not table.rounds:
        return None
    if metric not in CLOCKED and metric in experiment.metrics:
        return None
    ratios = table.log_ratios(method.name, baseline.name, metric)
    return stats.crossover(table.numbers(), ratios) if np.isfinite(ratios).any() else None


def _curves(experiment: Experiment, table: Table) -> dict[str, Any]:
    """Return the headline metric of every arm: what the page, `show` and `plot` draw."""
    rule = _headline(experiment)
    roles = {arm.name: str(arm.role) for arm in experiment.arms.values()}
    if CONTENDER in table.arms:
        roles[CONTENDER] = "peer"

    arms = []
    for name, role in sorted(roles.items(), key=lambda each: ORDER[each[1]]):
        points = [list(point) for point in table.curve(name, rule.metric)]
        # A count that is zero throughout was never noted.
        if points and (rule.metric not in UNITS or any(point[1] for point in points)):
            arms.append({"name": name, "role": role, "points": points})
    return {
        "axis": experiment.sweep.axis,
        "scale": experiment.sweep.scale,
        "metric": rule.metric,
        "arms": arms,
    }
