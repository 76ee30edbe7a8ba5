"""Our networks as models of timm, and their names in its registry; `nas.timm` is the door."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import CheckpointError, SettingsError
from nas.export.description import read_architecture
from nas.export.timm_index import CLASSIFIER, CONFIG_FILE, ENTRY, exports
from nas.export.timm_network import TimmNetwork, stages_of
from nas.timm_library import PretrainedCfg, build_model_with_cfg, is_model, register_model
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.network import Network

default_cfgs: dict[str, dict[str, Any]] = {}
"""The pretrained models by name; timm looks for this variable when a name is registered."""
OPTIONS = frozenset(
    {"num_classes", "in_chans", "img_size", "global_pool", "drop_rate", "drop_path_rate"}
    | {"features_only", "out_indices", "cache_dir"}
)
"""What `timm.create_model` may be given, besides what it adds itself (`pretrained_...`)."""


def nas_network(
    pretrained: bool = False,
    *,
    architecture: Architecture | Mapping[str, Any] | Path | str | None = None,
    pretrained_cfg: PretrainedCfg | Mapping[str, Any] | str | None = None,
    **options: Any,
) -> nn.Module:
    """Any network of ours, from its architecture; timm's entry point.

    Args:
        architecture: As an object, a dictionary or a file.
        pretrained_cfg: timm's description of weights and images.
        options: As for every model of timm's; `OPTIONS` names them.

    Raises:
        SettingsError: there is no architecture, or an option that these networks cannot have.
        SpaceError: the architecture cannot be read.
    """
    if architecture is None:
        raise SettingsError(
            "'nas_network' needs to know which one: give architecture=, a file or a dictionary, "
            "or create 'local-dir:FOLDER' or 'nas_<id>' of an exported network."
        )
    unknown = sorted(o for o in set(options) - OPTIONS if not o.startswith("pretrained_"))
    if unknown:
        raise SettingsError(
            f"These networks do not take {', '.join(unknown)}. They take: "
            f"{', '.join(sorted(OPTIONS))}."
        )
    chosen = _resized(_architecture(architecture), options.pop("img_size", None))
    if options.get("features_only"):
        wanted = stages_of(options.get("out_indices"), len(chosen.stages))
        options |= {"out_indices": wanted, "feature_cls": "getter"}
    cfg = _images(_described(pretrained_cfg), options.get("in_chans"), chosen.resolution)
    cfg.setdefault("classifier", CLASSIFIER)
    model: nn.Module = build_model_with_cfg(
        TimmNetwork,
        ENTRY,
        pretrained,
        cfg,
        architecture=chosen,
        pretrained_filter_fn=_fitted,
        **options,
    )
    return model


def _described(cfg: PretrainedCfg | Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Timm's description as a dictionary.

    Raises:
        SettingsError: it is a tag, as in `NAME.TAG`: there is one set of weights for each network.
    """
    if isinstance(cfg, str):
        raise SettingsError(
            f"These networks have no pretrained tags, such as '.{cfg}': leave it out."
        )
    return dataclasses.asdict(cfg) if isinstance(cfg, PretrainedCfg) else dict(cfg or {})


def _resized(architecture: Architecture, side: int | tuple[int, int] | None) -> Architecture:
    """The architecture for images of another size.

    Raises:
        SettingsError: its weights depend on the size of its images, or the size cannot be halved
            as often as it halves it.
    """
    if side is None:
        return architecture
    height, width = (side, side) if isinstance(side, int) else side
    if height != width:
        raise SettingsError(f"img_size is {side}; these networks take square images.")
    other = dataclasses.replace(architecture, resolution=int(height))
    shapes = []
    for each in (architecture, other):
        with torch.device("meta"):
            network = Network(each, DataShape())
        shapes.append({name: p.shape for name, p in network.state_dict().items()})
    if shapes[0] != shapes[1]:
        names = [name for name, shape in shapes[0].items() if shapes[1].get(name) != shape]
        raise SettingsError(
            f"Network {architecture.id} is for images of {architecture.resolution} pixels: the "
            f"size of '{names[0]}' depends on it. Leave img_size out."
        )
    return other


def _images(cfg: dict[str, Any], channels: int | None, side: int) -> dict[str, Any]:
    """Timm's description for images of these channels and this size."""
    own = cfg.get("input_size", (channels or 3,))[0]
    channels = channels or own
    cfg["input_size"] = (channels, side, side)
    for name in ("mean", "std"):
        if name in cfg and channels != own:
            cfg[name] = (sum(cfg[name]) / len(cfg[name]),) * channels
    return cfg


def _fitted(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights for images of another number of channels, as timm fits those of its own models.

    The input channels are repeated and scaled, so that the sum over them stays; one channel gets
    the sum. Where `features_only` has removed parts, their weights are left out.
    """
    found = dict(weights)
    for name, own in model.state_dict().items():
        weight = found.get(name)
        differs = weight is not None and weight.shape != own.shape
        if weight is None or not differs or not name.startswith("stem.") or own.dim() < 2:
            continue
        had, has = weight.shape[1], own.shape[1]
        if has == 1:
            found[name] = weight.sum(1, keepdim=True)
        else:
            times = [1] * weight.dim()
            times[1] = -(-has // had)
            found[name] = weight.repeat(times)[:, :has] * (had / has)
    return found


def register() -> list[str]:
    """Tell timm of `nas_network` and of every exported network; returns the names of those."""
    if not is_model(ENTRY):
        register_model(nas_network)
    names = []
    for id, folder in exports().items():
        name = f"nas_{id}"
        if not is_model(name):
            try:
                default_cfgs[name] = _config(folder)[0]
            except CheckpointError:
                continue  # exporting again mends it, so it must not stop the others
            register_model(_entry(id))
        names.append(name)
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
