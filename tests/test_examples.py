"""What a newcomer copies runs: the examples, and the README's code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run_and_are_short(path):
    ran = run(str(path))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert len(path.read_text().splitlines()) < 40


def test_the_readmes_code_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    ran = run("-c", code)
    assert ran.returncode == 0, ran.stderr
    assert "key reads" in ran.stdout
