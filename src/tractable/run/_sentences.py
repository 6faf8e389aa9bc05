"""Verdicts in sentences that a stranger understands; always with scale, numbers and interval."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tractable.claims import Association, Claim, Criterion, Growth
from tractable.stats import Interval

if TYPE_CHECKING:
    from tractable.run._judging import ExperimentJudgement

__all__ = ["finding_text", "verdict_sentence"]

OPENINGS = {
    "agrees": "Agrees at this scale",
    "disagrees": "Disagrees at this scale",
    "undecided": "Undecided at this scale",
    "not run": "Not run",
}


def verdict_sentence(
    claim: Claim, word: str, experiments: Mapping[str, "ExperimentJudgement"]
) -> str:
    """Say a paper's verdict: the promise, and the findings that decided about it."""
    opening = f"{OPENINGS[word]} ({claim.paper.tier}): {_promise(claim)}"
    if word == "not run":
        reasons = sorted({each.why for each in experiments.values() if each.why})
        return f"{OPENINGS[word]} ({'; '.join(reasons) or 'no experiment'}): {_promise(claim)}."
    wanted = "agrees" if word == "agrees" else word
    parts = []
    for name, experiment in experiments.items():
        if experiment.word == "not run" and word != "agrees":
            if word == "undecided":
                parts.append(f"{name}: not run ({experiment.why})")
            continue
        findings = [f for f in experiment.criteria if f.word == wanted]
        earning = [finding for finding in findings if not finding.guard] or findings
        if earning:
            parts.append(f"{name}: {earning[0].text}")
    suspects = [name for name, each in experiments.items() if _suspect(each)]
    if suspects:
        parts.append(f"but a control agrees as well in {', '.join(suspects)}, so trust it not")
    return f"{opening}. " + "; ".join(parts) + "."


def finding_text(
    rule: Criterion,
    word: str,
    interval: Interval | None,
    reason: str,
) -> str:
    """Say one finding: what was measured, its interval, and what the claim needs."""
    what = f"{rule.metric} of {_arm(rule.of)}" + (f" over {_arm(rule.over)}" if rule.over else "")
    if isinstance(rule, Growth):
        measured = f"the exponent of {what}"
    elif isinstance(rule, Association):
        measured = f"the rank correlation of {what} with {rule.against or 'the axis'}"
    else:
        measured = what
    side = "at most" if rule.at_least is None else "at least"
    needs = f"needed {side} {_short(rule.bound)}"
    if interval is None or math.isnan(interval.point):
        return f"{measured} has no number ({reason or 'not measured'}), {needs}"
    around = ""
    if interval.low != interval.high:
        around = f" [{_short(interval.low)}, {_short(interval.high)}]"
    where = "" if rule.within is None else f" on {' to '.join(_size(s) for s in rule.within)}"
    because = f", {reason}" if reason and word in ("undecided", "not run") else ""
    return f"{measured} is {_short(interval.point)}{around}{where}, {needs}{because}"


def _suspect(experiment: "ExperimentJudgement") -> bool:
    return "agrees" in (experiment.placebo, experiment.knockout)


def _promise(claim: Claim) -> str:
    return claim.says.rstrip(".")


def _arm(name: str) -> str:
    return name.replace("_", " ")


def _size(size: object) -> str:
    return f"{size:,}" if isinstance(size, int) else str(size)


def _short(value: float) -> str:
    if math.isinf(value):
        return "unbounded"
    size = abs(value)
    return f"{value:.3g}" if size < 1000 else f"{value:,.0f}" if size < 1e7 else f"{value:.2e}"
