"""What can stand in a network: families of parts, each one plain module with its options.

A family is registered once, in the file that holds its module. Everything else (sharing weights,
counting cost, measuring latency, contract tests, `nas mixers`) walks these registries.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from search_spaces.errors import SpaceError, unknown_name

Value = int | float | bool | str


@dataclass(frozen=True)
class Options:
    """What a family lets one choose; each field is declared with `choice`."""


def choice(*values: Value, default: Value | None = None, unit: str = "") -> Any:
    """A field of `Options`: the values it may take, from the cheapest to the dearest.

    The first value is the default unless `default` names another one of them.
    """
    chosen = values[0] if default is None else default
    return dataclasses.field(default=chosen, metadata={"choices": values, "unit": unit})


@dataclass(frozen=True)
class Family:
    """A kind of part: its name, its options and the plain module that runs it.

    `strided` families take `out_dim` and `stride` as well, so that they can open a stage
    themselves (layout `bare`).
    """

    name: str
    options: type[Options]
    module: Callable[..., nn.Module]
    paper: str
    strided: bool = False

    @property
    def summary(self) -> str:
        """First line of the docstring of the module's file."""
        import sys

        doc = sys.modules[self.module.__module__].__doc__ or ""
        own = self.module.__doc__ or ""
        line = own if own and not doc.lower().startswith(self.name[:4]) else doc
        return line.strip().splitlines()[0] if line.strip() else ""

    def choices(self) -> dict[str, tuple[Value, ...]]:
        """Each option's allowed values, cheapest first."""
        return {f.name: f.metadata["choices"] for f in dataclasses.fields(self.options)}

    def every_options(self) -> Iterator[Options]:
        """All combinations of all options."""
        choices = self.choices()
        for values in itertools.product(*choices.values()):
            yield self.options(**dict(zip(choices, values, strict=True)))

    def parse(self, values: Mapping[str, object]) -> list[Options]:
        """Options from a mapping whose values are single choices or lists of them.

        Raises:
            SpaceError: an option does not exist or a value is not among its choices; all
                mistakes are named together.
        """
        allowed = self.choices()
        problems: list[str] = []
        picked: dict[str, list[Value]] = {}
        for key, given in values.items():
            if key not in allowed:
                problems.append(str(unknown_name(f"option of '{self.name}'", str(key), allowed)))
                continue
            listed = list(given) if isinstance(given, (list, tuple)) else [given]
            if not listed:
                problems.append(f"'{self.name}.{key}' is an empty list; give at least one value.")
            picked[key] = []
            for value in listed:
                same = [a for a in allowed[key] if _same(value, a)]
                picked[key] += same
                if not same:
                    known = ", ".join(map(str, allowed[key]))
                    problems.append(f"'{self.name}.{key}' is {value!r}; it can be {known}.")
        if problems:
            raise SpaceError(" ".join(problems))
        return [
            self.options(**dict(zip(picked, combination, strict=True)))
            for combination in itertools.product(*picked.values())
        ]


class Registry:
    """Families of one role, by name, in order of registration."""

    def __init__(self, role: str) -> None:
        """`role` is the word used in messages, such as 'mixer family'."""
        self.role = role
        self._families: dict[str, Family] = {}

    def register(self, family: Family) -> None:
        """Add a family; a name can be taken once."""
        if family.name in self._families:
            raise SpaceError(f"The {self.role} '{family.name}' is registered twice.")
        self._families[family.name] = family

    def names(self) -> tuple[str, ...]:
        """All names, in order of registration."""
        return tuple(self._families)

    def __getitem__(self, name: str) -> Family:
        """The family of that name, or an error that says what there is."""
        if name not in self._families:
            raise unknown_name(self.role, name, self._families)
        return self._families[name]

    def __iter__(self) -> Iterator[Family]:
        """All families."""
        return iter(self._families.values())

    def __len__(self) -> int:
        """How many families there are."""
        return len(self._families)


def _same(given: object, allowed: Value) -> bool:
    """Whether a value from a file means `allowed`: 2 means 2.0, but 1 does not mean True."""
    if isinstance(given, bool) or isinstance(allowed, bool):
        return given is allowed
    return given == allowed


MIXERS = Registry("mixer family")
CHANNEL_MIXERS = Registry("channel mixer")
STEMS = Registry("stem")
DOWNSAMPLINGS = Registry("downsampling")
HEADS = Registry("head")
