"""Our networks as models of timm, and their names in its registry; `nas.timm` is the door."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import CheckpointError, SettingsError
from nas.export.description import read_architecture
from nas.export.timm_index import CLASSIFIER, CONFIG_FILE, ENTRY, exports
from nas.timm_library import build_model_with_cfg, is_model, register_model
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.network import Network

default_cfgs: dict[str, dict[str, Any]] = {}
"""The pretrained models by name; timm looks for this variable when a name is registered."""


class TimmNetwork(Network):
    """A network with the methods that timm's users and training scripts expect.

    A subclass, because weights must have the names that `Network` gives them.
    """

    def __init__(
        self,
        architecture: Architecture,
        in_chans: int = 3,
        num_classes: int = 1000,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(architecture, DataShape(in_chans, max(1, num_classes)))
        self.drop_rate, self.drop_path_rate = drop_rate, drop_path_rate
        self.num_classes = self.data_shape.classes
        self.num_features = self.head_hidden_size = self._linear().in_features
        if num_classes < 1:
            self.reset_classifier(0)

    def forward(self, x: Tensor, drop_path_rate: float | None = None) -> Tensor:
        """Class scores, (B, C, R, R) -> (B, num_classes), or features if there are no classes."""
        return self.forward_head(self.forward_features(x, drop_path_rate))

    def forward_features(self, x: Tensor, drop_path_rate: float | None = None) -> Tensor:
        """The last map, (B, C, R, R) -> (B, width, H, W)."""
        rate = self.drop_path_rate if drop_path_rate is None else drop_path_rate
        rate = rate if self.training else 0.0
        x = x.contiguous(memory_format=torch.channels_last)
        for name, slope in zip(self.part_names[:-1], self.rates, strict=False):
            x = self.get_submodule(name)(x, slope * rate)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """From the last map to scores, or to what the classifier sees, (B, num_features)."""
        body = self.get_submodule("head.body")
        headless = copy.copy(body)
        headless._modules = {**body._modules, "classifier": nn.Identity()}
        y: Tensor = headless(x)
        if pre_logits:
            return y
        y = F.dropout(y, self.drop_rate, self.training)
        scores: Tensor = self.get_classifier()(y)
        return scores

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.get_submodule(CLASSIFIER)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by an untrained one, or by none for 0 classes."""
        if global_pool not in (None, "", "avg"):
            raise SettingsError(
                f"global_pool is '{global_pool}'; these networks take the mean. Leave it out."
            )
        fresh = nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()
        like = next(self.parameters())
        self.get_submodule("head.body").add_module("classifier", fresh.to(like.device, like.dtype))
        self.num_classes = num_classes

    def _linear(self) -> nn.Linear:
        classifier = self.get_classifier()
        assert isinstance(classifier, nn.Linear)
        return classifier


def nas_network(
    pretrained: bool = False,
    *,
    architecture: Architecture | Mapping[str, Any] | Path | str | None = None,
    pretrained_cfg: Mapping[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """Any network of ours, from its architecture; timm's entry point.

    Args:
        architecture: As an object, a dictionary or a file.
        pretrained_cfg: timm's description of weights and images.
        options: As for every model of timm's: `num_classes`, `in_chans`, ...

    Raises:
        SettingsError: there is no architecture, or the weights are for other images.
        SpaceError: the architecture cannot be read.
    """
    if architecture is None:
        raise SettingsError(
            "'nas_network' needs to know which one: give architecture=, a file or a dictionary, "
            "or create 'local-dir:FOLDER' or 'nas_<id>' of an exported network."
        )
    chosen = _architecture(architecture)
    if options.pop("features_only", False):
        raise SettingsError(
            "'features_only' does not work for these networks; use forward_features(images)."
        )
    side = chosen.resolution
    cfg: dict[str, Any] = dict(pretrained_cfg or {})
    cfg.setdefault("input_size", (options.get("in_chans", 3), side, side))
    cfg.setdefault("classifier", CLASSIFIER)
    channels = cfg["input_size"][0]
    if pretrained and options.get("in_chans", channels) != channels:
        raise SettingsError(
            f"The weights of network {chosen.id} are for images of {channels} channels, and "
            f"in_chans={options['in_chans']} was asked for. Leave in_chans out, or give "
            "pretrained=False to train anew."
        )
    model: nn.Module = build_model_with_cfg(
        TimmNetwork, ENTRY, pretrained, cfg, architecture=chosen, **options
    )
    return model


def register() -> list[str]:
    """Tell timm of `nas_network` and of every exported network; returns the names of those."""
    if not is_model(ENTRY):
        register_model(nas_network)
    names = []
    for id, folder in exports().items():
        names.append(f"nas_{id}")
        if not is_model(names[-1]):
            default_cfgs[names[-1]] = _config(folder)[0]
            register_model(_entry(id))
    return names


def _entry(id: str) -> Any:
    """Timm's entry point of one exported network, which looks up its folder at each call."""

    def entry(pretrained: bool = False, **options: Any) -> nn.Module:
        folder = exports().get(id)
        if folder is None:
            raise CheckpointError(
                f"Network {id} was exported once, but its folder is gone. Export it again."
            )
        cfg, arguments = _config(folder)
        options["pretrained_cfg"] = options.get("pretrained_cfg") or cfg
        return nas_network(pretrained, **{**arguments, **options})

    entry.__name__ = entry.__qualname__ = f"nas_{id}"
    entry.__doc__ = f"The exported network {id}."
    return entry


def _config(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Timm's description of an exported network, and the arguments that build it."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
        cfg = {**config["pretrained_cfg"], "file": str(folder), "source": "local-dir"}
        cfg["label_names"] = tuple(config["label_names"])
        return cfg, dict(config["model_args"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"'{folder / CONFIG_FILE}' is damaged: {error}. Export the network again."
        ) from None


def _architecture(given: Architecture | Mapping[str, Any] | Path | str) -> Architecture:
    if isinstance(given, Architecture):
        return given
    if isinstance(given, Mapping):
        return Architecture.from_dict(given)
    return read_architecture(Path(given))
