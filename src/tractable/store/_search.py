"""Full-text ranking of a few documents, in memory, by SQLite's own index."""

import re
import sqlite3
from collections.abc import Mapping

__all__ = ["rank_documents"]

_COMMON = """
a an and any are as at be but by can do does for from get has have how i if in into is it its like
me my need not of on or our should so some than that the their them then there these they this to
too very want was we what when where which while who why will with without you your
"""
COMMON = frozenset(_COMMON.split())
"""Words that say nothing about a problem."""


def rank_documents(
    documents: Mapping[str, Mapping[str, str]], query: str, weights: Mapping[str, float]
) -> list[str]:
    """Return the names of the documents that match a query, best first.

    Args:
        documents: texts by field, by name; every document has the fields of `weights`.
        query: plain words; any of them may match, in any inflection.
        weights: how much a match in each field counts.

    Example:
        >>> rank_documents({"a": {"text": "long walks"}, "b": {"text": "tea"}}, "walk", {"text": 1})
        ['a']
    """
    words = [word for word in re.findall(r"\w+", query.lower()) if word not in COMMON]
    if not words:
        return []
    fields = list(weights)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(
            f"CREATE VIRTUAL TABLE document USING fts5(name UNINDEXED, {', '.join(fields)}, "
            "tokenize = 'porter unicode61')"
        )
        marks = ", ".join("?" * (len(fields) + 1))
        connection.executemany(
            f"INSERT INTO document VALUES ({marks})",
            [(name, *(texts[field] for field in fields)) for name, texts in documents.items()],
        )
        found = connection.execute(
            "SELECT name FROM document WHERE document MATCH ? "
            f"ORDER BY bm25(document, 0, {', '.join('?' * len(fields))})",
            (" OR ".join(f'"{word}"' for word in words), *weights.values()),
        )
        return [name for (name,) in found]
    finally:
        connection.close()
