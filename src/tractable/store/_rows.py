"""The four kinds of row: what they hold, what each field may be, how they become text."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

from tractable._core.errors import DataError

__all__ = ["Machine", "Measurement", "Run", "Verdict"]

Size = int | float | str
Status = Literal["ok", "crashed", "hung", "out of memory", "missing package", "refused"]
Word = Literal["agrees", "disagrees", "undecided", "not run"]


class Machine(NamedTuple):
    """A machine, without host or user name.

    Args:
        id: hash of CPU model, cores, memory, OS and GPU.
        description: the same in words, JSON-able.
    """

    id: str
    description: dict[str, Any]


class Run(NamedTuple):
    """One call of the machinery on one machine.

    Args:
        id: the hexadecimal digits of a uuid4.
        started: ISO time in UTC, such as "2031-05-04T03:02:01+00:00".
        machine: the machine's id.
        version: of tractable.
        form: "smoke", "short" or "full".
        device: such as "cpu" or "cuda".
        seed: of the whole run.
        command_note: how it was called, in words.
    """

    id: str
    started: str
    machine: str
    version: str
    form: str
    device: str
    seed: int
    command_note: str


class Measurement(NamedTuple):
    """One metric of one arm at one size in one round.

    Args:
        run, machine: ids.
        slug, experiment, arm, metric: names of the claim's parts.
        size: a number, or an instance's name.
        round: from zero.
        device: such as "cpu" or "cuda".
        value: the summary; None where there is none. Finite: an infinite or undefined outcome
            is a None with its reason in `detail`.
        samples: what the value summarises, in the order measured.
        status: "ok", or why there is no value.
        detail: a short reason, or which code path ran.
        key: the resume key, a hash of all code that the row depends on.
        seed: of this round.
        threads: how many the block was allowed.
        load: the load average when it began, if known.
    """

    run: str
    machine: str
    slug: str
    experiment: str
    arm: str
    metric: str
    size: Size
    round: int
    device: str
    value: float | None
    samples: tuple[float, ...]
    status: Status
    detail: str
    key: str
    seed: int
    threads: int
    load: float | None

    @property
    def id(self) -> str:
        """The SHA-256 of the row's identity, in hexadecimal digits."""
        return identity(self._asdict()).hex()


class Verdict(NamedTuple):
    """What a machine says about a claim at one time.

    Args:
        machine: its id.
        slug: the claim's.
        form: "smoke", "short" or "full".
        device: such as "cpu" or "cuda".
        at: ISO time in UTC.
        word: the verdict.
        sentence: the verdict with its numbers.
        tier: the paper's, shown wherever the verdict is.
        criteria_hash: of the claim's criteria, so that a later change shows.
        key: the resume key of the rows behind it.
        detail: experiments with the words and intervals of criteria, placebo and knock-out, and
            the crossover; JSON-able.
    """

    machine: str
    slug: str
    form: str
    device: str
    at: str
    word: Word
    sentence: str
    tier: str
    criteria_hash: str
    key: str
    detail: dict[str, Any]


TYPES: Mapping[str, type[Any]] = {  # named tuples, since data classes take longer to load
    "machine": Machine,
    "run": Run,
    "measurement": Measurement,
    "verdict": Verdict,
}
COLUMNS = {kind: made._fields for kind, made in TYPES.items()}
IDENTITY = (*COLUMNS["measurement"][:9], "key")
AS_JSON = {"machine": ("description",), "measurement": ("samples",), "verdict": ("detail",)}

