"""Published networks: with timm's weights, ours gives timm's scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.timm_library import create_model
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.errors import WeightsError
from search_spaces.network import build_network
from search_spaces.published import CLASSES, PUBLISHED, Published
from search_spaces.space import load_space, space_names

SIDES = (64, 96)
SLOW = {"tf_efficientnet_lite3", "tf_efficientnet_lite4", "pvt_v2_b2"}


def _randomised(model: nn.Module) -> nn.Module:
    """Random statistics as well, so that a swapped mean or a wrong epsilon shows."""
    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def _ours(published: Published, state: dict[str, Tensor], side: int) -> nn.Module:
    network = build_network(published.architecture(side), DataShape(3, CLASSES))
    network.load_state_dict(published.weights(state))
    return network.eval()


def test_there_are_eleven() -> None:
    assert len(PUBLISHED) == 11


@pytest.mark.parametrize("name", [name for name in PUBLISHED.names() if name not in SLOW])
@torch.no_grad()
def test_ours_gives_the_scores_of_timm(name: str) -> None:
    published = PUBLISHED[name]
    theirs = _randomised(create_model(name))
    for side in SIDES:
        images = torch.randn(2, 3, side, side)
        expected = theirs(images)
        found = _ours(published, theirs.state_dict(), side)(images)
        error = (found - expected).abs().max() / expected.abs().max()
        assert error < 1e-4


@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_large_one_has_timms_weights_in_every_place(name: str) -> None:
    published = PUBLISHED[name]
    state = create_model(name).state_dict()
    ours = published.weights(state)
    counted = sum(t.numel() for n, t in ours.items() if not n.endswith(("scale", "tracked")))
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
