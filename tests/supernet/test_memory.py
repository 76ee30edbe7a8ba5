"""Steps that take less memory: the same losses and weights, and what is done without memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.data_shape import DataShape
from search_spaces.errors import TrainingError
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.batches import Batch, TrainingData
from supernet.sampling.sandwich import Sandwich, SandwichOptions
from supernet.supervision.in_place import InPlaceDistillation, InPlaceOptions
from supernet.training.loop import Checkpoints, TrainingProgress
from supernet.training.memory import MemoryPlan
from supernet.training.parallel.workers import Alone
from supernet.training.recipe import Recipe
from supernet.training.train import train

RECIPE = Recipe(epochs=2, batch_size=7, learning_rate=1e-2, drop_path=0.3)


class Small(Supernet):
    """Has the memory for a few images, and notes how many it is asked to run."""

    room, runs = 1000, 0

    def run_part(self, *how: Any, **named: Any) -> Tensor:
        self.runs += 1
        return super().run_part(*how, **named)

    def maps(self, x: Tensor, *how: Any, **named: Any) -> Iterator[tuple[str, Tensor]]:
        self.__dict__.setdefault("seen", []).append(len(x))
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().maps(x, *how, **named)


class Precise:
    """The images in float64."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data

    def steps_per_epoch(self, batch_size: int) -> int:
        return self.data.steps_per_epoch(batch_size)

    def batch(self, *which: int) -> Batch:
        batch: Any = self.data.batch(*which)
        return batch._replace(images=batch.images.double(), targets=batch.targets.double())


class Trained:
    """A training's losses, weights and notes."""

    def __init__(
        self,
        space: SearchSpace,
        data: TrainingData,
        room: int = 1000,
        kind: type[Small] = Small,
        checkpoints: Checkpoints | None = None,
        kill_at: int | None = None,
        **recipe: Any,
    ) -> None:
        self.net = kind(space, DataShape(1, 2), seed=3).double()
        self.net.room = room
        self.now: list[TrainingProgress] = []
        self.kill_at = kill_at
        train(
            self.net,
            Precise(data),
            RECIPE.model_copy(update=recipe),
            Sandwich(space, SandwichOptions()),
            InPlaceDistillation(InPlaceOptions()),
            seed=1,
            checkpoints=checkpoints,
            progress=self.progress,
        )

    def progress(self, now: TrainingProgress) -> None:
        self.now.append(now)
        if now.step == self.kill_at:
            raise KeyboardInterrupt

    def furthest(self, other: Trained) -> tuple[float, float]:
        """The largest differences of losses and of weights."""
        losses = [abs(a.loss - b.loss) for a, b in zip(self.now, other.now, strict=True)]
        pairs = zip(self.net.parameters(), other.net.parameters(), strict=True)
        return max(losses), max(float((a - b).detach().abs().max()) for a, b in pairs)

    @property
    def notes(self) -> list[str]:
        return [now.note for now in self.now if now.note]


@pytest.mark.parametrize("images", [1, 3, 7, 100])
def test_parts_of_a_step_train_as_the_whole_does(
    space: SearchSpace, blobs: TrainingData, images: int
) -> None:
    whole, parts = Trained(space, blobs), Trained(space, blobs, micro_batch=images)
    losses, weights = parts.furthest(whole)
    assert losses < 1e-10 and weights < 1e-9
    assert max(parts.net.seen) == min(images, 7)
    if images >= 7:
        assert (losses, weights) == (0.0, 0.0)


def test_batch_norms_see_each_part_alone(
    batch_norm_space: SearchSpace, blobs: TrainingData
) -> None:
    whole = Trained(batch_norm_space, blobs)
    losses, _ = Trained(batch_norm_space, blobs, micro_batch=4).furthest(whole)
    assert losses > 1e-4


@pytest.mark.parametrize("images", [None, 3])
def test_activations_that_are_computed_again_change_nothing(
    space: SearchSpace, blobs: TrainingData, images: int | None
) -> None:
    kept = Trained(space, blobs, micro_batch=images)
    again = Trained(space, blobs, micro_batch=images, recompute_activations=True)
    assert max(again.furthest(kept)) < 1e-12
    assert again.net.runs > kept.net.runs


