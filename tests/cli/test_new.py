import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tractable
from tractable._core import RangeError
from tractable.cli._new import write_stubs

CHECKOUT = Path(tractable.__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the sources, to which papers may be added."""
    hide = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "tests"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=hide)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("path", ["online/sleeping-experts", "optim/mkor"])
def test_stubs_pass_the_checks_and_fail_the_contract_with_what_to_write(checkout, path):
    files = [str(file) for file in write_stubs(path, checkout)]
    assert len(files) == 3

    def python(*words):
        return subprocess.run(
            [sys.executable, "-m", *words],
            capture_output=True,
            text=True,
            cwd=checkout,
            env={"PYTHONPATH": str(checkout / "src"), "PATH": "/usr/bin:/bin", "HOME": "/tmp"},
        )

    for words in (
        ("ruff", "check", *files),
        ("ruff", "format", "--check", *files),
        ("mypy", *files[:2]),
        ("pytest", "-q", "-p", "no:cacheprovider", files[2]),
    ):
        ran = python(*words)
        assert ran.returncode == 0, (words, ran.stdout, ran.stderr)
    slug = path.split("/")[1]
    ran = python(
        "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/test_papers.py", "-k", slug
    )
    assert ran.returncode == 1, ran.stdout
    for message in (
        "still says what to write",
        "add a @knockout arm",
        "report the paper's own currency",
    ):
        assert message in ran.stdout, message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("online", "wanted FAMILY/MODULE"),
        ("../x/y", "wanted FAMILY/MODULE"),
        ("online/tallying_bandit", "exists already"),
    ],
)
def test_bad_paths_are_refused(path, message):
    with pytest.raises(RangeError, match=message):
        write_stubs(path, CHECKOUT)


def test_outside_a_checkout_it_says_so(tmp_path):
    with pytest.raises(RangeError, match="run this in a checkout's root"):
        write_stubs("online/x", tmp_path)
