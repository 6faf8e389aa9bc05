"""Papers as the page and the command line find them: by words, with their last verdicts."""

from collections.abc import Mapping
from typing import Any

from tractable._core.errors import DataError
from tractable.claims.catalogue import Entry, claim_of, entries
from tractable.store import Store, Verdict, published_verdicts, rank_documents

__all__ = ["published", "published_of_all", "search", "verdicts_here"]

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


def verdicts_here() -> dict[str, Verdict]:
    """Return this machine's last verdict on each paper, whatever the device."""
    from tractable.measure import describe_machine, machine_id

    with Store.open(read_only=True) as store:
        mine = store.verdicts(machine=machine_id(describe_machine()))
    return {verdict.slug: verdict for verdict in sorted(mine, key=lambda verdict: verdict.at)}


def published(*, brief: bool = False) -> dict[str, Verdict]:
    """Return the published verdict on each paper; the CPU's where there are several.

    Args:
        brief: without `detail`, which takes longest to read.
    """
    return {slug: found[0] for slug, found in published_of_all(brief=brief).items()}


def published_of_all(*, brief: bool = False) -> dict[str, list[Verdict]]:
    """Return all published verdicts by slug, the CPU's first.

    Args:
        brief: without `detail`.

    Raises:
        DataError: for a line that is no verdict.
    """
    chosen = {}
    for slug, found in published_verdicts(brief=brief).items():
        chosen[slug] = [_as_verdict(slug, row) for row in found]
    return {slug: rows for slug, rows in chosen.items() if rows}


def _as_verdict(slug: str, row: Mapping[str, Any]) -> Verdict:
    fields: dict[str, Any] = {name: row.get(name) for name in Verdict._fields}
    odd = [
        n for n, value in fields.items() if not isinstance(value, dict if n == "detail" else str)
    ]
    if odd:
        raise DataError(f"published/{slug}.jsonl has a verdict without {', '.join(odd)}")
    return Verdict(**fields)
