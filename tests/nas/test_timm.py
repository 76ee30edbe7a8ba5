from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nas.errors import CheckpointError, SettingsError, SpaceError
from nas.export import DataDescription, export_network
from nas.export.timm_index import exports, remember
from search_spaces import Architecture, Network, build_network
from search_spaces.data_shape import DataShape

ARCHITECTURE = Architecture.from_dict(
    {
        "schema": 1,
        "resolution": 8,
        "norm": "batch",
        "stem": {"conv": {"stride": 2, "activation": "gelu"}},
        "stem_width": 12,
        "stages": [
            {
                "width": 12,
                "stride": 1,
                "layout": "metaformer",
                "blocks": [
                    {"mixer": {"attention": {"head_dim": 16}}, "channel_mixer": {"none": {}}},
                    {"mixer": {"depthwise": {"kernel": 5}}, "channel_mixer": {"mlp": {}}},
                ],
            }
        ],
        "head": {"conv": {"width": 320}},
    }
)
DATA = DataDescription("shapes", ("a", "b", "c"), 2, (0.25, 0.5), (0.2, 0.4), 255.0)
NAME = f"nas_{ARCHITECTURE.id}"


def create(name: str, **options: object) -> torch.nn.Module:
    """timm.create_model, once our names are known; timm takes seconds to import."""
    import nas.timm

    return nas.timm.create_model(name, **options)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    network = build_network(ARCHITECTURE, DataShape(2, 3))
    network(torch.randn(64, 2, 8, 8))  # fills the batch norms' buffers
    return network.eval()


@pytest.fixture
def folder(network: Network, tmp_path: Path) -> Path:
    export_network(network, tmp_path / "net", data=DATA, scores={}, formats=("timm",))
    return tmp_path / "net"


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_model_from_the_folder_or_by_its_id_gives_the_networks_scores(
    folder: Path, network: Network, images: torch.Tensor
) -> None:
    for name in (f"local-dir:{folder}", NAME):
        model = create(name, pretrained=True).eval()
        assert torch.equal(model(images), network(images)), name
        # Fresh weights when none are asked for.
        assert not torch.equal(create(name).eval()(images), network(images))


def test_a_damaged_export_does_not_stop_the_others(
    folder: Path, network: Network, images: torch.Tensor, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "config.json").write_text("{}")
    remember("0123456789ab", damaged)
    assert torch.equal(create(NAME, pretrained=True).eval()(images), network(images))


def test_the_default_configuration_says_how_to_prepare_images(folder: Path) -> None:
    for name in (f"local-dir:{folder}", NAME):
        model = create(name, pretrained=True)
        cfg = model.default_cfg
        assert cfg is model.pretrained_cfg
        assert tuple(cfg["input_size"]) == (2, 8, 8)
        assert tuple(cfg["mean"]) == (0.25, 0.5) and tuple(cfg["std"]) == (0.2, 0.4)
        assert cfg["num_classes"] == 3 and tuple(cfg["label_names"]) == ("a", "b", "c")
        assert cfg["crop_pct"] == 1.0 and cfg["interpolation"] == "bilinear"


def test_timm_lists_exported_networks_as_pretrained(folder: Path) -> None:
    import timm

    assert NAME in timm.list_models("nas_*", pretrained=True)
    assert "nas_network" in timm.list_models("nas_*")


def test_other_classes_reset_the_head_and_keep_the_rest(
    folder: Path, network: Network, images: torch.Tensor
) -> None:
    model = create(NAME, pretrained=True, num_classes=7).eval()
    assert model(images).shape == (3, 7)
    for name, value in model.state_dict().items():
        if "classifier" not in name:
            assert torch.equal(value, network.state_dict()[name]), name


