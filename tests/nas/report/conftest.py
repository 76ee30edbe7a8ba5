from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.ranking.agreement import agreements
from nas.ranking.result import Ranked, Ranking
from nas.report import ReportContent
from nas.result import (
    FrontMember,
    Latency,
    NamedTarget,
    Recommendation,
    StockLatency,
    StockNetwork,
)
from nas.retrain import NetworkResult
from nas.search.objectives import Budgets
from nas.search.records import Record
from nas.search.surrogates.assessment import SurrogateFit
from search_spaces import Architecture
from supernet.scores import Evaluation
from supernet.training.recipe import Recipe

BLOCK = {"mixer": {"window": {"size": 4, "shifted": True}}, "channel_mixer": {"mlp": {}}}
ARCHITECTURE = Architecture.from_dict(
    {
        "schema": 1,
        "resolution": 8,
        "norm": "layer",
        "stem": {"conv": {"stride": 1, "activation": "gelu"}},
        "stem_width": 12,
        "stages": [
            {"width": 12, "stride": 1, "layout": "metaformer", "blocks": [BLOCK]},
            {
                "width": 20,
                "stride": 2,
                "layout": "metaformer",
                "downsampling": {"pool": {}},
                "blocks": [BLOCK, {"mixer": {"pool": {}}, "channel_mixer": {"none": {}}}],
            },
        ],
        "head": {"linear": {}},
    }
)


TARGET = NamedTarget(
    "cpu", "cpu (eager, fp32, channels_last, batch 1, resolution 8 px, 2 threads)"
)
HELD_OUT = [Latency("cpu", 2.0, 1.8, 2.2, 2.1), Latency("cpu", 3.0, 2.7, 3.3, 3.5)]


def records(count: int, seed: int) -> list[Record]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        ms, accuracy = float(rng.uniform(1, 8)), float(rng.uniform(0.5, 1))
        accuracy = float("nan") if i == 3 else accuracy
        made.append(
            Record(
                i, f"{i:012x}", (i,), accuracy, accuracy, 0.1,
                (Latency("cpu", ms, ms * 0.9, ms * 1.1),), 10**6, 10**5, 0.5, 1.0,
            )
        )  # fmt: skip
    return made


def member(
    id: str, accuracy: float, ms: float, measured_ms: float, test_accuracy: float | None = None
) -> FrontMember:
    return FrontMember(
        id, (0,), ARCHITECTURE, accuracy, accuracy, 0.1,
        (Latency("cpu", ms, ms * 0.9, ms * 1.1, measured_ms),), 1_500_000, 120_000, 0.5,
        test_accuracy, None if test_accuracy is None else 0.97, 0.875,
    )  # fmt: skip


def stock(name: str, pretrained: str | None, accuracy: float, ms: float) -> StockNetwork:
    return StockNetwork(
        name, 48, pretrained, 3, accuracy, accuracy, (StockLatency("cpu", ms, True),), 2_500_000,
        9.0, Path(f"baselines/{name}-48px"),
    )  # fmt: skip


def ranking() -> Ranking:
    scores = np.linspace(0.5, 0.9, 6)
    networks = tuple(
        Ranked(f"{i:012x}", float(score), float(score) - 0.1, 0.1, 10**5, 10**6, (2.0,))
        for i, score in enumerate(scores)
    )
    said = {"supernet, accuracy": scores, "MACs": scores[::-1]}
    found = agreements(scores, said, np.random.default_rng(0))
    return Ranking("trained alone from new weights", "accuracy", networks, tuple(found))


@pytest.fixture
def full() -> ReportContent:
    """Everything that a report can show."""
    score = Evaluation(0.99, 0.98, 0.05)
    return ReportContent(
        title="tiny <on> digits",
        targets=[TARGET],
        records=records(30, 0),
        front=[
            member("0" * 12, 0.8, 1.5, measured_ms=1.6),
            member(ARCHITECTURE.id, 0.9, 3.0, measured_ms=2.9, test_accuracy=0.99),
        ],
        budgets=Budgets(((5.0,),)),
        searcher="evolution",
        held_out=HELD_OUT,
        random_records=records(30, 1),
        surrogates=[SurrogateFit("ridge", 0.875, 0.9)],
        supernet_curve=[
            {"epoch": e, "loss": 1.0, "largest": 0.9, "smallest": 0.5, "random": 0.7}
            for e in (1.0, 2.0)
        ],
        on_cluster=[
            {
                "search": "evaluations.jsonl",
                "workers": 4,
                "nodes": ["10.0.0.1", "10.0.0.2"],
                "evaluations": 1200,
                "seconds": 60.0,
                "worker_seconds": 180.0,
                "failures": ["worker 3 on 10.0.0.2 died"],
            }
        ],
        retrained=[NetworkResult(ARCHITECTURE.id, score, score, False, 4, Recipe(), [], 61.0)],
        best=ARCHITECTURE,
        settings={"space": "tiny", "threads": None, "recipe": {}},
        environment={"python": "3.11", "packages": {"torch": "2.9"}, "command": ["nas", "search"]},
        notes=("images are <small>",),
        exported=(Path("results/run/networks/x"),),
        origin="The supernet started from the weights of a network.",
        recommended=[Recommendation((5.0,), ARCHITECTURE.id, "It is good.", "The search paid.")],
        stock=[stock("lcnet_050", None, 0.5, 2.5), stock("levit_128s", "a package", 0.75, 4.5)],
        validation_images=200,
        ranking=ranking(),
        test_images=100,
    )


@pytest.fixture
def empty() -> ReportContent:
    """A run that has hardly begun."""
    return ReportContent(
        title="nothing yet", targets=[NamedTarget("cpu", "cpu")], records=(), front=()
    )
