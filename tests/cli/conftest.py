import pytest
from click.testing import CliRunner

from tractable.cli._commands import tractable


@pytest.fixture(autouse=True)
def _own_store(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACTABLE_STORE", str(tmp_path / "store.db"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    """Run a command line; returns click's result."""
    return lambda *words: CliRunner().invoke(tractable, list(words))