def test_no_classes_give_features(folder: Path, images: torch.Tensor) -> None:
    features = create(NAME, pretrained=True, num_classes=0).eval()
    model = create(NAME, pretrained=True).eval()
    assert model.num_features == model.head_hidden_size == 320
    last = model.forward_features(images)
    assert last.shape == (3, 12, 4, 4)
    assert torch.equal(model.forward_head(last, pre_logits=True), features(images))
    assert torch.equal(model.forward_head(last), model(images))
    assert model.get_classifier().out_features == 3


def test_a_reset_classifier_has_the_classes_asked_for(folder: Path, images: torch.Tensor) -> None:
    model = create(NAME).eval()
    model.reset_classifier(5)
    assert model.num_classes == 5 and model(images).shape == (3, 5)
    with pytest.raises(SettingsError, match="global_pool is 'catavgmax'; these networks have"):
        model.reset_classifier(5, "catavgmax")


def test_dropout_and_stochastic_depth_act_in_training_only(
    folder: Path, network: Network, images: torch.Tensor
) -> None:
    for option in ("drop_rate", "drop_path_rate"):
        model = create(NAME, pretrained=True, **{option: 0.5})
        assert torch.equal(model.eval()(images), network(images))
        torch.manual_seed(0)
        first = model.train()(images)
        assert not torch.equal(first, model(images)), option


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pretrained_weights_are_fitted_to_other_channels(
    folder: Path, network: Network, channels: int
) -> None:
    model = create(NAME, pretrained=True, in_chans=channels).eval()
    grey = torch.randn(3, 1, 8, 8)
    scores = model(grey.repeat(1, channels, 1, 1))
    assert model.default_cfg["input_size"] == (channels, 8, 8)
    assert len(model.default_cfg["mean"]) == channels
    if channels != 3:  # of two channels, three take one twice
        torch.testing.assert_close(scores, network(grey.repeat(1, 2, 1, 1)))
    assert create(NAME, in_chans=channels).eval()(torch.randn(1, channels, 8, 8)).shape == (1, 3)


@pytest.mark.parametrize("pretrained", [True, False])
def test_features_only_gives_the_maps_after_stages(
    folder: Path, images: torch.Tensor, pretrained: bool
) -> None:
    model = create(NAME, pretrained=pretrained, features_only=True).eval()
    (features,) = model(images)
    assert features.shape == (3, 12, 4, 4)
    assert model.feature_info.channels() == [12] and model.feature_info.reduction() == [2]
    assert not any("head" in name for name in model.state_dict())
    if pretrained:
        whole = create(NAME, pretrained=True).eval()
        assert torch.equal(features, whole.forward_features(images))
    (last,) = create(NAME, features_only=True, out_indices=[-1]).eval()(images)
    assert last.shape == (3, 12, 4, 4)
    with pytest.raises(SettingsError, match=r"out_indices is \[3\], but"):
        create(NAME, features_only=True, out_indices=[3])


def test_images_of_another_size(folder: Path, network: Network) -> None:
    model = create(NAME, pretrained=True, img_size=16).eval()
    assert model.default_cfg["input_size"] == (2, 16, 16)
    large = torch.randn(2, 2, 16, 16)
    torch.testing.assert_close(model(large), network(large))
    with pytest.raises(SettingsError, match="square images"):
        create(NAME, img_size=(8, 16))


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
def test_a_map_can_be_pooled_in_other_ways(folder: Path, images: torch.Tensor, pool: str) -> None:
    model = create(NAME, pretrained=True, global_pool=pool).eval()
    maps = create(NAME, pretrained=True, global_pool="", num_classes=0).eval()(images)
    assert maps.shape == (3, 320, 4, 4)
    mean, most = maps.mean((2, 3)), maps.amax((2, 3))
    expected = {"avg": mean, "max": most, "avgmax": (mean + most) / 2}[pool]
    torch.testing.assert_close(model(images), model.get_classifier()(expected))


