"""A registry: the entries of one kind by name, found by walking the package that holds them.

    SAMPLERS: Registry[SamplerEntry] = Registry("sampler", "supernet.sampling")
    SAMPLERS.register(SamplerEntry("sandwich", ...))         in the file that defines it

Adding a file to the package adds its entry; nothing else names it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from search_spaces.errors import unknown_name


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """What the entry is called."""
        ...


E = TypeVar("E", bound=Named)


class Registry(Generic[E]):
    """Entries of one kind by name.

    The files that register them are imported when the registry is first read. Entries of a
    package are in alphabetical order, those of a single module in order of registration.
    """

    def __init__(self, kind: str, home: str, hint: str = "") -> None:
        """Make a registry.

        Args:
            kind: The word used in messages, such as "searcher".
            home: The module whose import registers them, or a package: then every module below.
            hint: Advice for a person who names an unknown entry.
        """
        self.kind = kind
        self._home, self._hint = home, hint
        self._entries: dict[str, E] = {}
        self._filled = False

    def register(self, entry: E) -> None:
        """Add an entry; a name can be taken once."""
        if entry.name in self._entries:
            raise ValueError(f"The {self.kind} '{entry.name}' is registered twice.")
        self._entries[entry.name] = entry

    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._all())

    def __getitem__(self, name: str) -> E:
        """The entry of that name.

        Raises:
            UnknownNameError: there is none; the message lists the known names.
        """
        entries = self._all()
        if name not in entries:
            raise unknown_name(self.kind, name, entries, self._hint)
        return entries[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is an entry of that name."""
        return name in self._all()

    def __iter__(self) -> Iterator[E]:
        """All entries."""
        return iter(tuple(self._all().values()))

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._all())

    def _all(self) -> dict[str, E]:
        if not self._filled:
            self._filled = True  # first: a file may ask for another entry while it is imported
            home = importlib.import_module(self._home)
            for name in modules_below(home):
                importlib.import_module(name)
            if hasattr(home, "__path__"):
                self._entries = dict(sorted(self._entries.items()))
        return self._entries


def modules_below(package: ModuleType) -> list[str]:
    """Names of all modules in a package and the packages below it; none for a single module."""
    paths = getattr(package, "__path__", ())
    return [m.name for m in pkgutil.walk_packages(paths, f"{package.__name__}.") if not m.ispkg]
