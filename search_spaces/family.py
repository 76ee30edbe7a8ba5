"""Families: the kinds of parts that a network is made of, each one plain module with its options.

A family is registered once, in the file that holds its module. Everything else (sharing weights,
counting cost, measuring latency, contract tests, `nas mixers`) reads these registries.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from search_spaces.errors import SpaceError, unknown_name
from search_spaces.registry import Registry
from search_spaces.slicing import CutRule, by_shape

Value = int | float | bool | str


@dataclass(frozen=True)
class Options:
    """The options of a family; each field is declared with `choice`."""

    def said(self) -> dict[str, Value]:
        """Values by name, without the `tacit` options that have their default."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata["tacit"] or getattr(self, field.name) != field.default
        }


def choice(
    *values: Value,
    default: Value | None = None,
    unit: str = "",
    meaning: str = "",
    tacit: bool = False,
) -> Any:
    """A field of `Options`: the values it may take, from the least to the most expensive.

    The first value is the default unless `default` names another one. Options of several families
    that decide the same thing, such as the side of a depthwise kernel, have the same `meaning`;
    they share a feature. An option without a meaning has a feature of its own.

    A `tacit` option is mentioned only where it differs from its default. So an option that a
    family gets later leaves the ids of architectures, the fingerprints of spaces and the features
    of choices as they were.
    """
    chosen = values[0] if default is None else default
    metadata = {"choices": values, "unit": unit, "meaning": meaning, "tacit": tacit}
    return dataclasses.field(default=chosen, metadata=metadata)


@dataclass(frozen=True)
class Family:
    """A kind of part: its name, its options and the plain module that runs it."""

    name: str
    options: type[Options]
    module: Callable[..., nn.Module]
    paper: str
    nested: tuple[str, ...]
    """Options, and `dim` (the width), for which a smaller module is the larger one with zeros.

    The module with a smaller value computes the same as the module with the largest value whose
    weights outside the smaller one's cut are zero. Leave out an option that changes the function
    in another way, such as the width of a head, and `dim` if a norm averages over channels.
    """
    reference: str = ""
    """A class of another package that the tests compare the module with, by its dotted name.

    Empty where they compare it with a slow implementation of its own equation.
    """
    strided: bool = False
    """Whether the module also takes `out_dim` and `stride`, so that it can open a `bare` stage."""
    shortcut: bool = True
    """Whether a block of it that stands bare and keeps the shape adds the map to its output."""
    deployed: Callable[[Any], tuple[str, Options]] | None = None
    """The family and options that a trained module is equal to, where those are not its own.

    Its module then has a method `settled`, which gives that other module with equal outputs.
    """
    cut: CutRule = by_shape
    """Gives the entries of a shared weight that a smaller module uses."""
    axes: Callable[[Any], Mapping[str, tuple[str, ...]]] | None = None
    """What the leading dimensions of each layer's weight run over, for given options.

    `in` and `out` are the channels of the maps. Any other word is an axis of the module's own,
    whose entries may change places: the hidden channels of an MLP. A word that ends in `heads`
    runs over heads of `head_dim` channels, which stay together. None: nothing may change places.
    """
    common: tuple[str, ...] = ()
    """Layers that a supernet keeps once for all families of a slot that name them.

    Layers of one name must have the same shape and do the same for the map, so that what follows
    can read the outputs of all these families in the same way.
    """

    @property
    def group(self) -> str:
        """The folder that holds the family's file."""
        return self.module.__module__.rpartition(".")[0].rpartition(".")[2]

    @property
    def description(self) -> str:
        """The docstring of the family's file: its equation, what is elastic, its paper."""
        return (sys.modules[self.module.__module__].__doc__ or "").strip()

    @property
    def summary(self) -> str:
        """First line of the module's docstring."""
        return (self.module.__doc__ or "").strip().partition("\n")[0]

    def choices(self) -> dict[str, tuple[Value, ...]]:
        """Each option's allowed values, the least expensive first."""
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
                mistakes are reported together.
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


def _same(given: object, allowed: Value) -> bool:
    """Whether a value from a file means `allowed`: 2 means 2.0, but 1 does not mean True."""
    if isinstance(given, bool) or isinstance(allowed, bool):
        return given is allowed
    return given == allowed


MIXERS: Registry[Family] = Registry("mixer family", "search_spaces.mixers")
CHANNEL_MIXERS: Registry[Family] = Registry("channel mixer", "search_spaces.channel_mixers")
STEMS: Registry[Family] = Registry("stem", "search_spaces.stems")
POSITIONS: Registry[Family] = Registry("position", "search_spaces.positions")
DOWNSAMPLINGS: Registry[Family] = Registry("downsampling", "search_spaces.downsampling")
HEADS: Registry[Family] = Registry("head", "search_spaces.heads")