DETAIL_LIMIT = 1000
_HUGE = 1e300
_DEEPEST = 20
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control, line-separating and bidirectional characters, and halves of surrogate pairs."""


def _text(limit: int, low: int = 1) -> Callable[[object], object]:
    def check(value: object) -> object:
        if type(value) is not str or not low <= len(value) <= limit:
            raise DataError(f"wanted a text of {low} to {limit} characters")
        return value

    return check


def _pattern(pattern: re.Pattern[str], wanted: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if type(value) is not str or len(value) > 64 or not pattern.fullmatch(value):
            raise DataError(f"wanted {wanted}")
        return value

    return check


def _one_of(*words: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if value not in words:
            raise DataError(f"wanted one of: {', '.join(words)}")
        return value

    return check


def _integer(low: int = -(2**63)) -> Callable[[object], object]:
    def check(value: object) -> object:
        if type(value) is not int or not low <= value < 2**63:
            raise DataError(f"wanted a whole number from {low} to 2**63 - 1")
        return value

    return check


def _number(value: object) -> float:
    if type(value) is float and -_HUGE <= value <= _HUGE:
        return value
    if type(value) is int and -(2**63) <= value < 2**63:
        return float(value)
    raise DataError(f"wanted a finite number within {_HUGE:g}, whole ones below 2**63")


def _number_or_none(value: object) -> object:
    return None if value is None else _number(value)


def _samples(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) > 10_000:
        raise DataError("wanted a list of at most 10,000 numbers")
    return tuple(map(_number, value))


def _size(value: object) -> object:
    if type(value) is not str or not 1 <= len(value) <= 200:
        _number(value)
    return value


def _tree(value: object) -> object:
    if type(value) is not dict:
        raise DataError("wanted an object")
    _check_tree(value, 0)
    return value


def _check_tree(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise DataError(f"wanted at most {_DEEPEST} levels")
    if isinstance(value, dict):
        if not all(type(name) is str for name in value):
            raise DataError("wanted texts as names")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_tree(item, depth + 1)
    elif value is not None and type(value) not in (str, bool):
        _number(value)


_NAME, _HASH, _NOTE = _text(200), _text(64), _text(DETAIL_LIMIT, 0)
_TIME = _pattern(_ISO, "an ISO time in UTC, such as 2031-05-04T03:02:01+00:00")
_CHECKS: Mapping[str, Callable[[object], object]] = {
    "arm": _NAME,
    "at": _TIME,
    "command_note": _NOTE,
    "criteria_hash": _HASH,
    "description": _tree,
    "detail": _NOTE,
    "device": _HASH,
    "experiment": _NAME,
    "form": _one_of("smoke", "short", "full"),
    "id": _HASH,
    "key": _HASH,
    "load": _number_or_none,
    "machine": _HASH,
    "metric": _NAME,
    "round": _integer(0),
    "run": _HASH,
    "samples": _samples,
    "seed": _integer(),
    "sentence": _text(4 * DETAIL_LIMIT, 0),
    "size": _size,
    "slug": _pattern(_SLUG, "a slug of at most 64 small letters, digits and hyphens"),
    "started": _TIME,
    "status": _one_of(*get_args(Status)),
    "threads": _integer(0),
    "tier": _one_of("same quantity", "scaled down", "consequence"),
    "value": _number_or_none,
    "version": _HASH,
    "word": _one_of(*get_args(Word)),
}
_RULES = {kind: {name: _CHECKS[name] for name in names} for kind, names in COLUMNS.items()}
_RULES["verdict"]["detail"] = _tree
"""What a field may hold: one rule a name, whichever row it is in; only `detail` has two."""


def check_fields(kind: str, found: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of a row in their order and types, or say which is wrong.

    Raises:
        DataError: for a missing, unknown or ill-typed field.
    """
    rules = _RULES[kind]
    if odd := found.keys() ^ rules.keys():
        raise DataError(f"{kind} has missing or unknown fields: {', '.join(sorted(odd))[:200]}")
    made, name = {}, ""
    try:
        for name, rule in rules.items():
            made[name] = rule(found[name])
    except DataError as error:
        got = repr(found[name])
        got = got if len(got) < 80 else got[:77] + "..."
        raise DataError(f"{kind} has {name} {got!a}; {error}") from None
    return made


def check_characters(value: object) -> None:
    """Refuse control and bidirectional characters in every text inside `value`.

    Raises:
        DataError: naming the first such text.
    """
    if isinstance(value, str):
        if _ODD.search(value):
            raise DataError(f"control or bidirectional characters in {value[:80]!a}; remove them")
    elif isinstance(value, dict):
        for name, item in value.items():
            check_characters(name)
            check_characters(item)
    elif isinstance(value, list | tuple):
        for item in value:
            check_characters(item)


def without_odd_characters(text: str) -> str:
    """Put spaces for control and bidirectional characters."""
    return _ODD.sub(" ", text)


def identity(row: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of what makes a measurement this one and no other."""
    from hashlib import sha256  # costs more to import than the rest of this file

    return sha256(json.dumps([row[name] for name in IDENTITY]).encode()).digest()


def pack(kind: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the columns of a checked row, as the database keeps them."""
    as_json = AS_JSON.get(kind, ())
    return tuple(
        json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        if name in as_json
        else value
        for name, value in row.items()
    )


def unpack(kind: str, columns: tuple[Any, ...]) -> dict[str, Any]:
    """Return the fields that `pack` made columns of."""
    row = dict(zip(COLUMNS[kind], columns, strict=True))
    for name in AS_JSON.get(kind, ()):
        row[name] = json.loads(row[name])
    if kind == "measurement":
        row["samples"] = tuple(row["samples"])
    return row


def as_line(kind: str, row: Mapping[str, Any]) -> str:
    """Return one JSON line, without its end."""
    return json.dumps({"kind": kind, **row}, ensure_ascii=False, separators=(",", ":"))


def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the sorting key of a measurement: the same as the export's `ORDER BY`."""
    size = (isinstance(row["size"], str), row["size"])
    return (
        row["slug"],
        row["machine"],
        row["device"],
        row["key"],
        row["experiment"],
        *size,
        row["round"],
        row["arm"],
        row["metric"],
        row["run"],
    )
