"""The three stub files of a new paper: they pass the checks and fail the contract tests."""

import json
import re
import textwrap
from pathlib import Path

from tractable._core.errors import RangeError
from tractable.claims.catalogue import entries

__all__ = ["write_stubs"]

METHOD = '''"""{title_lines}.

Paper: WRITE: authors, year; {title_again}. <{link}>
Symbols: WRITE: each letter of the paper that the code uses, and what it is.
Departures: WRITE: where the code differs from the paper and why, or "none".
"""

__all__ = ["reference"]


def reference(size: int) -> int:
    """WRITE: the paper's formula in ten lines, no tricks: what the tests trust.

    Args:
        size: WRITE.

    Returns:
        WRITE.
    """
    return size
'''

CLAIM = '''"""The claim of {family}/{module}."""

from tractable.claims import Claim, Experiment, Level, Paper, Sweep

claim = Claim(
    Paper(
        {title_literal},
        authors="WRITE",
        year={year},
        link="{link}",
        tier="scaled down",
    ),
    says="WRITE: the promise, one sentence that a stranger understands",
    scope="WRITE: where it is checked here, and how that differs from the paper's own setting",
    solves=("WRITE: a problem in the words of somebody who does not know the paper",),
    agreement="WRITE: what a test compares the output with, and how closely",
)

cost = Experiment(
    claim,
    "cost",
    sweep=Sweep("size", 16, 1024, points=7),
    criteria=(Level("operations", of="method", over="baseline", at_most=0.5),),
)


@cost.inputs
def inputs(size, rng, device):
    """WRITE: make the inputs of one size."""
    return (size,)


@cost.method
def method(size):
    """WRITE: import the public function here and call it."""
    from tractable.{family}.{module} import reference

    return reference(size)


@cost.baseline
def baseline(size):
    """WRITE: the strongest honest rival."""
    return size
'''

TEST = '''"""Tests of {family}/{module}."""

from tractable.{family}.{module} import reference


def test_reference_agrees_with_something_independent():
    assert reference(3) == 3
'''


def write_stubs(path: str, root: Path) -> list[Path]:
    """Write method, claim and test of `family/module` below a checkout's root.

    Args:
        path: `family/module`; hyphens become underscores.
        root: the checkout.

    Returns:
        The files written.

    Raises:
        RangeError: for a path of another form, another folder than a checkout, or files that
            exist already.
    """
    path = path.replace("-", "_")
    if re.fullmatch(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*", path) is None:
        raise RangeError(f"got {path!r}; wanted FAMILY/MODULE in lower case, such as online/hedge")
    source = root / "src" / "tractable"
    if not source.is_dir():
        raise RangeError(f"{root.resolve()} has no src/tractable; run this in a checkout's root")
    family, module = path.split("/")
    known = {entry.path: entry for entry in entries()}
    title = known[path].title if path in known else "WRITE: the paper's title"
    pieces = textwrap.wrap(title, 80, drop_whitespace=False)
    words = {
        "family": family,
        "module": module,
        "title_lines": "\n".join(textwrap.wrap(title, 90)),
        "title_again": "\n".join(textwrap.wrap(f'"{title}"', 60)),
        "title_literal": "\n        ".join(json.dumps(piece) for piece in pieces),
        "link": known[path].link if path in known else "https://arxiv.org/abs/WRITE",
        "year": "20" + known[path].link.split("/")[-1][:2] if path in known else "2000",
    }
    files = {
        source / family / f"{module}.py": METHOD,
        source / "claims" / family / f"{module}.py": CLAIM,
        root / "tests" / family / f"test_{module}.py": TEST,
    }
    packages = {
        source / family / "__init__.py": f'"""WRITE: what the family `{family}` is for."""\n',
        source / "claims" / family / "__init__.py": f'"""Claims of the family `{family}`."""\n',
    }
    existing = [file for file in files if file.exists()]
    if existing:
        raise RangeError(f"{existing[0]} exists already; choose another name or edit it")
    for file, text in packages.items():
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for file, template in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(template.format(**words), encoding="utf-8")
    return list(files)
