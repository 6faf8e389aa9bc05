"""The store: machines, runs, measurements and verdicts in one SQLite file.

Only this package speaks SQL. Rows travel between machines as JSON lines (`Store.export_lines`,
`Store.merge`), and the rows committed under `published/` are files of the same lines. The
standard library alone is loaded here, so that listing the catalogue stays quick.
"""

from tractable.store._exchange import Merged
from tractable.store._file import default_location
from tractable.store._published import (
    published_folder,
    published_machines,
    published_measurements,
    published_verdicts,
    write_published,
)
from tractable.store._rows import Machine, Measurement, Run, Status, Verdict
from tractable.store._search import rank_documents
from tractable.store._store import Store

__all__ = [
    "Machine",
    "Measurement",
    "Merged",
    "Run",
    "Status",
    "Store",
    "Verdict",
    "default_location",
    "published_folder",
    "published_machines",
    "published_measurements",
    "published_verdicts",
    "rank_documents",
    "write_published",
]
