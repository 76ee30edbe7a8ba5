"""Every export format holds the networks of every family, whatever else it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import nas.export.formats as home
from nas.errors import ExportError, MissingExtraError
from nas.export import (
    FORMATS,
    DataDescription,
    Export,
    Format,
    default_formats,
    export_network,
    installed_formats,
    load_exported,
)
from nas.export.export import add_file
from nas.export.load import read_description
from nas.export.verification import random_images
from search_spaces import Architecture, Network, build_network
from search_spaces.deployment import settled
from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, MIXERS, STEMS, Family
from search_spaces.layouts import LAYOUTS

DATA = DataDescription("shapes", ("a", "b", "c"), 2, (0.25, 0.5), (0.2, 0.4), 255.0)
WINDOW = {"window": {"size": 4, "shifted": True, "head_dim": 16}}
FAMILIES = tuple(name for name in MIXERS.names() if name != "identity")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


def network_of(mixers: Sequence[str], width: int = 40) -> Network:
    """A network with these mixers, all channel mixers and downsamplings; two heads at 40."""
    channel, downsamplings = CHANNEL_MIXERS.names(), DOWNSAMPLINGS.names()
    blocks = [
        {
            "mixer": WINDOW if name == "window" else {name: {}},
            "channel_mixer": {channel[i % len(channel)]: {}},
        }
        for i, name in enumerate(mixers)
    ]
    stages: list[dict[str, Any]] = [
        {"width": width, "stride": 1, "layout": "metaformer", "downsampling": {name: {}}}
        | {"blocks": blocks[i :: len(downsamplings)]}
        for i, name in enumerate(downsamplings)
    ]
    stages[-1]["stride"] = 2
    architecture = Architecture.from_dict(
        {
            "schema": 1,
            "resolution": 12,
            "norm": "layer",
            "stem": {"conv": {"stride": 1, "activation": "gelu"}},
            "stem_width": width,
            "stages": [stage for stage in stages if stage["blocks"]],
            "head": {"linear": {}},
        }
    )
    torch.manual_seed(0)
    return build_network(architecture, DATA.shape).eval()


def network_of_layouts() -> Network:
    """A network with every layout, blocks that run twice, and positions."""
    block = {"mixer": {"depthwise": {}}, "channel_mixer": {"mlp": {}}}
    stage = {"width": 24, "stride": 1, "blocks": [block] * 2}
    ordered = [layout.name for layout in LAYOUTS if not layout.strides]
    stages: list[dict[str, Any]] = [{**stage, "layout": name} for name in ordered]
    stages[-1]["recursion"] = 2
    strided = {"mixer": {"mbconv": {"norm": "batch"}}, "channel_mixer": {"none": {}}}
    stages.append({"width": 24, "stride": 2, "layout": "bare", "blocks": [strided]})
    return small_network({"conv": {}}, stages)


def small_network(
    stem: Mapping[str, Any], stages: list[dict[str, Any]], width: int = 24, side: int = 36
) -> Network:
    """A network with positions."""
    architecture = Architecture.from_dict(
        {
            "schema": 1,
            "resolution": side,
            "norm": "layer",
            "stem": stem,
            "stem_width": width,
            "position": {"size_conditioned": {}},
            "stages": stages,
            "head": {"linear": {}},
        }
    )
    torch.manual_seed(0)
    return build_network(architecture, DATA.shape).eval()


def usable(name: str) -> Format:
    if FORMATS[name].missing:
        pytest.skip(f"needs {', '.join(FORMATS[name].missing)}")
    return FORMATS[name]


def check(name: str, network: Network, folder: Path) -> None:
    """A format gives the deployed network's scores, and keeps no image that it was given."""
    format, given = usable(name), random_images(network, 3)
    files = export_network(network, folder, data=DATA, scores={}, formats=(name,), images=given)
    assert [f.name for f in files] == ["model.safetensors", format.file, "architecture.yaml"]
    assert given[0].numpy().tobytes() not in (folder / format.file).read_bytes()
    run, images = format.load(folder / format.file), random_images(network, 8)
    network = settled(network)
    for batch in (1, 3, 8):
        with torch.no_grad():
            found, expected = run(images[:batch]), network(images[:batch])
        torch.testing.assert_close(found, expected, rtol=format.tolerance, atol=format.tolerance)


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_holds_shifted_windows_of_two_heads_and_a_fourier_transform(
    name: str, tmp_path: Path
) -> None:
    check(name, network_of(("window", "spectral_gate")), tmp_path / "net")


@pytest.mark.slow  # 3-10 s each
@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_holds_every_layout_a_recursion_and_positions(name: str, tmp_path: Path) -> None:
    network = network_of_layouts()
    assert {stage.layout for stage in network.architecture.stages} == set(LAYOUTS.names())
    check(name, network, tmp_path / "net")


