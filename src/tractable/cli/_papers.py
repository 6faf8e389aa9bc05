"""What the commands say about papers: found, listed, described as JSON."""

from typing import Any

from tractable.claims.catalogue import Entry, claim_of, entries
from tractable.store import Store, Verdict, published_verdicts, rank_documents

__all__ = ["describe", "here", "published", "search", "verdicts_here"]

WEIGHTS = {"title": 2.0, "says": 2.0, "solves": 4.0, "names": 3.0}


def search(query: str) -> list[Entry]:
    """Return the papers that fit a problem in words, best first."""
    documents = {}
    for entry in entries():
        claim = claim_of(entry) if entry.here else None
        documents[entry.slug] = {
            "title": entry.title,
            "says": claim.says if claim else "",
            "solves": ". ".join(claim.solves) if claim else "",
            "names": f"{entry.family} {entry.slug}".replace("-", " "),
        }
    by_slug = {entry.slug: entry for entry in entries()}
    return [by_slug[slug] for slug in rank_documents(documents, query, WEIGHTS)]


def here() -> list[Entry]:
    """Return the papers whose code is in this installation."""
    return [entry for entry in entries() if entry.here]


def verdicts_here() -> dict[str, Verdict]:
    """Return this machine's last verdict on each paper, whatever the device."""
    from tractable.measure import describe_machine, machine_id

    with Store.open(read_only=True) as store:
        mine = store.verdicts(machine=machine_id(describe_machine()))
    return {verdict.slug: verdict for verdict in sorted(mine, key=lambda verdict: verdict.at)}


def published() -> dict[str, Verdict]:
    """Return the published verdict on each paper; the CPU's where there are several."""
    chosen = {}
    for slug, found in published_verdicts().items():
        rows = [
            Verdict(**{name: value for name, value in row.items() if name != "kind"})
            for row in sorted(found, key=lambda row: (row["device"] != "cpu", row["at"]))
        ]
        if rows:
            chosen[slug] = rows[0]
    return chosen


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
