"""Where pages are: under a server's addresses, or beside one another as files."""

from abc import ABC, abstractmethod
from typing import NamedTuple
from urllib.parse import urlencode

__all__ = ["Choice", "FileLinks", "Links", "ServerLinks", "slug_of_word"]


class Choice(NamedTuple):
    """What the grid is narrowed to; an empty text narrows nothing."""

    words: str = ""
    family: str = ""
    verdict: str = ""
    tier: str = ""

    def chosen(self) -> dict[str, str]:
        """Return what narrows, by the names that addresses use."""
        named = {"q": self.words, "family": self.family, "verdict": self.verdict, "tier": self.tier}
        return {name: value for name, value in named.items() if value}


class Links(ABC):
    """How one page names another."""

    served: bool

    @abstractmethod
    def grid(self, choice: Choice, **changed: str) -> str:
        """Return the grid's address, narrowed further by what is changed."""

    @abstractmethod
    def paper(self, slug: str) -> str:
        """Return a paper's address."""

    @abstractmethod
    def asset(self, name: str) -> str:
        """Return the address of a style sheet or feed."""


class ServerLinks(Links):
    """Addresses on the server, which combine filters."""

    served = True

    def grid(self, choice: Choice, **changed: str) -> str:
        """Return the grid's address, narrowed further by what is changed."""
        chosen = choice._replace(**changed).chosen()
        return "/?" + urlencode(chosen) if chosen else "/"

    def paper(self, slug: str) -> str:
        """Return a paper's address."""
        return f"/paper/{slug}"

    def asset(self, name: str) -> str:
        """Return the address of a style sheet or feed."""
        return f"/{name}"


class FileLinks(Links):
    """Relative names of files; a file for each single filter, and none for combinations."""

    served = False

    def __init__(self, up: str = "") -> None:
        """Take the way up to the folder of the export, such as "../"."""
        self.up = up

    def grid(self, choice: Choice, **changed: str) -> str:
        """Return the file of the filter that is changed."""
        for name, value in changed.items():
            if value:
                return f"{self.up}{name}-{slug_of_word(value)}.html"
        return f"{self.up}index.html"

    def paper(self, slug: str) -> str:
        """Return a paper's file."""
        return f"{self.up}paper/{slug}.html"

    def asset(self, name: str) -> str:
        """Return the file of a style sheet or feed."""
        return self.up + name


def slug_of_word(word: str) -> str:
    """Turn "not run here" into "not-run-here"."""
    return word.replace(" ", "-")
