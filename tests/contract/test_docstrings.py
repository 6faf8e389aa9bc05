"""Every example in a docstring says what comes out."""

import doctest
import importlib
from pathlib import Path

import pytest

import tractable

ROOT = Path(tractable.__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "tractable").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tractable"):
            raise
        pytest.skip(str(error))
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert not found.failed
