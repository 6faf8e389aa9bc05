"""Texts and numbers as they are shown: nothing that a terminal or a browser would obey."""

import math
import unicodedata
from datetime import datetime

__all__ = ["clean", "compact", "day", "exact", "plain"]

LONGEST = 20_000
LARGEST = 1e300
PLAIN = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def clean(text: str) -> str:
    """Put a space for control, bidirectional and other invisible characters; cut what is huge."""
    if text.isascii() and text.isprintable() and len(text) <= LONGEST:
        return text
    return "".join(
        " "
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter not in "\n\t"
        else letter
        for letter in text[:LONGEST]
    )


def plain(name: str) -> str:
    """Spell a Python name for readers."""
    return clean(name.replace("_", " "))


def compact(value: float) -> str:
    """Return a number for an axis: short, whatever its size."""
    size = abs(value)
    if size != 0 and not 1e-4 <= size < 1e12:
        power = math.floor(math.log10(size))
        lead = value / 10.0**power if power > -300 else value * 1e300 / 10.0 ** (power + 300)
        front = "" if round(lead, 1) == 1 else f"{lead:.2g}×"
        return f"{front}10{str(power).translate(RAISED)}"
    for unit, letter in PLAIN:
        if size >= max(unit, 1e4):
            return f"{value / unit:.3g}{letter}" if size < 1000 * unit else f"{value:.3g}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"


def exact(value: object) -> str:
    """Return a number for a table or a tooltip; a text stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(str(value))
    if not abs(value) <= LARGEST:
        return (
            "not a number" if isinstance(value, float) and math.isnan(value) else "beyond measure"
        )
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    return (
        f"{value:,.0f}" if 1e4 <= size < 1e15 else f"{value:,.4g}" if size < 1e4 else f"{value:.4g}"
    )


def day(at: str) -> str:
    """Return the day and minute of an ISO time, or the text itself if it is none."""
    try:
        return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return clean(at)
