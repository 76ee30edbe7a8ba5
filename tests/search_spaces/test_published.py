"""Published networks: with timm's weights, ours gives timm's scores at timm's cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.latency.tracing.operations import macs
from nas.latency.tracing.trace import trace
from nas.timm_library import create_model, reparameterize_model, shapes_only
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.deployment import settled
from search_spaces.errors import WeightsError
from search_spaces.network import build_network
from search_spaces.published import CLASSES, PUBLISHED, Published
from search_spaces.space import load_space, space_names

SIDES = (64, 96)
OF_ONE_SIDE = {name for name in PUBLISHED.names() if name.startswith("swin")}
"""timm's model takes images of its own resolution only."""
SLOW = {
    "convnext_tiny",
    "poolformer_s24",
    "pvt_v2_b2",
    "swin_small_patch4_window7_224",
    "tf_efficientnet_lite3",
    "tf_efficientnet_lite4",
}
"""Compared by their weights and costs; a smaller network of the same file by its scores."""


def _randomised(model: nn.Module) -> nn.Module:
    """Random statistics, biases and scales, so that a swapped or forgotten one shows."""
    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point() and tensor.ndim < 2:
            tensor.add_(torch.randn_like(tensor) * 0.1)
    return model.eval()


def _ours(published: Published, state: dict[str, Tensor], side: int) -> nn.Module:
    network = build_network(published.architecture(side), DataShape(3, CLASSES))
    network.load_state_dict(published.weights(state))
    return network.eval()


def test_there_are_thirty_of_thirteen_papers() -> None:
    assert len(PUBLISHED) == 30
    assert len({published.paper for published in PUBLISHED}) == 13


@pytest.mark.parametrize("name", PUBLISHED.names())
def test_ours_has_the_macs_and_parameters_of_timm(name: str) -> None:
    side = PUBLISHED[name].resolution
    theirs = shapes_only(name)
    with torch.device("meta"):
        own = build_network(PUBLISHED[name].architecture(side), DataShape(3, CLASSES))
    counted = [sum(p.numel() for p in model.parameters()) for model in (own, theirs)]
    assert counted[0] == counted[1]
    counted = [macs(trace(model, (1, 3, side, side))) for model in (own, theirs)]
    assert counted[0] == counted[1]


@pytest.mark.parametrize("name", [name for name in PUBLISHED.names() if name not in SLOW])
@torch.no_grad()
def test_ours_gives_the_scores_of_timm(name: str) -> None:
    published = PUBLISHED[name]
    theirs = _randomised(create_model(name))
    for side in (published.resolution,) if name in OF_ONE_SIDE else SIDES:
        images = torch.randn(2, 3, side, side)
        expected = theirs(images)
        found = _ours(published, theirs.state_dict(), side)(images)
        error = (found - expected).abs().max() / expected.abs().max()
        assert error < 1e-4


@torch.no_grad()
def test_ours_as_deployed_gives_the_scores_of_timms_folded_branches() -> None:
    published = PUBLISHED["repvit_m0_9"]
    theirs = _randomised(create_model(published.name))
    ours = settled(_ours(published, theirs.state_dict(), 64))
    assert ours.architecture.head.kind == "plain"
    blocks = [block for stage in ours.architecture.stages for block in stage.blocks]
    assert {block.channel_mixer.kind for block in blocks} == {"mlp"}
    images = torch.randn(2, 3, 64, 64)
    expected = reparameterize_model(theirs)(images)
    assert (ours(images) - expected).abs().max() / expected.abs().max() < 1e-4


@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_large_one_has_timms_weights_in_every_place(name: str) -> None:
    published = PUBLISHED[name]
    state = create_model(name).state_dict()
    ours = published.weights(state)
    counted = sum(t.numel() for n, t in ours.items() if not n.endswith("tracked"))
    assert counted == sum(t.numel() for n, t in state.items() if not n.endswith("tracked"))


def test_an_architecture_can_be_written_and_read_again() -> None:
    for published in PUBLISHED:
        architecture = published.architecture(64)
        assert Architecture.from_yaml(architecture.to_yaml()) == architecture


def test_weights_under_other_names_are_taken_in_order() -> None:
    published = PUBLISHED["mobilenetv2_100"]
    state = create_model("mobilenetv2_100").state_dict()
    renamed = {f"layer{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(state.items())}
    first, second = published.weights(state), published.weights(renamed)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_of_another_network_are_refused() -> None:
    state = create_model("tf_efficientnet_lite1").state_dict()
    with pytest.raises(WeightsError, match="not those of efficientnet_b0: there is no"):
        PUBLISHED["efficientnet_b0"].weights(state)
    with pytest.raises(WeightsError, match="has the shape"):
        PUBLISHED["tf_efficientnet_lite4"].weights(
            create_model("tf_efficientnet_lite0").state_dict()
        )


def test_the_largest_network_of_a_space_around_a_published_one_is_that_one() -> None:
    found = 0
    for space in map(load_space, space_names()):
        donor = space.definition.donor
        if donor is not None:
            architecture = PUBLISHED[donor].architecture(max(space.definition.resolution))
            assert space.decode(space.encode(architecture)) == architecture
            found += 1
    assert found == 2
