"""A paper in the terminal: promise, curves, controls and the verdict in a sentence."""

from typing import Any

from tractable.claims import Claim
from tractable.claims.catalogue import Entry
from tractable.cli._chart import draw_chart
from tractable.store import Verdict

__all__ = ["COLOURS", "paper_lines"]

COLOURS = {"agrees": "green", "disagrees": "red", "undecided": "yellow", "not run": "bright_black"}
SIGNS = {"agrees": "✓", "disagrees": "✗", "undecided": "?", "not run": "–"}
WIDTH = 92


def paper_lines(
    entry: Entry,
    claim: Claim,
    verdict: Verdict | None,
    theirs: Verdict | None,
    *,
    brief: bool = False,
) -> list[str]:
    """Return what is known about a paper, as lines of text; `brief` cuts the scope."""
    paper = claim.paper
    lines = [f"{entry.slug}  ·  {entry.title}", f"  {paper.authors}, {paper.year}  ·  {paper.link}"]
    lines += wrap(f"claims: {claim.says}")
    scope = claim.scope
    if brief and ". " in scope:
        scope = scope.split(". ")[0] + f". (`tractable show {entry.slug}` has the rest)"
    lines += wrap(f"checked: {scope}")
    if claim.stakes:
        lines += wrap(f"research code, not for {claim.stakes}")
    lines.append("")
    if verdict is None:
        lines.append(f"  not measured here yet: tractable verify {entry.slug}")
    else:
        for found in verdict.detail["experiments"]:
            lines += experiment_lines(found)
        lines += wrap(f"{SIGNS[verdict.word]} {verdict.sentence}", indent="  ")
    if theirs is not None:
        lines += wrap(f"published run ({theirs.form}, {theirs.at[:10]}): {theirs.word}")
    return lines


def experiment_lines(found: dict[str, Any]) -> list[str]:
    """Return one experiment: its curve, its findings, its controls."""
    lines = [f"  {found['name']}"]
    if found["word"] == "not run":
        return [*lines, f"    not run: {found['why']}", ""]
    lines += ["  " + line for line in _curve_lines(found["curves"])]
    for finding in found["criteria"]:
        role = "guard: " if finding["guard"] else ""
        lines += wrap(f"{SIGNS[finding['word']]} {role}{finding['text']}", indent="    ")
    if found["crossover"]:
        lines.append(f"    crossover with the baseline: {found['crossover']}")
    controls = [
        f"{name}: {found[key]}{'' if found[key] != 'agrees' else ' (it must not)'}"
        for name, key in (("placebo", "placebo"), ("knock-out", "knockout"))
        if found[key] is not None
    ]
    if controls:
        lines.append(f"    controls  {'   '.join(controls)}")
    for finding in found.get("contender", ()):
        lines += wrap(f"{SIGNS[finding['word']]} contender: {finding['text']}", indent="    ")
    return [*lines, ""]


def _curve_lines(curves: dict[str, Any]) -> list[str]:
    series = {label(arm): arm["points"] for arm in curves["arms"]}
    names = [point[0] for line in series.values() for point in line]
    if any(isinstance(name, str) for name in names):
        return _table_lines(series, list(dict.fromkeys(names)), curves)
    return draw_chart(
        {name: [(point[0], point[1]) for point in line] for name, line in series.items()},
        x_label=curves["axis"],
        y_label=curves["metric"],
        log=curves["scale"] == "log",
    )


def label(arm: dict[str, Any]) -> str:
    """Name an arm, and say which ones are the method and the knock-out."""
    roles = {"method": " (method)", "knockout": " (knock-out)"}
    return str(arm["name"]).replace("_", " ") + roles.get(arm["role"], "")


def _table_lines(
    series: dict[str, list[list[Any]]], names: list[Any], curves: dict[str, Any]
) -> list[str]:
    """Return a small table where the sweep is over names."""
    lines = [f"  {curves['metric']} by {curves['axis']}: {', '.join(map(str, names))}"]
    for arm, line in series.items():
        by_name = {point[0]: point[1] for point in line}
        cells = "  ".join(f"{by_name[n]:>9.3g}" if n in by_name else f"{'–':>9}" for n in names)
        lines.append(f"  {arm:<28}{cells}")
    return lines


def wrap(text: str, indent: str = "  ") -> list[str]:
    """Fold a text to the terminal's width, later lines indented a little more."""
    import textwrap

    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False
    )
