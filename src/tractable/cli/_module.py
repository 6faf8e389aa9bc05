"""What `show` says of a paper's code."""

import importlib.util

from tractable.claims.catalogue import Entry, claim_of
from tractable.claims.source import docstring_of, public_names

__all__ = ["module_lines"]


def module_lines(entry: Entry) -> list[str]:
    """Return import line, symbols, departures, agreement and what is missing to run it."""
    names = public_names(entry)
    claim = claim_of(entry)
    lines = ["", f"  from {entry.module} import {', '.join(names)}", ""]
    for section in ("Symbols:", "Departures:"):
        lines += ["  " + line for line in _section(docstring_of(entry), section)]
    lines.append(f"  Agreement: {claim.agreement}")
    for experiment in claim:
        lacks = [name for name in experiment.needs if importlib.util.find_spec(name) is None]
        if lacks:
            lines.append(f"  Missing for {experiment.name}: {', '.join(lacks)}")
    return lines


def _section(text: str, heading: str) -> list[str]:
    """Return the lines of a docstring's section, up to the next one."""
    lines = text.splitlines()
    found: list[str] = []
    for line in lines:
        if line.startswith(heading):
            found.append(line)
        elif found and (not line.strip() or (line[:1].isalpha() and line.rstrip()[-1:] == ":")):
            break
        elif found:
            if line[:1].isalpha():
                break
            found.append(line)
    return found
