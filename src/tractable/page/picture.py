"""The grid of all papers as one picture, drawn from the published verdicts: the README's."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tractable.claims.catalogue import Entry, entries
from tractable.page._curves import read_curves
from tractable.page.figure import COLOURS, spark

__all__ = ["grid_picture"]

COLUMNS = 9
CELL, ROW, HEAD, GAP = 118, 46, 17, 5
LABEL = 88
STATES = {
    "agrees": ("✓", "#15803d", "#5fd38a", ""),
    "disagrees": ("✗", "#b91c1c", "#ff8a80", "6 3"),
    "undecided": ("?", "#8a6400", "#e0b640", "2 3"),
    "not run": ("–", "#6b7280", "#9aa3ad", "1 4"),
    "absent": ("", "#9ca3af", "#6b7280", "1 4"),
}
"""Sign, colour in light and in dark, and the border's dashes, which do without colour."""


def grid_picture(published: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draw a cell a paper: its slug, its published verdict and its two curves in small.

    Args:
        published: from slug to the verdicts that `published_verdicts` returns.

    Returns:
        A complete SVG document, the same for the same verdicts.
    """
    families: dict[str, list[Entry]] = {}
    for entry in entries():
        families.setdefault(entry.family, []).append(entry)
    parts, top = [], GAP
    for family, members in families.items():
        parts.append(f'<text class="family" x="{GAP}" y="{top + 15}">{escape(family)}</text>')
        for index, entry in enumerate(members):
            column, row = index % COLUMNS, index // COLUMNS
            x, y = LABEL + column * (CELL + GAP), top + row * (ROW + GAP)
            parts.append(_cell(entry, published.get(entry.slug, ()), x, y))
        top += (-(-len(members) // COLUMNS)) * (ROW + GAP)
    width = LABEL + COLUMNS * (CELL + GAP)
    said = "All 64 papers by family, with the published verdicts of those that are here"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" role="img">\n'
        f"<title>{said}</title>\n<style>{_style()}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _cell(entry: Entry, verdicts: Sequence[Mapping[str, Any]], x: int, y: int) -> str:
    word = str(verdicts[0]["word"]) if verdicts else "absent"
    word = word if word in STATES else "not run"
    curve = _curve(verdicts[0]) if verdicts else ""
    name = entry.slug if len(entry.slug) < 18 else entry.slug[:14] + "…"
    place = f'x="{x + 4}" y="{y + HEAD}" width="{CELL - 8}" height="{ROW - HEAD - 4}"'
    drawn = curve.replace('<svg class="spark"', f'<svg class="spark" {place}', 1)
    return (
        f'<g class="{word.replace(" ", "-")}"><title>{escape(entry.title)}: '
        f"{'not here yet' if word == 'absent' else word}</title>"
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{ROW}" rx="4"/>'
        f'<text x="{x + 7}" y="{y + 14}">{escape(name)}</text>'
        f'<text class="sign" x="{x + CELL - 7}" y="{y + 14}" text-anchor="end">'
        f"{STATES[word][0]}</text>{drawn}</g>"
    )


def _curve(verdict: Mapping[str, Any]) -> str:
    """Return the two curves of the first experiment that has both."""
    for found in verdict["detail"]["experiments"]:
        curves = read_curves(found)
        if curves.line("method") and curves.line("baseline"):
            return spark(curves, f"{curves.metric} by {curves.axis} of method and baseline")
    return ""


def _style() -> str:
    light, dark = "", ""
    for word, (_, day, night, dashes) in STATES.items():
        name = word.replace(" ", "-")
        light += f".{name} rect{{stroke:{day};stroke-dasharray:{dashes or 'none'}}}"
        light += f".{name} .sign{{fill:{day}}}"
        dark += f".{name} rect{{stroke:{night}}}.{name} .sign{{fill:{night}}}"
    for role in ("method", "baseline"):
        light += f".{role}{{stroke:{COLOURS[role][0]}}}"
        dark += f".{role}{{stroke:{COLOURS[role][1]}}}"
    return (
        "text{font:11px system-ui,sans-serif;fill:#222}.family{font-weight:600}"
        ".sign{font-weight:700}.absent text{fill:#888}rect{fill:none;stroke-width:1.3}"
        ".absent rect{stroke-width:.8}"
        ".line{fill:none;stroke-width:2}.baseline{stroke-dasharray:5 3}.base{stroke:#8884}"
        f".crossing{{fill:#111}}{light}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.absent text{fill:#888}"
        f".crossing{{fill:#eee}}{dark}}}"
    )
