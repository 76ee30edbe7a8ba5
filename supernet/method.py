"""Parts of supernet training that are chosen by name, each with options of its own.

choice = choose(SAMPLERS, "sandwich", {"random_children": 3})      checked names and values
sampler = choice.make(Setup(supernet, macs))                       ready for `train`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.errors import unknown_name
from search_spaces.registry import Registry
from supernet.supernet import Supernet

T = TypeVar("T")


@dataclass(frozen=True)
class NoOptions:
    """The options of a method that has none."""


class ExternalTeacher(Protocol):
    """A trained network beside the supernet."""

    def probabilities(self, images: Tensor) -> Tensor:
        """Of the classes, (B, classes), for normalised images (B, C, R, R)."""
        ...

    def unlabelled(self, step: int, batch_size: int, resolution: int) -> Tensor | None:
        """Images of a step that have no labels, (B, C, R, R); None without any."""
        ...


@dataclass(frozen=True)
class Setup:
    """The supernet and its costs, for making a method."""

    supernet: Supernet
    macs: Callable[[NDArray[np.integer]], NDArray[np.float64]]
    """Multiply-accumulates of codes (n, genes) of the supernet's space: (n,)."""
    donor: Architecture | None = None
    """The child whose weights the supernet started from."""
    teacher: ExternalTeacher | None = None
    """A network beside the supernet that teaches it."""


@dataclass(frozen=True)
class Method(Generic[T]):
    """A registered sampler or supervision."""

    name: str
    options: type[Any]
    """A frozen dataclass; pydantic checks its annotations. Each field has a default."""
    make: Callable[[Setup, Any], T]
    teaches: bool = False
    """Of a sampler: whether the first child of each step is large and can teach the others."""
    paper: str = ""


@dataclass(frozen=True)
class Choice(Generic[T]):
    """A method with the values of its options."""

    method: Method[T]
    options: Any

    def make(self, setup: Setup) -> T:
        """The method at the start of a training."""
        return self.method.make(setup, self.options)

    def __str__(self) -> str:
        """Name and options; equal choices give equal texts."""
        options = dataclasses.asdict(self.options).items()
        return ", ".join([self.method.name, *(f"{name}={value}" for name, value in options)])


def choose(registry: Registry[Method[T]], name: str, values: Mapping[str, object]) -> Choice[T]:
    """The method of that name with some options changed.

    Raises:
        UnknownNameError: there is no such method, or it has no such option.
        pydantic.ValidationError: a value is of the wrong kind or out of range.
    """
    method = registry[name]
    known = [field.name for field in dataclasses.fields(method.options)]
    for key in values:
        if key not in known:
            raise unknown_name(f"option of the {registry.kind} '{name}'", key, known)
    return Choice(method, TypeAdapter(method.options).validate_python(dict(values)))