def test_gradients_are_the_same_with_less_kept_in_memory(
    folder: Path, images: torch.Tensor
) -> None:
    models = [create(NAME, pretrained=True) for _ in range(2)]
    models[1].set_grad_checkpointing()
    for model in models:
        model(images).square().sum().backward()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize(
    "options",
    [
        {"features_only": True, "in_chans": 1},
        {"features_only": True, "img_size": 16, "in_chans": 1},
        {"num_classes": 0, "global_pool": "max", "in_chans": 1},
        {"num_classes": None, "in_chans": 1, "drop_rate": None},
        {"img_size": [16, 16], "global_pool": "avgmax", "in_chans": 1},
        {"exportable": True, "in_chans": 1},
    ],
    ids=str,
)
def test_options_go_together(folder: Path, options: dict[str, object]) -> None:
    side = 16 if "img_size" in options else 8
    found = create(NAME, pretrained=True, **options).eval()(torch.randn(2, 1, side, side))
    assert all(torch.isfinite(each).all() for each in found)


def test_weights_of_a_file_can_be_named(
    folder: Path, network: Network, images: torch.Tensor
) -> None:
    model = create(NAME, checkpoint_path=str(folder / "model.safetensors")).eval()
    assert torch.equal(model(images), network(images))


def test_a_description_of_timms_own_kind_is_taken(folder: Path) -> None:
    from timm.models import PretrainedCfg

    model = create(NAME, pretrained_cfg=PretrainedCfg(mean=(0.1, 0.2), input_size=(2, 8, 8)))
    assert tuple(model.default_cfg["mean"]) == (0.1, 0.2)


def test_options_that_cannot_be_are_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match="gives maps, not scores: add num_classes=0"):
        create(NAME, global_pool="")
    with pytest.raises(SettingsError, match="have no pretrained tags, such as '.in1k'"):
        create(f"{NAME}.in1k")
    with pytest.raises(SettingsError, match="do not take window_size. They take: cache_dir"):
        create(NAME, window_size=7)


def test_any_architecture_is_built_from_a_file_or_a_dictionary(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(ARCHITECTURE.to_yaml())
    for given in (file, str(file), ARCHITECTURE, ARCHITECTURE.to_dict()):
        model = create("nas_network", architecture=given, num_classes=4, in_chans=1)
        assert model(torch.randn(2, 1, 8, 8)).shape == (2, 4)
        assert tuple(model.default_cfg["input_size"]) == (1, 8, 8)
    with pytest.raises(SpaceError, match="cannot be read"):
        create("nas_network", architecture={"schema": 1})


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(SettingsError, match="'nas_network' needs to know which one"):
        create("nas_network")


def test_a_damaged_config_is_said(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="config.json' is damaged"):
        create(NAME)


def test_an_export_that_is_gone_is_said(folder: Path) -> None:
    from nas.export import timm_models

    assert timm_models.register() == [NAME]
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError, match=f"{ARCHITECTURE.id} was exported once, but"):
        create(NAME)
    assert timm_models.register() == []


def test_a_damaged_line_of_the_index_is_passed_over(folder: Path, tmp_path: Path) -> None:
    for name, text in (("1", "{"), ("2", "{}"), ("3", "[]"), ("4", '{"folder": 1}')):
        (tmp_path / "cache" / "exports" / f"{name}.json").write_text(text)
    assert exports() == {ARCHITECTURE.id: folder}


def test_the_latest_export_of_an_id_counts(
    folder: Path, network: Network, tmp_path: Path, images: torch.Tensor
) -> None:
    network.get_parameter("head.body.classifier.bias").data += 1.0
    export_network(network, tmp_path / "later", data=DATA, scores={}, formats=("timm",))
    assert torch.equal(create(NAME, pretrained=True).eval()(images), network(images))


def test_the_config_is_json_that_timm_documents(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architecture"] == "nas_network"
    assert config["num_features"] == 320
    assert config["model_args"] == {"architecture": ARCHITECTURE.to_dict()}
