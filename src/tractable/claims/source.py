"""What a method's files say about themselves, read without importing them."""

import ast
from collections.abc import Sequence
from pathlib import Path

import tractable
from tractable._core.errors import TractableError
from tractable.claims.catalogue import Entry

__all__ = ["docstring_of", "files_of", "public_names", "sections_of"]


def docstring_of(entry: Entry) -> str:
    """Return the docstring of a method's module."""
    return ast.get_docstring(_tree(entry)) or ""


def sections_of(entry: Entry, headings: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return sections of the module's docstring, each as its items, lines joined.

    Args:
        entry: the paper.
        headings: the words that sections start with, without the colon.

    Returns:
        Pairs of heading and items in the docstring's order; a section without a list is one item.
    """
    blocks: list[list[str]] = []
    for line in docstring_of(entry).splitlines():
        starts = line[:1].isupper() and line.split(" ")[0].endswith(":")
        if starts or not line.strip() or not blocks:
            blocks.append([])
        blocks[-1].append(line.strip())
    found = []
    for block in blocks:
        heading, _, body = "\n".join(block).partition(":")
        if heading in headings:
            items = body.replace("\n- ", "\0").replace("\n", " ").split("\0")
            found.append((heading, [item.strip() for item in items if item.strip()]))
    return found


def public_names(entry: Entry) -> list[str]:
    """Return the module's `__all__`."""
    for node in _tree(entry).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def files_of(entry: Entry) -> list[Path]:
    """Return the method's files, the one with the public names first.

    Raises:
        TractableError: if the code is missing.
    """
    base = Path(tractable.__file__).parent.joinpath(*entry.path.split("/"))
    if base.with_suffix(".py").is_file():
        return [base.with_suffix(".py")]
    if (base / "__init__.py").is_file():
        return [base / "__init__.py", *sorted(set(base.rglob("*.py")) - {base / "__init__.py"})]
    raise TractableError(f"the code of {entry.slug} is missing: no {base}.py")


def _tree(entry: Entry) -> ast.Module:
    return ast.parse(files_of(entry)[0].read_text(encoding="utf-8"))
