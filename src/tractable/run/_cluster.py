"""A Dask cluster as an executor, after it has shown the same code and versions."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from urllib.parse import urlsplit

from tractable import __version__
from tractable._core.errors import MissingPackageError, TractableError
from tractable.claims.catalogue import Entry
from tractable.run._keys import resume_key

__all__ = ["ClusterError", "cluster_executor"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ClusterError(TractableError, RuntimeError):
    """The cluster cannot be used: unsafe address, or workers with other code."""


@contextmanager
def cluster_executor(
    address: str, claim_modules: Sequence[str], *, insecure: bool = False
) -> Iterator[Executor]:
    """Connect to a scheduler, compare versions, and give an executor.

    Args:
        address: of the scheduler, `tls://host:port`, or `tcp://` on loopback.
        claim_modules: the claims whose code every worker must share.
        insecure: allow plain connections to other machines.

    Raises:
        ClusterError: for an unsafe address, or workers of another version.
        MissingPackageError: without Dask distributed.
    """
    check_address(address, insecure)
    try:
        from distributed import Client
    except ImportError:
        raise MissingPackageError(
            "a cluster needs Dask distributed: pip install 'tractable[cluster]'"
        ) from None
    with Client(address) as client:  # type: ignore[no-untyped-call]
        compare(versions(list(claim_modules)), client.run(versions, list(claim_modules)))
        yield client.get_executor(pure=False, retries=0)


def compare(ours: Mapping[str, str], theirs: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse workers that would measure other code, and a cluster without workers."""
    if not theirs:
        raise ClusterError("the cluster has no workers; start one")
    for worker, found in theirs.items():
        changed = sorted(name for name in ours if found.get(name) != ours[name])
        if changed:
            raise ClusterError(
                f"worker {worker} has another version of {', '.join(changed)}; install the same "
                "release and packages there"
            )


def check_address(address: str, insecure: bool) -> None:
    """Refuse a plain connection to another machine unless it was asked for."""
    parts = urlsplit(address if "//" in address else f"tcp://{address}")
    if parts.scheme != "tls" and parts.hostname not in LOOPBACK and not insecure:
        raise ClusterError(
            f"the cluster address {address!r} is neither tls nor on this machine; use tls://, "
            "or --insecure if the network is yours"
        )


def versions(claim_modules: list[str]) -> dict[str, str]:
    """Return what two machines must share: the release and every paper's resume key."""
    prefix = "tractable.claims."
    keys = {
        module: resume_key(Entry(module.removeprefix(prefix).replace(".", "/"), "", "", True))
        for module in claim_modules
        if module.startswith(prefix)
    }
    return {"tractable": __version__, **keys}
