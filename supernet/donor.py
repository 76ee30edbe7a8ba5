"""A supernet that starts from a donor: a trained network that is one of its children.

1. The donor's channels are sorted (`ordering.py`) and its weights become those of its child.
2. What is larger than the donor's reads nothing at first, so that the donor stays what it is.
3. Choices that the donor has not, such as attention in a block, start as small changes of the
   map. Then each learns to give the map that the donor's block gives for the same input:

       L = |f_new(x) - f_donor(x)|^2 / |f_donor(x) - x|^2        one block alone, no labels

   Paper: DNA, Li et al. 2020, https://arxiv.org/abs/1911.13053 (Section 3)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.network import Network
from search_spaces.parts import Part, parts_of
from supernet.supernet import Supernet

QUIET = 0.01
"""Scale of the branches that the donor has not, before they learn."""
LEARNING_RATE = 3e-3
STEPS = 150
"""Steps in which new choices learn from the donor's blocks."""


@dataclass(frozen=True)
class NewChoice:
    """A family in a block of the donor that the donor has not, with its options there."""

    slot: str
    donor: Part
    parts: tuple[Part, ...]


@torch.no_grad()
def adopt(supernet: Supernet, donor: Network) -> None:
    """Give the donor's weights to its child, and keep everything else from disturbing it.

    Raises:
        ValueError: the supernet does not hold the donor's architecture.
    """
    kept = {name.rpartition(".")[0] for name in supernet.load_child(donor)}
    for name, parameter in supernet.named_parameters():
        slot, _, own = name.rpartition(".")
        if own == "scale" and slot not in kept:
            parameter.fill_(QUIET)


def new_choices(supernet: Supernet, donor: Architecture) -> list[NewChoice]:
    """What the space offers in the donor's blocks beside the donor's own families."""
    index = supernet.space.part_index(supernet.data_shape)
    slots = {slot.name: slot for slot in index.slots}
    found = []
    for name, own in parts_of(donor, supernet.data_shape).items():
        if own.role != "mixer":
            continue
        offered = {index.parts[i] for i in set(slots[name].index.ravel().tolist())}
        by_kind: dict[str, dict[Part, None]] = {}
        for part in offered:
            if part is not None and part.kind != own.kind:
                same = (part.in_dim, part.out_dim) == (own.in_dim, own.out_dim)
                if same and part.size == own.size:
                    by_kind.setdefault(part.kind, {})[part] = None
        found += [
            NewChoice(name, own, tuple(sorted(parts, key=str))) for parts in by_kind.values()
        ]
    return found


def teach_new_choices(
    supernet: Supernet,
    donor: Architecture,
    images: Callable[[int], Tensor],
    steps: int = STEPS,
    progress: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Train what the donor has not to do what the donor's block does, each block on its own.

    Args:
        supernet: Its weights are trained in place; the donor's stay as they are.
        donor: The child that teaches.
        images: The images of a step by its number, (B, C, R, R) at the donor's resolution.
        steps: How many batches.
        progress: Called with the number of steps done.

    Returns:
        The loss of each new choice at the end by `slot.family`: 0 is the donor's block itself,
        1 is as far from it as no block at all. Empty if the space offers nothing new.
    """
    choices = new_choices(supernet, donor)
    prefixes = tuple(f"{choice.slot}.{choice.parts[0].kind}." for choice in choices)
    trained = [p for n, p in supernet.named_parameters() if n.startswith(prefixes or ("?",))]
    if not trained:
        return {}
    adamw = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)
    losses: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for step in range(steps):
        for group in adamw.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        adamw.zero_grad()
        with torch.no_grad():
            maps = dict(_inputs(supernet, donor, images(step)))
        for choice in choices:
            before, after = maps[choice.slot]
            part = choice.parts[int(rng.integers(len(choice.parts)))]
            y = supernet.run_part(choice.slot, part, before)
            loss = F.mse_loss(y, after) / (F.mse_loss(before, after) + 1e-6)
            loss.backward()  # type: ignore[no-untyped-call]
            losses[f"{choice.slot}.{part.kind}"] = float(loss.detach())
        adamw.step()
        if progress is not None:
            progress(step + 1)
    return losses


def _inputs(
    supernet: Supernet, donor: Architecture, images: Tensor
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Input and output of each part of the donor by its name."""
    before = images.contiguous(memory_format=torch.channels_last)
    for name, after in supernet.maps(images, donor):
        yield name, (before, after)
        before = after
