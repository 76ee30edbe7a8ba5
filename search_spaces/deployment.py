"""What a trained network is equal to: the network that is timed, counted and exported.

Only norms change, see `progressive_norm.py`; most networks are deployed as they are trained.
"""

from __future__ import annotations

from dataclasses import replace

from search_spaces.architecture import Architecture
from search_spaces.network import Network, build_network
from search_spaces.progressive_norm import DEPLOYED, PROGRESSIVE, ProgressiveBatchNorm


def deployed(architecture: Architecture) -> Architecture:
    """The architecture that a trained network of this one is equal to."""
    if architecture.norm != PROGRESSIVE:
        return architecture
    return replace(architecture, norm=DEPLOYED)


def settled(network: Network) -> Network:
    """The deployed network with equal scores, in eval mode; the same one if nothing changes."""
    architecture = deployed(network.architecture)
    if architecture == network.architecture:
        return network.eval()
    norms = {
        name: module.settled()
        for name, module in network.named_modules()
        if isinstance(module, ProgressiveBatchNorm)
    }
    state = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name.rpartition(".")[0] not in norms
        and name.rpartition(".")[0].rpartition(".")[0] not in norms
    }
    for name, norm in norms.items():
        state |= {f"{name}.{own}": tensor for own, tensor in norm.state_dict().items()}
    like = next(network.parameters())
    plain = build_network(architecture, network.data_shape).to(like.device, like.dtype)
    plain.load_state_dict(state)
    return plain.eval()
