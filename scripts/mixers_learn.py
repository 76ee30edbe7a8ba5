"""Each mixer alone in a small network learns Fashion-MNIST: none is dead.

    python scripts/mixers_learn.py DIR
    python scripts/mixers_learn.py DIR --only depthwise --only pool --images 4000     a trial

DIR holds Fashion-MNIST. The network has patches of 4 x 4 pixels, two blocks of 48 channels with
the family's default options and an MLP of ratio 2, and a linear head; patches do not overlap, so
only the mixer sees beyond its patch. One epoch in batches of 64, images as they are, then the
accuracy on the validation images; a network below 80 % is trained again from new weights, for
three epochs. `identity` mixes nothing: what patches and MLPs reach.
Families with a row in the result are not trained again, so that the run can be continued.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import results_file
import torch

from nas.data.augment import Augmentation
from nas.data.batches import TrainBatches
from nas.retrain import fresh_network, retrain, score_validation
from nas.run.context import Context
from nas.settings import Settings
from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import RatioOptions
from search_spaces.family import HEADS, MIXERS, Family
from search_spaces.stems import PatchifyOptions
from supernet.training.recipe import Recipe

WIDTH, BLOCKS = 48, 2
EPOCHS = (1, 3)
"""The second number where the first is too few."""
RECIPE = Recipe(batch_size=64, learning_rate=6e-3, drop_path=0.0, ema_decay=0.98)
LEAST = 0.8


def main() -> None:
    """Train each family that has no row yet; the result is written after each."""
    arguments = _arguments()
    torch.set_num_threads(1)
    context = Context(Settings(data=f"fashion-mnist:{arguments.directory}", seed=0))
    rows = _kept(arguments.name)
    for family in sorted(MIXERS, key=lambda each: each.name != "identity"):
        if family.name in rows or (arguments.only and family.name not in arguments.only):
            continue
        rows[family.name] = _learned(family, context, arguments)
        print(rows[family.name], flush=True)
        _write(arguments.name, rows)


def _learned(family: Family, context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    data = context.data
    images = data.train
    if arguments.images:
        images = images.select(np.arange(arguments.images))
    batches = TrainBatches(images, data.normalisation, Augmentation(), data.shape.classes)
    for epochs in EPOCHS:
        start = time.perf_counter()
        network = fresh_network(_network(family), data.shape, seed=0)
        recipe = RECIPE.model_copy(update={"epochs": epochs})
        curve = retrain(network, batches, recipe, seed=0)
        accuracy = score_validation(network, data).accuracy
        if accuracy >= LEAST:
            break
    return {
        "family": family.name,
        "group": family.group,
        "accuracy": accuracy,
        "epochs": epochs,
        "loss": curve[-1]["loss"],
        "parameters": sum(p.numel() for p in network.parameters()),
        "training_images": len(images),
        "seconds": round(time.perf_counter() - start, 1),
    }


def _network(family: Family) -> Architecture:
    mixer = Choice(family.name, family.options())
    block = Block(mixer, Choice("mlp", RatioOptions(2.0)))
    return Architecture(
        resolution=28,
        norm="layer",
        stem=Choice("patchify", PatchifyOptions(stride=4)),
        stem_width=WIDTH,
        stages=(Stage(WIDTH, 1, "metaformer", None, (block,) * BLOCKS),),
        head=Choice("linear", HEADS["linear"].options()),
    )


def _kept(name: str) -> dict[str, dict[str, Any]]:
    path = results_file.RESULTS / "spaces" / f"{name}.json"
    found = json.loads(path.read_text())["rows"] if path.exists() else []
    return {row["family"]: row for row in found}


def _write(name: str, rows: dict[str, dict[str, Any]]) -> None:
    learned = [row for row in rows.values() if row["family"] != "identity"]
    figures = {
        "families": len(learned),
        "least": min((row["accuracy"] for row in learned), default=None),
        "below_0.8": [row["family"] for row in learned if row["accuracy"] < LEAST],
        "identity": rows["identity"]["accuracy"] if "identity" in rows else None,
    }
    more = {"rows": list(rows.values()), "recipe": RECIPE.model_dump()}
    results_file.write("spaces", name, figures, **more)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", help="the folder of Fashion-MNIST")
    parser.add_argument("--only", action="append", default=[], help="a family; can be repeated")
    parser.add_argument("--images", type=int, default=0, help="fewer training images, to try")
    parser.add_argument("--name", default="mixers-learn", help="of the result")
    return parser.parse_args()


if __name__ == "__main__":
    main()
