"""A method's source for reading: the reference beside the fast code, coloured word by word."""

import ast
import io
import keyword
import textwrap
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup, escape

import tractable
from tractable.claims.catalogue import Entry, claim_of
from tractable.claims.source import files_of, public_names, sections_of
from tractable.page._text import clean

__all__ = ["Code", "Piece", "code_of"]

LONGEST = 160
"""Lines of one function or class that are shown."""
ROOT = Path(tractable.__file__).parent.parent


class Piece(NamedTuple):
    """One public function or class: its name, place, coloured source and lines left out."""

    name: str
    place: str
    source: Markup
    left_out: int


class Code(NamedTuple):
    """What the page shows of a method's code."""

    import_line: str
    reference: Piece | None
    fast: tuple[Piece, ...]
    notes: tuple[tuple[str, tuple[str, ...]], ...]


@lru_cache(maxsize=256)
def code_of(entry: Entry) -> Code:
    """Read a method's files; nothing is imported."""
    names = public_names(entry)
    found = {piece.name: piece for file in files_of(entry) for piece in _pieces(file, names)}
    import_line = f"from {entry.module} import {', '.join(names)}"
    if len(import_line) > 88:
        pad = " " * 4
        listed = textwrap.fill(
            f"{', '.join(names)},", 80, initial_indent=pad, subsequent_indent=pad
        )
        import_line = f"from {entry.module} import (\n{listed}\n)"
    first = _raced(entry, names)
    order = sorted(
        (name for name in found if name != "reference"),
        key=lambda name: (name != first, names.index(name)),
    )
    return Code(
        import_line,
        found.get("reference"),
        tuple(found[name] for name in order),
        tuple(
            (heading, tuple(clean(item) for item in items))
            for heading, items in sections_of(entry, ("Symbols", "Departures"))
        ),
    )


def _pieces(file: Path, names: list[str]) -> Iterator[Piece]:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            last = node.end_lineno or node.lineno
            shown = lines[first - 1 : min(last, first - 1 + LONGEST)]
            place = f"{file.relative_to(ROOT).as_posix()}, line {first}"
            yield Piece(node.name, place, _colour(shown), last - first + 1 - len(shown))


def _raced(entry: Entry, names: list[str]) -> str:
    """Return the public name that is most likely what the claim runs as the method."""
    arms = {arm.name for each in claim_of(entry) if (arm := each.arm("method")) is not None}
    source = ROOT / "tractable/claims" / f"{entry.path}.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    methods = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in arms]
    imported = {name for node in methods for name in _imported(node)}
    flat_arms = {_flat(name) for name in arms if len(name) > 3}

    def likely(name: str) -> tuple[int, bool]:
        called = any(arm in _flat(name) for arm in flat_arms)
        about = _flat(entry.slug) in _flat(name)
        return 4 * called + 2 * (name in imported) + about, name[0].islower()

    return max((name for name in names if name != "reference"), key=likely, default="")


def _flat(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _imported(node: ast.AST) -> list[str]:
    found = [inner for inner in ast.walk(node) if isinstance(inner, ast.ImportFrom)]
    return [alias.name for inner in found for alias in inner.names]


def _colour(lines: list[str]) -> Markup:
    """Mark keywords, names that are defined, texts, numbers and comments."""
    text = "\n".join(lines) + "\n"
    made: list[str] = []
    row, column, before = 1, 0, ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            (first, start), (last, end) = token.start, token.end
            if not token.string or token.type in (tokenize.INDENT, tokenize.DEDENT):
                continue
            if first > row:
                made.append("\n" * (first - row))
                column = 0
            made.append(" " * (start - column))
            made.append(_marked(token, before))
            row, column, before = last, end, token.string
            if token.type in (tokenize.NEWLINE, tokenize.NL):
                row, column = last + 1, 0
    except (tokenize.TokenError, IndentationError):  # a piece that was cut
        return Markup(escape(clean(text)))
    return Markup("".join(made))


def _marked(token: tokenize.TokenInfo, before: str) -> str:
    text = str(escape(clean(token.string)))
    if token.type == tokenize.COMMENT:
        kind = "c"
    elif token.type == tokenize.STRING or tokenize.tok_name[token.type].startswith("FSTRING"):
        kind = "s"
    elif token.type == tokenize.NUMBER:
        kind = "n"
    elif token.type == tokenize.NAME and before in ("def", "class"):
        kind = "f"
    elif token.type == tokenize.NAME and keyword.iskeyword(token.string):
        kind = "k"
    else:
        return text
    return f'<span class="{kind}">{text}</span>'
