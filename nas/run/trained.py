"""Retrained networks of a run, read from their folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.errors import SettingsError
from nas.result import FrontMember
from nas.retrain import NetworkResult
from nas.run.front import network_folder
from nas.run.work import Work
from nas.storage import read_json
from search_spaces import Network, build_network
from supernet.training.checkpoint import from_bytes


@dataclass(frozen=True)
class Trained:
    """A network with its weights."""

    network: Network
    scores: dict[str, float]
    """`validation_accuracy`, and `test_accuracy` if it was retrained."""
    from_scratch: bool
    """Whether its weights owe nothing to the supernet's."""


def results_of(run: Path) -> dict[str, NetworkResult]:
    """The results of a run's retrained networks, by id."""
    found = sorted((run / "networks").glob("*/result.json"))
    return {path.parent.name: NetworkResult.from_dict(read_json(path)) for path in found}


def retrained(work: Work, member: FrontMember) -> Trained:
    """A retrained network, read from its folder."""
    folder, data = network_folder(work.path, member.id), work.context.data
    path = folder / "network.safetensors"
    tensors, description = from_bytes(path.read_bytes(), str(path))
    if description["id"] != member.id:
        raise SettingsError(f"'{path}' holds network {description['id']}. Delete its folder.")
    network = build_network(member.architecture, data.shape)
    network.load_state_dict(tensors)
    result = NetworkResult.from_dict(read_json(folder / "result.json"))
    scores = {
        "validation_accuracy": result.validation.accuracy,
        "test_accuracy": result.test.accuracy,
    }
    return Trained(network.eval(), scores, result.from_scratch)
