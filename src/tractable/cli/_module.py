"""What `show` says of a paper's code."""

from tractable.claims.catalogue import Entry, claim_of
from tractable.claims.source import public_names, sections_of
from tractable.cli._report import wrap

__all__ = ["module_lines"]


def module_lines(entry: Entry) -> list[str]:
    """Return import line, symbols, departures, agreement and what is missing to run it."""
    names = public_names(entry)
    claim = claim_of(entry)
    lines = ["", f"  from {entry.module} import {', '.join(names)}", ""]
    for heading, items in sections_of(entry, ("Symbols", "Departures")):
        lines += [line for item in items for line in wrap(f"{heading}: {item}")]
    lines += wrap(f"Agreement: {claim.agreement}")
    for experiment in claim:
        if lacks := experiment.lacks():
            lines.append(f"  Missing for {experiment.name}: {', '.join(lacks)}")
    return lines
