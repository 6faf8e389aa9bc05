"""What the commands say about papers: found, listed, described as JSON."""

from typing import Any

from tractable.claims.catalogue import Entry, claim_of, entries
from tractable.page.papers import published, search, verdicts_here
from tractable.store import Verdict

__all__ = ["describe", "here", "published", "search", "verdicts_here"]


def here() -> list[Entry]:
    """Return the papers whose code is in this installation."""
    return [entry for entry in entries() if entry.here]


def describe(entry: Entry, verdict: Verdict | None, theirs: Verdict | None) -> dict[str, Any]:
    """Return a paper as the JSON object that all commands print."""
    claim = claim_of(entry) if entry.here else None
    found = verdict.detail["experiments"] if verdict else []
    by_name = {experiment["name"]: experiment for experiment in found}
    return {
        "slug": entry.slug,
        "family": entry.family,
        "title": entry.title,
        "link": entry.link,
        "tier": claim.paper.tier if claim else None,
        "says": claim.says if claim else None,
        "verdict": verdict.word if verdict else None,
        "published": theirs.word if theirs else None,
        "sentence": verdict.sentence if verdict else None,
        "experiments": [
            _describe_experiment(name, by_name.get(name))
            for name in (claim.experiments if claim else ())
        ],
    }


def _describe_experiment(name: str, found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return {"name": name, "criteria": None, "placebo": None, "knockout": None}
    return {
        "name": name,
        "verdict": found["word"],
        "criteria": [finding["word"] for finding in found["criteria"]],
        "findings": found["criteria"],
        "placebo": found["placebo"],
        "knockout": found["knockout"],
        "crossover": found["crossover"],
    }
