"""The foreign searchers by name. Listing them imports none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from nas.errors import SpaceError, missing_extra, unknown_name
from nas.search.brief import Brief
from nas.search.foreign.optuna import OptunaTool, Sampler
from nas.search.foreign.tool import ForeignSearcher, Tool, cardinalities_of
from nas.search.protocol import Codes, Searcher


@dataclass(frozen=True)
class Peer:
    """A searcher of another project."""

    name: str
    description: str
    paper: str
    package: str
    """What it is imported from."""
    extra: str | None
    """Which extra brings the package; None for what is always there."""
    tool: Callable[[Brief], Tool]

    @property
    def installed(self) -> bool:
        """Whether its package is here."""
        return find_spec(self.package) is not None


def make_peer(name: str, brief: Brief, *, repeats: bool = True) -> Searcher:
    """The foreign searcher called `name`, at its start.

    Args:
        name: One of `PEERS`.
        brief: The search.
        repeats: Whether it may evaluate a code twice, as it would by itself.

    Raises:
        UnknownNameError: there is no such peer.
        MissingExtraError: its package is not installed.
    """
    if name not in PEERS:
        raise unknown_name("foreign searcher", name, PEERS)
    check_installed(PEERS[name])
    return ForeignSearcher(PEERS[name].tool(brief), brief, repeats=repeats)


def check_installed(peer: Peer) -> None:
    """Say which extra to install where a peer's package is missing.

    Raises:
        MissingExtraError: it is not installed.
    """
    if peer.extra is not None and not peer.installed:
        raise missing_extra(peer.package, peer.extra, f"The searcher '{peer.name}'")


def _optuna(sampler: Sampler) -> Callable[[Brief], Tool]:
    return lambda brief: OptunaTool(
        cardinalities_of(brief.space),
        sampler,
        seed=brief.seed,
        objectives=None if brief.cheap is None else _objectives(brief),
    )


def _pymoo(brief: Brief) -> Tool:
    from nas.search.foreign.pymoo import PymooTool

    return PymooTool(
        cardinalities_of(brief.space),
        seed=brief.seed,
        objectives=_objectives(brief),
        constraints=_constraints(brief),
    )


def _nni(algorithm: str) -> Callable[[Brief], Tool]:
    def tool(brief: Brief) -> Tool:
        from nas.search.foreign.nni import NniTool

        return NniTool(
            brief.space, algorithm, seed=brief.seed, constrained=_constraints(brief) > 0
        )

    return tool


def _objectives(brief: Brief) -> int:
    """How many objectives there are."""
    if brief.cheap is None:
        raise SpaceError("pymoo has to know the number of objectives: give it the cheap ones.")
    return 1 + int(np.asarray(brief.cheap(_one(brief))).shape[1])


def _constraints(brief: Brief) -> int:
    """How many constraints there are."""
    if brief.constraints is None:
        return 0
    return int(np.asarray(brief.constraints(_one(brief))).reshape(1, -1).shape[1])


def _one(brief: Brief) -> Codes:
    """Any code of the space: (1, genes)."""
    return brief.space.sample(1, np.random.default_rng(0))


_PEERS = (
    Peer(
        "optuna-tpe",
        "Optuna's tree-structured Parzen estimator.",
        "https://arxiv.org/abs/2304.11127",
        "optuna",
        None,
        _optuna("tpe"),
    ),
    Peer(
        "optuna-nsga2",
        "Optuna's NSGA-II.",
        "https://doi.org/10.1109/4235.996017",
        "optuna",
        None,
        _optuna("nsga2"),
    ),
    Peer(
        "optuna-gp",
        "Optuna's Gaussian process with expected hypervolume improvement.",
        "https://arxiv.org/abs/2310.20708",
        "optuna",
        None,
        _optuna("gp"),
    ),
    Peer(
        "pymoo-nsga2",
        "pymoo's NSGA-II.",
        "https://arxiv.org/abs/2002.04504",
        "pymoo",
        "peers",
        _pymoo,
    ),
    Peer(
        "nni-evolution",
        "NNI's regularized evolution.",
        "https://arxiv.org/abs/1802.01548",
        "nni",
        "nni",
        _nni("evolution"),
    ),
    Peer(
        "nni-tpe",
        "NNI's tree-structured Parzen estimator.",
        "https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization",
        "nni",
        "nni",
        _nni("tpe"),
    ),
    Peer(
        "nni-random",
        "NNI's random search.",
        "https://arxiv.org/abs/1902.07638",
        "nni",
        "nni",
        _nni("random"),
    ),
)
PEERS: dict[str, Peer] = {peer.name: peer for peer in _PEERS}
