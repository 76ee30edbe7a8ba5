"""What the scripts about photographs share: images of a size, a supernet's start, its children."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import numpy as np
import torch
from supernet_work import train_as_set
from torch import Tensor

from nas.cli.values import recipe_values
from nas.data.batches import EvalBatches
from nas.data.images import Dataset, Images
from nas.data.resizing import resize
from nas.environment import keep_memory
from nas.run.context import Context
from nas.run.evaluator import load_supernet
from nas.settings import RecipeValue, Settings
from nas.storage import atomic_write, cache_dir
from search_spaces.architecture import Architecture
from search_spaces.network import Network
from supernet import Supernet
from supernet.calibration import calibrate
from supernet.donor import adopt, teach_new_choices
from supernet.evaluation import evaluate
from supernet.method import Setup
from supernet.ordering import sort_channels
from supernet.scores import Evaluation
from supernet.training.checkpoint import to_bytes

BATCH_SIZE = 256
CALIBRATION_IMAGES = 1024


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that all of these scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True, help="folder:DIR")
    parser.add_argument("--side", type=int, default=64, help="side that images are brought to")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--recipe", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the recipe"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser


def seeds(asked: argparse.Namespace) -> range:
    """The seeds that are asked for."""
    return range(asked.first_seed, asked.first_seed + asked.seeds)


def recipe(asked: argparse.Namespace) -> dict[str, RecipeValue]:
    """The changes to the recipe that are asked for."""
    return recipe_values(asked.recipe)


class Photographs(Context):
    """The objects of a search whose images are brought to another size first."""

    def __init__(self, settings: Settings, side: int, train_images: int | None = None) -> None:
        super().__init__(settings)
        whole = self._plain_dataset
        resized: dict[str, Any] = {
            name: _resized(getattr(whole, name), side) for name in ("train", "validation", "_test")
        }
        whole_train = resized["train"]
        drawn = np.random.default_rng(settings.seed).permutation(len(whole_train))
        self.others = whole_train.select(np.sort(drawn[train_images or len(drawn) :]))
        """Training images that are left out."""
        resized["train"] = whole_train.select(np.sort(drawn[:train_images]))
        identity = f"{whole.id}-{side}-{train_images}"
        self._plain_dataset: Dataset = dataclasses.replace(whole, id=identity, **resized)

    def judge(self, network: Network, split: Images) -> Evaluation:
        """Accuracy and loss of a network on a split, as it is."""
        batches = EvalBatches(split, self.data.normalisation)
        resolution = network.architecture.resolution
        shown = batches.batches(resolution, BATCH_SIZE)
        return evaluate(lambda x: network(x.to(self.device)), shown)

    def child(self, supernet: Supernet, architecture: Architecture) -> Network:
        """A child as a network of its own, its statistics calibrated on training images."""
        network = supernet.extract(architecture)
        drawn = np.random.default_rng(0).permutation(len(self.data.train))[:CALIBRATION_IMAGES]
        some = self.data.train.select(drawn)
        batches = EvalBatches(some, self.data.normalisation)
        shown = batches.batches(architecture.resolution, BATCH_SIZE)
        calibrate(network, (x.to(self.device) for x, _ in shown))
        return network

    def supernet(self, *, start: bool = True, in_order: bool = True) -> Supernet:
        """A new supernet, from the donor or from random weights, its channels sorted or not."""
        seed = self.settings.seed
        made = Supernet(self.whole_space, self.data.shape, seed=seed).to(self.device)
        if not start:
            return made
        assert self.donor is not None and self.donor_architecture is not None
        architecture = self.donor_architecture
        network = self.donor.network(architecture.resolution, self.data.shape, seed)
        if in_order:
            sort_channels(network)
        adopt(made, network.to(self.device))
        batches = self.training_batches(seed)

        def images(step: int) -> Tensor:
            batch = batches.batch(step, self.recipe.batch_size, architecture.resolution)
            return batch.images.to(self.device)

        teach_new_choices(made, architecture, images)
        return made

    def trained(self, *, start: bool = True, in_order: bool = True) -> Supernet:
        """The supernet, trained as the settings say, or one that a script trained before."""
        key = self.supernet_key() + ("" if in_order else "-unsorted")
        kept = cache_dir() / "photographs" / f"{key}.safetensors"
        supernet = self.supernet(start=start, in_order=in_order)
        if kept.exists():
            load_supernet(supernet, kept, key)
            return supernet
        setup = Setup(supernet, lambda codes: np.zeros(len(codes)), self.donor_architecture)
        train_as_set(self, setup)
        weights = dict(supernet.named_parameters())
        atomic_write(kept, to_bytes(weights, {"key": key, "curve": []}))
        return supernet


def _resized(images: Images, side: int) -> Images:
    if images.size == (side, side):
        return images
    return Images(resize(images.pixels, (side, side)), images.labels)


def use_threads(count: int) -> None:
    """Let torch use that many threads, and keep memory, as `nas search` does."""
    torch.set_num_threads(count)
    keep_memory()
