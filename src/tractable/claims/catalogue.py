"""Which papers there are: 64 titles in one data file, and code found by file name.

Nothing is registered anywhere. A paper is here when `claims/<family>/<module>.py` exists; the
data file adds titles and links of those that are not here yet.
"""

import importlib
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tractable._core.errors import TractableError
from tractable.claims import Claim

__all__ = ["Entry", "UnknownPaperError", "claim_of", "entries", "find_entry"]

CLAIMS = Path(__file__).parent


class UnknownPaperError(TractableError, LookupError):
    """No paper has this slug; the message names the nearest one."""


class Entry(NamedTuple):
    """One paper of the catalogue.

    Args:
        path: `family/module`, which is also its public path.
        title: as printed.
        link: where to read it.
        here: whether its code and claim are in this installation.
    """

    path: str
    title: str
    link: str
    here: bool

    @property
    def family(self) -> str:
        """The first half of the path."""
        return self.path.split("/")[0]

    @property
    def module(self) -> str:
        """The import path of the method."""
        return "tractable." + self.path.replace("/", ".")

    @property
    def slug(self) -> str:
        """The name on the command line."""
        return slug_of(self.path)


def slug_of(path: str) -> str:
    """Turn `family/module_name` into `module-name`."""
    return path.rsplit("/", maxsplit=1)[-1].replace("_", "-")


@cache
def entries() -> tuple[Entry, ...]:
    """Return every paper: the data file's in its order, then those only found as code."""
    listed = json.loads((CLAIMS / "catalogue.json").read_text(encoding="utf-8"))
    found = {
        f"{file.parent.name}/{file.stem}"
        for file in CLAIMS.glob("*/*.py")
        if not file.name.startswith("_")
    }
    known = [
        Entry(path, paper["title"], paper["link"], path in found) for path, paper in listed.items()
    ]
    extra = []
    for path in sorted(found - set(listed)):
        paper = claim_at(path).paper
        extra.append(Entry(path, paper.title, paper.link, True))
    return (*known, *extra)


def claim_of(entry: Entry) -> Claim:
    """Import the claim of a paper that is here; it loads the standard library alone."""
    return claim_at(entry.path)


def claim_at(path: str) -> Claim:
    """Import the claim at `family/module`."""
    claim = importlib.import_module("tractable.claims." + path.replace("/", ".")).claim
    if not isinstance(claim, Claim):
        raise TypeError(f"claims/{path}.py defines no `claim` of class Claim")
    return claim


def find_entry(slug: str) -> Entry:
    """Return the paper with this slug; `family/module` is understood too.

    Raises:
        UnknownPaperError: names the nearest slug.
    """
    wanted = slug_of(slug)
    for entry in entries():
        if entry.slug == wanted:
            return entry
    import difflib

    near = difflib.get_close_matches(wanted, [entry.slug for entry in entries()], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else "`tractable list` shows all"
    raise UnknownPaperError(f"no paper is called {slug!r}; {hint}")