def test_what_is_computed_again_is_not_kept(space: SearchSpace) -> None:
    """Bytes that the gradients of the largest child hold, besides the weights."""
    net, child = Supernet(space, DataShape(1, 2)), space.decode(space.largest())
    images, labels = torch.randn(32, 1, 8, 8), torch.zeros(32, dtype=torch.long)
    weights = {weight.data_ptr() for weight in net.parameters()}

    def bytes_held(**how: Any) -> int:
        held = {}

        def note(x: Tensor) -> Tensor:
            if x.data_ptr() not in weights:
                held[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            *_, (_, scores) = net.maps(images, child, **how)
            F.cross_entropy(scores, labels)
        return sum(held.values())

    recomputed = MemoryPlan(Recipe(recompute_activations=True), Alone()).wrap(nullcontext)
    assert 0 < 3 * bytes_held(wrap=recomputed) < bytes_held()


def test_a_step_that_does_not_fit_is_repeated_with_half_as_many_images(
    space: SearchSpace, blobs: TrainingData
) -> None:
    cramped = Trained(space, blobs, room=2)
    assert max(cramped.furthest(Trained(space, blobs))) < 1e-9
    (note,) = cramped.notes
    assert note == (
        "out of memory with 7 images at once; the step is repeated with 3 at a time, as with "
        "micro_batch=3 in the recipe; out of memory with 3 images at once; the step is repeated "
        "with 1 at a time, as with micro_batch=1 in the recipe"
    )
    assert cramped.now[0].note and [n for n in cramped.net.seen if n > 2] == [7, 3]


def test_memory_that_runs_out_during_gradients_leaves_nothing_behind(
    space: SearchSpace, blobs: TrainingData
) -> None:
    """The third of the second step's children fails, when the gradients of two are there."""

    class Failing(Small):
        calls = 0

        def maps(self, x: Tensor, *how: Any, **named: Any) -> Iterator[tuple[str, Tensor]]:
            self.calls += 1
            if self.calls == 7:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().maps(x, *how, **named)

    plain = Trained(space, blobs)
    failed = Trained(space, blobs, kind=Failing)
    assert [bool(now.note) for now in failed.now[:3]] == [False, True, False]
    assert max(failed.furthest(plain)) < 1e-9


@pytest.mark.parametrize("killed_at", [1, 3])
def test_the_images_at_once_are_kept_in_checkpoints(
    batch_norm_space: SearchSpace, blobs: TrainingData, killed_at: int
) -> None:
    kept: list[bytes] = []
    checkpoints = Checkpoints("key", lambda: kept[-1] if kept else None, kept.append, seconds=0)
    with pytest.raises(KeyboardInterrupt):
        Trained(batch_norm_space, blobs, 4, checkpoints=checkpoints, kill_at=killed_at + 1)
    continued = Trained(batch_norm_space, blobs, 4, checkpoints=checkpoints)
    assert not continued.notes and max(continued.net.seen) <= 4
    through = Trained(batch_norm_space, blobs, 4)
    pairs = zip(continued.net.parameters(), through.net.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_an_image_that_does_not_fit_is_one_clear_error(
    space: SearchSpace, blobs: TrainingData
) -> None:
    with pytest.raises(TrainingError, match="does not suffice for the gradients of a single"):
        Trained(space, blobs, room=0)


class Two(Alone):
    """Stands for one of two workers."""

    count = together = 2


def test_one_of_several_workers_says_what_to_set() -> None:
    with pytest.raises(TrainingError, match="for 8 images at once.* set micro_batch=4 in the"):
        MemoryPlan(Recipe(micro_batch=8, batch_size=16), Two()).halve()


@pytest.mark.parametrize(
    ("images", "sizes"), [(16, [8, 8]), (7, [7]), (9, [4, 5]), (20, [6, 7, 7])]
)
def test_workers_share_each_part(images: int, sizes: list[int]) -> None:
    parts = MemoryPlan(Recipe(micro_batch=4), Two()).parts(images)
    assert [rows.stop - rows.start for rows in parts] == sizes
    assert parts[0].start == 0 and parts[-1].stop == images
