"""Several processes train as one does: the same losses and weights from the same batches."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys

import torch
import torch.distributed as dist

from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.errors import TrainingError
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.method import Setup, choose
from supernet.sampling.sandwich import Sandwich, SandwichOptions
from supernet.supervision import SUPERVISIONS, Supervision
from supernet.supervision.in_place import InPlaceDistillation, InPlaceOptions
from supernet.training.parallel.apart import Apart
from supernet.training.recipe import Recipe
from supernet.training.parallel.together import Together
from supernet.training.train import train
from tests.blobs import Blobs

orders = json.loads(sys.argv[1])
torch.set_num_threads(1)
number, count = orders["worker"], orders["workers"]
if count > 1:
    dist.init_process_group(
        "gloo", init_method=orders["meet"], rank=number, world_size=count
    )

TEXT = '''
schema: 1
name: small
norm: NORM
resolution: [6, 8]
stem: [conv: {stride: 1}]
stages:
- width: [8, 12]
  depth: [1, 2]
  mixers: [depthwise: {kernel: [3, 5]}, mbconv: {norm: batch}, attention, spectral_gate]
  channel_mixers: [none, mlp: {ratio: [1, 2]}]
- {width: [12, 20], depth: 1, stride: 2, downsampling: [conv, pool], mixers: [pool, linear]}
'''


class Features(Supervision):
    '''Not a mean over images: a layer of its own, a moving average, a margin between children.'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(5 + number)
        self.head = torch.nn.Linear(8, 2)
        self.register_buffer("average", torch.zeros(4))

    def losses(self, step):
        found = []
        for child in step.children:
            maps = list(step.maps(child).values())
            features = maps[0].mean((2, 3))[:, :8]
            targets = step.batch(child).targets
            self.average.mul_(0.9).add_(0.1 * features.detach().mean(0)[:4])
            found.append(
                torch.nn.functional.cross_entropy(self.head(features), targets)
                + torch.nn.functional.cross_entropy(maps[-1], targets)
                + (features.mean(0)[:4] - self.average).square().mean()
            )
        yield torch.stack(found).sum() + torch.relu(found[0] - found[-1] + 0.1)


class Telling(Sandwich):
    '''Learns from the losses of its children.'''

    told = 0.0

    def tell(self, children, losses):
        self.told += sum(losses)

    def state(self):
        return {"told": self.told}

    def load(self, state):
        self.told = state["told"]


def trained(how):
    kind = getattr(torch, how.get("dtype", "float64"))
    text = TEXT.replace("NORM", how["norm"])
    space = SearchSpace(read_definition(text, "test"))
    supernet = Supernet(space, DataShape(1, 2), seed=3 + number).to(kind)  # see `align`
    sampler = (Telling if how.get("telling", True) else Sandwich)(space, SandwichOptions())
    in_place = InPlaceDistillation(InPlaceOptions())
    supervision = Features().to(kind) if how.get("features") else in_place
    if "supervision" in how:
        setup = Setup(supernet, lambda codes: codes.sum(axis=1).astype(float))
        torch.manual_seed(5 + number)
        choice = choose(SUPERVISIONS, how["supervision"], how.get("options", {}))
        supervision = choice.make(setup).to(kind)
    recipe = Recipe(
        epochs=how["epochs"], batch_size=how.get("batch", 7), learning_rate=4e-3, drop_path=0.2,
        micro_batch=how["at once"] // count if "at once" in how else None,
        recompute_activations=how.get("recompute", False),
        gradient_projection=how.get("project"), update_each_child=how.get("each", False),
    )
    workers = None if count == 1 else Apart() if how.get("apart") else Together()
    losses = []
    curve = train(
        supernet, Blobs(10, kind), recipe, sampler, supervision,
        seed=1, progress=lambda now: losses.append(now.loss), workers=workers,
        validate=lambda net: {"sum": float(sum(p.detach().sum() for p in net.parameters()))},
    )
    own = {f"own.{k}": v for k, v in supervision.state_dict().items()}
    tensors = {**supernet.state_dict(), **own}
    return {
        "losses": losses,
        "weights": torch.cat([v.flatten().double() for v in tensors.values()]),
        "curve": curve,
        "told": getattr(sampler, "told", None),
    }


found = {}
for name, how in orders["trainings"].items():
    try:
        found[name] = trained(how)
    except TrainingError as error:
        found[name] = str(error)
torch.save(found, orders["out"])
"""

