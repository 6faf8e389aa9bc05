"""Every command and snippet in the guides runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PYTHON = re.compile(r"```python\n(.*?)```", re.S)
CONSOLE = re.compile(r"^\$ (.*)$", re.M)
SPOKEN = re.compile(r"\[[^\]]+\]\(([^)#]+)\)")


@pytest.mark.parametrize(
    "guide", [g for g in GUIDES if PYTHON.search(g.read_text())], ids=lambda guide: guide.stem
)
def test_snippets_run(guide, tmp_path):
    code = "\n".join(PYTHON.findall(guide.read_text()))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "guide", [g for g in GUIDES if CONSOLE.search(g.read_text())], ids=lambda guide: guide.stem
)
def test_commands_run(guide, tmp_path):
    folder = Path(sys.executable).parent
    env = {
        **os.environ,
        "TRACTABLE_STORE": str(tmp_path / "store.db"),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
    }
    for command in CONSOLE.findall(guide.read_text()):
        ran = subprocess.run(
            shlex.split(command), capture_output=True, text=True, cwd=tmp_path, env=env
        )
        assert ran.returncode == 0, (command, ran.stdout[-500:], ran.stderr[-500:])


@pytest.mark.parametrize("guide", [*GUIDES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=str)
def test_links_between_files_resolve(guide):
    targets = [link for link in SPOKEN.findall(guide.read_text()) if "://" not in link]
    missing = [link for link in targets if not (guide.parent / link).exists()]
    assert not missing
