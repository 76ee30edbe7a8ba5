"""What a trained network is equal to: the network that is timed, counted and exported.

Norms that change while they are trained (`progressive_norm.py`) and branches that add up to one
layer (`folding.py`) have simpler equals; most networks are deployed as they are trained.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from search_spaces.architecture import Architecture, Block, Stage
from search_spaces.network import Network, build_network
from search_spaces.parts import deployed_choice
from search_spaces.progressive_norm import DEPLOYED, PROGRESSIVE


@runtime_checkable
class Settling(Protocol):
    """A module that is deployed as another one."""

    def settled(self) -> nn.Module:
        """The module that computes the same with the statistics so far."""


def deployed(architecture: Architecture) -> Architecture:
    """The architecture that a trained network of this one is equal to."""
    found = replace(
        architecture,
        norm=DEPLOYED if architecture.norm == PROGRESSIVE else architecture.norm,
        stages=tuple(map(_deployed_stage, architecture.stages)),
        head=deployed_choice("head", architecture.head),
    )
    return architecture if found == architecture else found


def settled(network: Network) -> Network:
    """The deployed network with equal scores, in eval mode; the same one if nothing changes."""
    architecture = deployed(network.architecture)
    if architecture == network.architecture:
        return network.eval()
    state: dict[str, Tensor] = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, Settling):
            plain = module.settled().state_dict()
            state = {key: t for key, t in state.items() if not key.startswith(f"{name}.")}
            state |= {f"{name}.{own}": tensor for own, tensor in plain.items()}
    like = next(network.parameters())
    plain_network = build_network(architecture, network.data_shape).to(like.device, like.dtype)
    plain_network.load_state_dict(state)
    return plain_network.eval()


def _deployed_stage(stage: Stage) -> Stage:
    blocks = (
        Block(
            deployed_choice("mixer", block.mixer),
            deployed_choice("channel_mixer", block.channel_mixer),
        )
        for block in stage.blocks
    )
    return replace(stage, blocks=tuple(blocks))