@pytest.mark.slow  # 1-5 s each
@pytest.mark.parametrize("name", FORMATS.names())
@pytest.mark.parametrize("stem", STEMS.names())
def test_a_format_holds_every_stem(stem: str, name: str, tmp_path: Path) -> None:
    block = {"mixer": {"pool": {}}, "channel_mixer": {"none": {}}}
    stage = {"width": 24, "stride": 1, "layout": "metaformer", "blocks": [block]}
    check(name, small_network({stem: {}}, [stage]), tmp_path / "net")


def variants(family: Family) -> list[dict[str, dict[str, Any]]]:
    """A family as its options stand, then each option with each of its other values."""
    usual, found = family.options(), [{}]
    for option, values in family.choices().items():
        found += [{option: value} for value in values if value != getattr(usual, option)]
    return [{family.name: options} for options in found]


def every_variant(registry: Iterable[Family]) -> list[dict[str, dict[str, Any]]]:
    """The variants of all families of a role."""
    return [variant for family in registry for variant in variants(family)]


EVERY_MIXER = every_variant(MIXERS)
TOGETHER = 8
"""Variants of mixers in one network: exporters take much longer for networks of many blocks."""


def network_of_part(number: int) -> Network:
    """The next mixers' variants, and in turn those of channel mixers and downsamplings."""
    start, channel = number * TOGETHER, every_variant(CHANNEL_MIXERS)
    blocks = [
        {"mixer": mixer, "channel_mixer": channel[(start + i) % len(channel)]}
        for i, mixer in enumerate(EVERY_MIXER[start : start + TOGETHER])
    ]
    halves = every_variant(DOWNSAMPLINGS)
    downsamplings = [halves[(4 * number + i) % len(halves)] for i in range(min(4, len(blocks)))]
    stage = {"width": 40, "stride": 1, "layout": "metaformer"}
    stages: list[dict[str, Any]] = [
        {**stage, "downsampling": each, "blocks": blocks[i :: len(downsamplings)]}
        for i, each in enumerate(downsamplings)
    ]
    stages[-1]["stride"] = 2
    return small_network({"conv": {"stride": 1}}, stages, width=40, side=12)


@pytest.mark.slow  # 10-20 s each
@pytest.mark.parametrize("number", range(-(-len(EVERY_MIXER) // TOGETHER)))
def test_onnx_holds_every_value_of_every_option(number: int, tmp_path: Path) -> None:
    check("onnx", network_of_part(number), tmp_path / "net")


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS, ids=lambda family: family.name)
def test_onnx_holds_every_value_of_every_option_of_a_stem(stem: Family, tmp_path: Path) -> None:
    block = {"mixer": {"pool": {}}, "channel_mixer": {"none": {}}}
    stage = {"width": 24, "stride": 1, "layout": "metaformer", "blocks": [block]}
    for number, variant in enumerate(variants(stem)):
        check("onnx", small_network(variant, [stage]), tmp_path / str(number))


@pytest.mark.slow  # 5-30 s each
@pytest.mark.parametrize("name", FORMATS.names())
@pytest.mark.parametrize("start", range(0, len(FAMILIES), TOGETHER))
def test_a_format_holds_every_family(start: int, name: str, tmp_path: Path) -> None:
    check(name, network_of(FAMILIES[start : start + TOGETHER]), tmp_path / "net")


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_is_in_the_file_of_its_name(name: str) -> None:
    assert FORMATS[name].write.__module__ == f"{home.__name__}.{name}"


def test_every_file_is_a_format() -> None:
    files = {file.stem for folder in home.__path__ for file in Path(folder).glob("[!_]*.py")}
    assert files == set(FORMATS.names())


@pytest.mark.parametrize("name", default_formats())
def test_a_format_that_runs_write_unasked_needs_no_extra(name: str) -> None:
    assert FORMATS[name].packages == ()
    assert name in installed_formats()


def test_a_missing_package_names_the_extra() -> None:
    format = toy(packages=("safetensors", "no_such_package"), extra="toys")
    assert format.missing == ("no_such_package",)
    message = r"format 'toy' needs 'no_such_package'.*\[toys\]"
    with pytest.raises(MissingExtraError, match=message):
        format.require()


def test_a_format_that_comes_back_as_another_network_is_caught(tmp_path: Path) -> None:
    network, other = network_of(("pool",)), network_of(("pool",))
    other.get_parameter("head.body.classifier.bias").data[0] += 1e-3
    export_network(network, tmp_path, data=DATA, scores={})
    images, description = random_images(network), read_description(tmp_path)
    with pytest.raises(ExportError, match=r"The toy export .* differ by up to 0.001 for a batch"):
        add_file(toy(), Export(other, description, tmp_path, images))
    add_file(toy(), Export(other, description, tmp_path, images, tolerance=1e-2))


def toy(**more: Any) -> Format:
    def load(file: Path) -> Network:
        return load_exported(file.parent)

    return Format("toy", "toy.txt", lambda export: None, load, **more)
