"""The searchers by name, and how to make one.

Every file of this package registers one or several. `nas searchers` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from nas.errors import missing_extra
from nas.search.brief import Brief
from nas.search.protocol import Searcher
from search_spaces.registry import Registry


@dataclass(frozen=True)
class SearcherEntry:
    """A registered searcher."""

    name: str
    description: str
    paper: str
    build: Callable[[Brief], Searcher]
    needs: Literal["evaluations", "supernet"] = "evaluations"
    """Its source besides evaluations: "supernet" if it uses gradients of the shared weights."""
    package: str | None = None
    """The foreign package that it wraps; None for our own searchers."""
    extra: str | None = None
    """The extra that installs the package; None if it is always installed."""

    @property
    def installed(self) -> bool:
        """Whether the foreign package is installed; True for our own searchers."""
        return self.package is None or find_spec(self.package) is not None

    def check_installed(self) -> None:
        """Refuse a searcher whose foreign package is missing.

        Raises:
            MissingExtraError: it is not installed.
        """
        if self.package is not None and self.extra is not None and not self.installed:
            raise missing_extra(self.package, self.extra, f"The searcher '{self.name}'")


SEARCHERS: Registry[SearcherEntry] = Registry(
    "searcher", "nas.search.searchers", hint="See `nas searchers`."
)


def usable(name: str) -> SearcherEntry:
    """The searcher called `name`, whose package is installed.

    Raises:
        UnknownNameError: there is no such searcher.
        MissingExtraError: the package that it wraps is not installed.
    """
    entry = SEARCHERS[name]
    entry.check_installed()
    return entry


def make_searcher(name: str, brief: Brief) -> Searcher:
    """The searcher called `name`, at its start.

    Args:
        name: One of `SEARCHERS`.
        brief: The search.

    Raises:
        UnknownNameError: there is no such searcher.
        MissingExtraError: the package that it wraps is not installed.
        SettingsError: it needs gradients of a supernet, and the brief has none.
    """
    return usable(name).build(brief)
