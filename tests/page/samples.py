"""Verdicts to show, harmless and hostile ones."""

import json

from tractable.measure import describe_machine, machine_id
from tractable.store import Machine, Verdict

SLUG = "tallying-bandit"
HOSTILE = '<script>alert(1)</script><b onclick="x">&amp;\u202egnp.exe\u2066'


def curves(**changes):
    """Return a method that crosses its rival, and a knock-out that does not."""
    sizes = [2**power for power in range(8, 15)]
    arms = [
        ("quick_one", "method", [200.0 + size**0.5 for size in sizes]),
        ("plain_one", "baseline", [size / 8 for size in sizes]),
        ("blind_one", "knockout", [size / 5 for size in sizes]),
    ]
    return {
        "axis": "tokens",
        "scale": "log",
        "metric": "key reads",
        "arms": [
            {"name": name, "role": role,
             "points": [[s, v, v * 0.9, v * 1.2] for s, v in zip(sizes, values, strict=True)]}
            for name, role, values in arms
        ],
    } | changes  # fmt: skip


def experiment(name="horizon", word="agrees", **changes):
    """Return one item of a verdict's `experiments`."""
    return {
        "name": name,
        "word": word,
        "criteria": [
            {"text": "key reads fall, needed at most 0.9", "word": word, "guard": False},
            {"text": "mass kept is 1, needed at least 0.8", "word": "agrees", "guard": True},
        ],
        "placebo": "disagrees",
        "knockout": "disagrees",
        "crossover": "2,100 (1,900 to 2,300)",
        "crossover_point": 2100.0,
        "curves": curves(),
        "why": "",
        "contender": [],
    } | changes


def verdict(slug=SLUG, word="agrees", at="2031-05-04T03:02:01+00:00", **changes):
    """Return a verdict of this machine."""
    made = Verdict(
        machine=machine_id(describe_machine()),
        slug=slug,
        form="short",
        device="cpu",
        at=at,
        word=word,
        sentence=f"{word.capitalize()} at this scale (same quantity): it pays.",
        tier="same quantity",
        criteria_hash="a1b2c3d4",
        key="k",
        detail={"experiments": [experiment(word=word)]},
    )
    return made._replace(**changes)


def publish(folder, *verdicts):
    """Write published files, unchecked, as a hostile hand could."""
    for each in verdicts:
        about = Machine(each.machine, {"cpu": "A very old CPU", "cores": 2})
        rows = [("verdict", each._asdict()), ("machine", {**about._asdict(), "id": each.machine})]
        lines = [json.dumps({"kind": kind, **row}, separators=(",", ":")) for kind, row in rows]
        (folder / f"{each.slug}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def hostile_verdict():
    points = [
        [1, float("nan"), 1, 2],
        [2, 1e308, -1e308, 1e308],
        [4, 1e300, 1e-300, 1e300],
        [8, 10**400, None, "x"],
        ["<i>", 1, 2, 3],
        [16, 0.0, -1.0, float("inf")],
        "points",
        [1, 2],
    ]
    arms = [
        {"name": HOSTILE, "role": role, "points": points} for role in ("method", "baseline", "<x>")
    ]
    odd = experiment(
        HOSTILE,
        word=HOSTILE,
        criteria=[{"text": HOSTILE, "word": [], "guard": "yes"}, 7, None],
        placebo=HOSTILE,
        knockout={},
        crossover=HOSTILE,
        crossover_point=float("nan"),
        curves={"axis": HOSTILE, "scale": HOSTILE, "metric": HOSTILE, "arms": arms},
        why=HOSTILE,
    )
    far = experiment("far", crossover_point=1e-300, curves={"arms": {"not": "a list"}})
    return verdict(
        sentence=HOSTILE,
        form=HOSTILE,
        device=HOSTILE,
        tier=HOSTILE,
        at=HOSTILE,
        machine=HOSTILE,
        word=HOSTILE,
        criteria_hash=HOSTILE,
        detail={"experiments": [odd, far, 3, {}, {"name": None, "curves": []}]},
    )
