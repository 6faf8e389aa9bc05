"""What a method's file says about itself, read without importing it."""

import ast
import importlib.util
from pathlib import Path

from tractable._core.errors import TractableError
from tractable.claims.catalogue import Entry, claim_of

__all__ = ["docstring_of", "module_lines"]


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


def docstring_of(entry: Entry) -> str:
    """Return the docstring of a method's module."""
    return ast.get_docstring(_tree(entry)) or ""


def public_names(entry: Entry) -> list[str]:
    """Return the module's `__all__`."""
    for node in _tree(entry).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _tree(entry: Entry) -> ast.Module:
    import tractable

    base = Path(tractable.__file__).parent.joinpath(*entry.path.split("/"))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    raise TractableError(f"the code of {entry.slug} is missing: no {base}.py")


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
