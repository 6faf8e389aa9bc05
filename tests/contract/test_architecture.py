"""Rules about the tree itself."""

import subprocess
import sys
from pathlib import Path

import pytest

import tractable

SOURCE = Path(tractable.__file__).parent

HEAVY = {"numpy", "scipy", "torch", "numba", "transformers", "sklearn", "rich", "distributed"}


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys; sys.stderr.write(' '.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.split())


def after_command(*arguments: str) -> set[str]:
    code = (
        f"import sys; sys.argv = ['tractable', *{list(arguments)!r}]\n"
        "from tractable.cli import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    return modules_after(code)


def test_importing_the_package_loads_the_standard_library_alone() -> None:
    before = modules_after("")
    loaded = {name.split(".")[0] for name in modules_after("import tractable") - before}
    assert loaded - sys.stdlib_module_names == {"tractable"}


def test_importing_the_core_loads_no_numpy() -> None:
    assert "numpy" not in modules_after("import tractable._core")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("find", "context", "too", "long"),
        ("list",),
        ("show", "hip"),
        ("list", "--json"),
    ],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not after_command(*arguments) & HEAVY


def code_lines(file: Path) -> int:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_files_are_short() -> None:
    limits = {file: 800 if "_kernels" in file.parts else 400 for file in SOURCE.rglob("*.py")}
    long = {str(file): code_lines(file) for file, most in limits.items() if code_lines(file) > most}
    assert not long, f"make a package of these: {long}"


def test_the_core_is_small() -> None:
    assert sum(code_lines(file) for file in (SOURCE / "_core").glob("*.py")) < 500


def test_family_packages_are_a_docstring_and_nothing_else() -> None:
    families = {file.parent.name for file in (SOURCE / "claims").glob("*/*.py")}
    for family in sorted(families - {"__pycache__"}):
        text = (SOURCE / family / "__init__.py").read_text().strip()
        assert text.startswith('"""'), f"{family} wants a docstring"
        assert text.endswith('"""'), f"{family} wants nothing but a docstring"