FIFTY = {
    "layer": {"norm": "layer", "epochs": 5},
    "batch": {"norm": "batch", "epochs": 5},
    "features": {"norm": "batch", "epochs": 1, "features": True},
    "parts": {"norm": "batch", "epochs": 1, "features": True, "at once": 4},
    "recomputed": {"norm": "batch", "epochs": 1, "recompute": True},
    "projected": {"norm": "layer", "epochs": 1, "project": "children"},
    "each": {"norm": "batch", "epochs": 1, "each": True},
    "sharp": {"norm": "layer", "epochs": 1, "supervision": "sharpness-aware"},
    "resting": {
        "norm": "layer",
        "epochs": 1,
        "at once": 4,
        "project": "children",
        "supervision": "in-place",
        "options": {"teacher_every": 2},
    },
    "bootstrap": {"norm": "batch", "epochs": 1, "supervision": "bootstrap"},
    "masked": {
        "norm": "batch",
        "epochs": 1,
        "supervision": "masked",
        "options": {"share": 0.5, "then": "bootstrap"},
    },
}
"""Trainings that any number of workers does alike."""
ONLY_SEVERAL = {
    "apart": {"norm": "layer", "epochs": 3, "apart": True, "telling": False},
    "apart, learning": {"norm": "layer", "epochs": 1, "apart": True},
    "apart, masked": {
        "norm": "layer",
        "epochs": 1,
        "apart": True,
        "telling": False,
        "supervision": "masked",
    },
    "apart, bootstrap": {
        "norm": "layer",
        "epochs": 1,
        "apart": True,
        "telling": False,
        "supervision": "bootstrap",
    },
    "few images": {"norm": "layer", "epochs": 1, "batch": 2},
}
Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Found]:
    """Do trainings in that many processes at once; what each process ended with, by name."""

    @cache
    def run(workers: int) -> Found:
        import torch

        home = tmp_path_factory.mktemp("workers")
        every = {**FIFTY, **ONLY_SEVERAL}
        trainings = FIFTY if workers == 1 else every
        if workers == 3:
            trainings = {name: every[name] for name in ("features", "few images")}
        outs = [home / f"{worker}.pt" for worker in range(workers)]
        meet = f"file://{home}/meet"
        running = []
        for worker, out in enumerate(outs):
            orders = {"trainings": trainings, "worker": worker, "workers": workers}
            orders |= {"meet": meet, "out": str(out)}
            program = [sys.executable, "-c", PROGRAM, json.dumps(orders)]
            running.append(subprocess.Popen(program, cwd=ROOT, stderr=subprocess.PIPE, text=True))
        errors = [process.communicate(timeout=240)[1] for process in running]
        assert not any(process.returncode for process in running), errors[0]
        return [torch.load(out, weights_only=True) for out in outs]

    return run


def furthest(one: dict[str, Any], other: dict[str, Any], what: str) -> float:
    """The largest difference between two trainings."""
    import torch

    first, second = (torch.as_tensor(each[what], dtype=torch.float64) for each in (one, other))
    return float((first - second).abs().max())


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_two_workers_train_as_one_does(trained: Callable[..., Found], norm: str) -> None:
    alone, first = trained(1)[0][norm], trained(2)[0][norm]
    assert len(alone["losses"]) == 50
    assert furthest(alone, first, "losses") < 1e-10
    # Biases before a batch norm have a gradient of zero up to rounding, and Adam divides that
    # rounding by its own size: their weights differ more than anything that depends on them.
    assert furthest(alone, first, "weights") < 1e-9
    assert abs(alone["told"] - first["told"]) < 1e-9
    assert abs(first["curve"][-1]["sum"] - alone["curve"][-1]["sum"]) < 1e-7


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_all_workers_end_alike_and_the_first_one_validates(
    trained: Callable[..., Found], norm: str
) -> None:
    first, second = (found[norm] for found in trained(2))
    assert furthest(first, second, "weights") == 0.0
    assert first["losses"] == second["losses"]
    assert [entry["epoch"] for entry in first["curve"]] == [1, 2, 3, 4, 5]
    assert "sum" in first["curve"][-1] and "sum" not in second["curve"][-1]


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("features", 2),
        ("features", 3),
        ("sharp", 2),
        ("bootstrap", 2),
        ("masked", 2),
        ("parts", 2),
        ("recomputed", 2),
        ("projected", 2),
    ],
)
def test_losses_that_are_no_means_over_images_are_the_same_as_well(
    trained: Callable[..., Found], kind: str, workers: int
) -> None:
    alone, first = trained(1)[0][kind], trained(workers)[0][kind]
    assert furthest(alone, first, "losses") < 1e-10  # seven images do not divide evenly
    assert furthest(alone, first, "weights") < 1e-9


def test_workers_with_children_of_their_own_end_with_the_same_weights(
    trained: Callable[..., Found],
) -> None:
    masked = [found["apart, masked"] for found in trained(2)]
    assert furthest(masked[0], masked[1], "weights") == 0.0
    first, second = (found["apart"] for found in trained(2))
    assert furthest(first, second, "weights") == 0.0
    assert first["losses"] == second["losses"]
    assert sum(first["losses"][-5:]) < 0.8 * sum(first["losses"][:5])


def test_what_learns_from_children_needs_the_same_ones_everywhere(
    trained: Callable[..., Found],
) -> None:
    found = trained(2)[0]
    for learner, kind in (("Telling", "apart, learning"), ("Bootstrap", "apart, bootstrap")):
        assert found[kind].startswith(f"{learner} learns from the children of each step")


def test_a_batch_has_an_image_for_every_worker(trained: Callable[..., Found]) -> None:
    told = trained(3)[0]["few images"]
    assert told.startswith("A child sees 2 images in a step, and 3 workers share them.")
