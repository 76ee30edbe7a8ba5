from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

from nas.errors import CheckpointError, RunError, SpaceError, UnknownNameError
from nas.export import (
    FORMATS,
    DataDescription,
    ExportError,
    export_network,
    load_exported,
    read_architecture,
)
from nas.export.verification import check_same, random_images
from search_spaces import Network

SCORES = {"test_accuracy": 0.9875}


@pytest.fixture
def exported(network: Network, data: DataDescription, tmp_path: Path) -> Path:
    export_network(network, tmp_path / "net", data=data, scores=SCORES)
    return tmp_path / "net"


def test_an_exported_network_comes_back_to_the_bit(exported: Path, network: Network) -> None:
    images = torch.randn(4, 2, 8, 8)
    for path in (exported, exported / "architecture.yaml"):
        loaded = load_exported(path)
        assert not loaded.training
        assert loaded.architecture == network.architecture
        assert torch.equal(loaded(images), network(images))


def test_the_description_tells_a_person_what_the_network_is(
    exported: Path, network: Network
) -> None:
    text = (exported / "architecture.yaml").read_text()
    assert f'load_exported("{exported}")' in text
    assert "(batch, 2, 8, 8) float32" in text
    assert "tri\u00e4ngle" in text
    document = yaml.safe_load(text)
    assert document["id"] == network.architecture.id
    assert document["scores"] == SCORES
    assert document["data"]["mean"] == [0.25, 0.5]


def test_weights_carry_the_networks_own_names(exported: Path, network: Network) -> None:
    saved = safetensors.torch.load_file(exported / "model.safetensors")
    assert set(saved) == set(network.state_dict())


def test_exporting_leaves_the_network_as_it_is(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    network.train().double()
    before = copy.deepcopy(network.state_dict())
    export_network(network, tmp_path / "net", data=data, scores={})
    assert network.training
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name])


def test_the_same_network_is_written_as_the_same_bytes(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    first = [f.read_bytes() for f in export_network(network, folder, data=data, scores=SCORES)]
    second = [f.read_bytes() for f in export_network(network, folder, data=data, scores=SCORES)]
    assert first == second


def test_files_of_other_weights_do_not_stay(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    export_network(network, folder, data=data, scores=SCORES, formats=("pt2",))
    export_network(network, folder, data=data, scores=SCORES)
    assert (folder / "model.pt2").exists()  # of the same weights
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    (folder / "notes.txt").write_text("a person's own")
    export_network(network, folder, data=data, scores=SCORES)
    names = {file.name for file in folder.iterdir()}
    assert names == {"architecture.yaml", "model.safetensors", "notes.txt"}


def test_an_architecture_is_read_bare_or_from_an_export(
    exported: Path, network: Network, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text(network.architecture.to_yaml())
    for path in (bare, exported, exported / "architecture.yaml"):
        assert read_architecture(path) == network.architecture


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\xff\xfe", "codec"), (b"a: [", "while parsing")],
)
def test_a_file_without_an_architecture_is_refused(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "file.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpaceError, match=f"Cannot read an architecture from .*{message}"):
        read_architecture(file)


def test_an_unknown_format_is_named(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    wrong = f"{FORMATS.names()[0]}x"
    message = f"export format '{wrong}'. Did you mean '{wrong[:-1]}'"
    with pytest.raises(UnknownNameError, match=message):
        export_network(network, tmp_path / "net", data=data, scores={}, formats=(wrong,))
    assert not (tmp_path / "net").exists()


def test_a_folder_that_is_a_file_is_refused(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    (tmp_path / "net").write_text("")
    with pytest.raises(RunError, match="Cannot write"):
        export_network(network, tmp_path / "net", data=data, scores={})


def test_a_copy_that_computes_something_else_is_caught_and_nothing_is_written(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    network.register_forward_hook(lambda _, images, scores: scores + 1e-3)  # no file holds it
    with pytest.raises(ExportError, match=r"The reloaded copy .* differ by up to 0.001 for a"):
        export_network(network, tmp_path / "net", data=data, scores={})
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scores: scores[:, :2], r"the shape \(2, 2\), not \(2, 3\)"),
        (lambda scores: scores * float("nan"), "differ by up to nan"),
        (lambda scores: scores[:1].expand(len(scores), 3), "differ by up to"),
    ],
)
def test_a_copy_that_answers_otherwise_is_caught(
    network: Network, change: object, message: str
) -> None:
    assert callable(change)
    with pytest.raises(ExportError, match=f"The copy of network .*{message}"):
        check_same(network, lambda x: change(network(x)), "The copy", random_images(network), 1e-4)


def test_a_missing_export_is_said(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no exported network in .*nowhere"):
        load_exported(tmp_path / "nowhere" / "architecture.yaml")
    (exported / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="There is no exported network in"):
        load_exported(exported)


def test_damaged_weights_are_refused(exported: Path) -> None:
    file = exported / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not the file that was exported with"):
        load_exported(exported)


@pytest.mark.parametrize(
    "content", [b"no tensors", safetensors.torch.save({"stem": torch.zeros(1)})]
)
def test_weights_of_another_network_are_refused(exported: Path, content: bytes) -> None:
    (exported / "model.safetensors").write_bytes(content)
    text = (exported / "architecture.yaml").read_text()
    digest = hashlib.sha256(content).hexdigest()
    (exported / "architecture.yaml").write_text(
        re.sub("sha256: [0-9a-f]+", f"sha256: {digest}", text)
    )
    with pytest.raises(CheckpointError, match="does not hold the weights of network"):
        load_exported(exported)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema: 1\nid", "schema: 2\nid"),
        ("sha256", "sha"),
        ("depthwise", "depthwyse"),
        ("in_channels: 2", "channels: 2"),
        ("scores: {", "scores: {{"),
        ("data:", "[]\n#"),
    ],
)
def test_a_damaged_description_is_refused(exported: Path, old: str, new: str) -> None:
    file = exported / "architecture.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(CheckpointError, match="does not describe an exported network"):
        load_exported(exported)


def test_a_description_that_is_no_text_is_refused(exported: Path) -> None:
    (exported / "architecture.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="architecture.yaml' is damaged"):
        load_exported(exported)


def test_formats_are_compared_on_the_images_that_are_given(
    network: Network, data: DataDescription, tmp_path: Path
) -> None:
    seen: list[torch.Tensor] = []
    network.register_forward_hook(lambda _, images, scores: seen.append(images[0]))
    given = torch.randn(3, 2, 8, 8)
    export_network(network, tmp_path, data=data, scores={}, formats=("timm",), images=given)
    assert any(torch.equal(images, given) for images in seen)
