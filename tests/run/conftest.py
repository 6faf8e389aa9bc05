"""The toy claim, and measuring processes that can import it."""

from pathlib import Path

import pytest
from fakes import toy

from tractable.claims import Claim
from tractable.run import Subject


@pytest.fixture(autouse=True)
def _children_find_the_toys(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("TRACTABLE_STORE", str(tmp_path / "store.db"))


def only(*names: str) -> Subject:
    """Return the toy claim with some of its experiments."""
    part = Claim(
        toy.claim.paper,
        says=toy.claim.says,
        scope=toy.claim.scope,
        solves=toy.claim.solves,
        agreement=toy.claim.agreement,
    )
    part.experiments = {name: toy.claim.experiments[name] for name in names}
    return Subject("toy", part, "fakes.toy", "key")


@pytest.fixture
def toys():
    return only
