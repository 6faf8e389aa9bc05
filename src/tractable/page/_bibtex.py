"""References to a paper and to a measurement of it."""

import re
import unicodedata

from tractable import __version__
from tractable.claims import Paper
from tractable.store import Verdict

__all__ = ["bibtex_of_measurement", "bibtex_of_paper"]


def bibtex_of_paper(slug: str, paper: Paper) -> str:
    """Return a BibTeX entry of the paper."""
    authors = " and ".join(part.strip() for part in paper.authors.split(",") if part.strip())
    surname = paper.authors.split(",")[0].split(" ")[-1]
    fields = {
        "title": f"{{{_safe(paper.title)}}}",
        "author": _safe(authors),
        "year": str(paper.year),
        "url": _safe(paper.link),
    }
    if found := re.search(r"arxiv\.org/abs/([\w.\-/]+)", paper.link):
        fields |= {"eprint": found[1], "archiveprefix": "arXiv"}
    return _entry("article", f"{_key(surname)}{paper.year}{_key(slug)}", fields)


def bibtex_of_measurement(slug: str, paper: Paper, verdict: Verdict, machine: str) -> str:
    """Return a BibTeX entry of one verdict, with what it takes to repeat it."""
    fields = {
        "title": f"{{Measurement of {_safe(paper.title)}: {verdict.word} ({_safe(verdict.tier)})}}",
        "author": "{tractable}",
        "year": verdict.at[:4],
        "month": verdict.at[5:7].lstrip("0"),
        "note": f"tractable {__version__}, {_safe(verdict.form)} form on {_safe(machine)}, "
        f"{_safe(verdict.device)}, {_safe(verdict.at[:10])}; "
        f"criteria {_safe(verdict.criteria_hash[:12])}",
        "howpublished": f"tractable verify {slug} --{_safe(verdict.form)}",
    }
    return _entry("misc", f"tractable-{_key(slug)}-{_safe(verdict.at[:10])}", fields)


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _key(text: str) -> str:
    flat = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", flat.lower())


def _safe(text: str) -> str:
    """Leave out what would end a field; put a backslash where TeX needs one."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\\x00-\x1f]", "", text))
