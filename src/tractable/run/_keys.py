"""Two hashes a row: what was judged by (criteria), and what was run (resume key)."""

import ast
import hashlib
import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import tractable
from tractable.claims import Claim
from tractable.claims.catalogue import Entry

__all__ = ["combined_key", "criteria_hash", "resume_key", "source_files"]

ROOT = Path(tractable.__file__).parent
NUMERIC_PACKAGES = ("numpy", "scipy", "torch", "numba")


def criteria_hash(claim: Claim) -> str:
    """Hash sweeps, criteria and guards, so that a threshold moved later shows."""
    parts = [
        (experiment.name, repr(experiment.sweep), [str(rule) for rule in experiment.rules])
        for experiment in claim
    ]
    return _digest(repr(parts))


@cache
def resume_key(entry: Entry) -> str:
    """Hash the sources that a measurement depends on, and the numeric packages' versions."""
    parts = [file.read_text(encoding="utf-8") for file in source_files(entry)]
    parts += [f"{package} {_version(package)}" for package in NUMERIC_PACKAGES]
    return _digest("\0".join(parts))


def combined_key(key: str, seed: int, contender: str | None) -> str:
    """Hash a resume key with what a run changed: its seed, and a contender's source."""
    parts = [key, str(seed), contender or ""]
    if contender is not None:
        spec = importlib.util.find_spec(contender.partition(":")[0])
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            parts.append(Path(spec.origin).read_text(encoding="utf-8", errors="replace"))
    return _digest("\0".join(parts))


def source_files(entry: Entry) -> list[Path]:
    """Return the files of the claim and the method, and what they import of tractable; sorted."""
    family, module = entry.path.split("/")
    claim = ROOT / "claims" / family / f"{module}.py"
    shared = [name for name in _imports(claim) if name.startswith(f"tractable.claims.{family}.")]
    waiting = [
        file for name in (f"tractable.{family}.{module}", *shared) for file in _files_of(name)
    ]
    seen = {claim}
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += [found for name in _imports(file) for found in _files_of(name)]
    return sorted(seen)


def _imports(file: Path) -> list[str]:
    """Return the tractable modules that a file imports, at the top or inside a function."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith("tractable.")]


def _files_of(name: str) -> list[Path]:
    """Return the files of a module; a package counts whole."""
    path = ROOT.parent.joinpath(*name.split("."))
    if path.with_suffix(".py").is_file():
        return [path.with_suffix(".py")]
    is_family = path.parent == ROOT and not path.name.startswith("_")
    if not path.is_dir() or is_family:
        return [path / "__init__.py"] if path.is_dir() else []
    return sorted(path.rglob("*.py"))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
