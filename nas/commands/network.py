"""The network that a person names, for `nas predict`.

timm:NAME                 a model of timm, with or without its pretrained tag
published:NAME            the same network built from our parts, if we have it
FILE                      an architecture (YAML or JSON), or the folder of an exported network
RUN/ID, RUN:ID            a member of a run's front
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from nas.errors import RunError, SettingsError, SpaceError
from nas.export.description import ARCHITECTURE_FILE, read_architecture
from nas.run.context import Context
from nas.run.folder import read_run
from nas.run.summary import members_of, no_front
from nas.settings import Settings
from search_spaces import Architecture, build_network
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.published import CLASSES, PUBLISHED

TIMM, PUBLISHED_NETWORK = "timm:", "published:"


@dataclass(frozen=True)
class NamedArchitecture:
    """An architecture, with the settings of the run that found it."""

    architecture: Architecture
    run: Settings | None = None

    def completed(self, settings: Settings) -> Settings:
        """The settings, with the run's space, resolutions and data if they have none."""
        if self.run is None:
            return settings
        missing = {"space", "data"} - settings.model_fields_set
        if "data" in missing:
            missing.add("reading")
        if "space" in missing:
            missing |= {n for n in ("resolution", "resolutions") if getattr(settings, n) is None}
        return settings.model_copy(update={name: getattr(self.run, name) for name in missing})


@dataclass(frozen=True)
class Network:
    """A network to predict."""

    module: nn.Module
    shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    id: str | None = None

    @property
    def side(self) -> int | None:
        """Height and width; None if they differ."""
        _, height, width = self.shape
        return height if height == width else None


def architecture_named(name: str) -> NamedArchitecture | None:
    """The architecture in a file or on a run's front; None for a model of timm or a published one.

    Raises:
        RunError: there is no such file, run or member.
        SpaceError: the file holds no architecture.
    """
    if name.startswith((TIMM, PUBLISHED_NETWORK)):
        return None
    path = Path(name)
    if path.is_file() or (path / ARCHITECTURE_FILE).is_file():
        return NamedArchitecture(read_architecture(path))
    if path.suffix in (".yaml", ".yml", ".json"):
        raise SpaceError(f"There is no architecture file '{path}'.")
    if (path / "settings.json").is_file():
        raise RunError(f"'{name}' is a run. Name a network of its front: {name}/ID.")
    id = re.split("[:/]", name)[-1]
    before = name[: -len(id) - 1]
    if not before:
        raise RunError(
            f"There is no file '{name}'. Write timm:{name} for a model of timm, published:{name} "
            "for one built from our parts, or RUN/ID for a member of a run's front (`nas ls` "
            "lists the runs)."
        )
    return _on_front(Path(before), id)


def _on_front(path: Path, id: str) -> NamedArchitecture:
    run = read_run(path)
    front = {member.id: member for member in members_of(run.path)}
    if not front:
        raise no_front(run.path)
    if id not in front:
        raise RunError(
            f"There is no '{id}' on the front of '{run.path}'. There are: {', '.join(front)}."
        )
    return NamedArchitecture(front[id].architecture, run.settings)


def stock_network(name: str, context: Context) -> Network:
    """A model of timm, or a published network of ours, without weights.

    Raises:
        UnknownNameError: there is no such network.
    """
    if name.startswith(PUBLISHED_NETWORK):
        return _published(name.removeprefix(PUBLISHED_NETWORK), context)
    from nas import timm_library  # takes seconds to import

    model = name.removeprefix(TIMM)
    timm_library.check_name(model)
    side, channels, classes = context.settings.resolution, None, None
    if "data" in context.settings.model_fields_set:
        channels, classes = context.data.shape.channels, context.data.shape.classes
    module = timm_library.shapes_only(model, side, channels, classes)
    own_channels, height, width = timm_library.input_shape(module)
    return Network(module, (channels or own_channels, side or height, side or width))


def _published(name: str, context: Context) -> Network:
    published = PUBLISHED[name]
    side = context.settings.resolution or published.resolution
    asked = "data" in context.settings.model_fields_set
    data_shape = context.data.shape if asked else DataShape(3, CLASSES)
    with torch.device("meta"):
        module = build_network(deployed(published.architecture(side)), data_shape)
    return Network(module, (data_shape.channels, side, side))


def network_of(architecture: Architecture, context: Context) -> Network:
    """An architecture as a network with fresh weights.

    Raises:
        SettingsError: the settings ask for another resolution than the architecture's.
    """
    side = architecture.resolution
    if context.settings.resolution not in (None, side):
        raise SettingsError(
            f"Architecture {architecture.id} takes images of {side} px, not "
            f"{context.settings.resolution}: leave --resolution out. The resolution is part "
            "of the architecture; to change it, edit its file."
        )
    asked = "data" in context.settings.model_fields_set
    data_shape = context.data.shape if asked else DataShape()
    module = build_network(deployed(architecture), data_shape)
    return Network(module, (data_shape.channels, side, side), architecture.id)
