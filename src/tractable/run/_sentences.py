"""Verdicts in sentences that a stranger understands; always with scale, numbers and interval."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tractable.claims import Association, Claim, Criterion, Growth
from tractable.stats import Ruling

if TYPE_CHECKING:
    from tractable.run._judging import ExperimentJudgement

__all__ = ["finding_text", "verdict_sentence"]

OPENINGS = {
    "agrees": "Agrees at this scale",
    "disagrees": "Disagrees at this scale",
    "undecided": "Undecided at this scale",
    "not run": "Not run",
}

SHOWN = 3
"""Findings that a verdict's sentence names; the rest are counted."""


def verdict_sentence(
    claim: Claim, word: str, experiments: Mapping[str, "ExperimentJudgement"]
) -> str:
    """Say a paper's verdict: the promise, and the findings that decided about it."""
    promise = claim.says.rstrip(".")
    if word == "not run":
        reasons = sorted({each.why for each in experiments.values() if each.why})
        return f"{OPENINGS[word]} ({'; '.join(reasons) or 'no experiment'}): {promise}."
    parts = []
    for name, experiment in experiments.items():
        if experiment.word == "not run":
            parts += [f"{name} was not run ({experiment.why})"] if word == "undecided" else []
            continue
        findings = [finding for finding in experiment.criteria if finding.word == word]
        earning = [finding for finding in findings if not finding.guard] or findings
        parts += [f"{name}: {finding.text}" for finding in earning[:1]]
    more = len(parts) - SHOWN
    if more > 0:
        parts = [*parts[:SHOWN], f"and {more} more experiment{'s' if more > 1 else ''} alike"]
    suspects = [
        name for name, each in experiments.items() if "agrees" in (each.placebo, each.knockout)
    ]
    if suspects:
        parts.append(f"but a control agrees as well in {', '.join(suspects)}, so trust it not")
    return f"{OPENINGS[word]} ({claim.paper.tier}): {promise}. " + "; ".join(parts) + "."


def finding_text(rule: Criterion, axis: str, scale: str, ruling: Ruling, shown_reason: str) -> str:
    """Say one finding: what was measured, its interval, and what the claim needs.

    Args:
        rule: the criterion.
        axis: what is swept.
        scale: "log" or "linear".
        ruling: what came out.
        shown_reason: why it is undecided or not run; may be empty.
    """
    arm, side = _plain(rule.of), "at most" if rule.at_least is None else "at least"
    interval = ruling.interval
    where = ""
    if rule.within is not None:
        is_range = len(rule.within) == 2 and not any(isinstance(s, str) for s in rule.within)
        where = f" on {(' to ' if is_range else ', ').join(_size(s) for s in rule.within)}"
    if interval is None or math.isnan(interval.point):
        return f"{rule} has no number ({shown_reason or 'not measured'})"
    point, bound = _short(interval.point), _short(rule.bound)
    around = ""
    if interval.low != interval.high:
        around = f" [{_short(interval.low)}, {_short(interval.high)}]"
    what = f"{rule.metric} of {arm}"
    if isinstance(rule, Growth):
        what += f" over {_plain(rule.over)}" if rule.over else ""
        base = f"{axis}^" if scale == "log" else f"exp of {axis} times "
        text = f"{what} goes like {base}{point}{around}{where}, needed {side} ^{bound}"
        text = text if scale == "log" else text.replace("^", "")
    elif isinstance(rule, Association):
        text = (
            f"{what} ranks with {rule.against or axis} at correlation {point}{around}, "
            f"needed {side} {bound}"
        )
    elif rule.over:
        text = f"{what} is {point} times that of {_plain(rule.over)}{around}{where}, "
        text += f"needed {side} {bound}"
    else:
        text = f"{what} is {point}{around}{where}, needed {side} {bound}"
    return text + (f", {shown_reason}" if shown_reason and ruling.word == "undecided" else "")


def _plain(name: str | None) -> str:
    return (name or "").replace("_", " ")


def _size(size: object) -> str:
    return f"{size:,}" if isinstance(size, int) else str(size)


def _short(value: float) -> str:
    if math.isinf(value):
        return "unbounded"
    size = abs(value)
    return f"{value:.3g}" if size < 1000 else f"{value:,.0f}" if size < 1e7 else f"{value:.2e}"
