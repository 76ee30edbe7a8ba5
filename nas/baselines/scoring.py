"""Which images a network has right, for scores that are compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nas.data.batches import EvalBatches
from supernet.evaluation import evaluate
from supernet.scores import Evaluation


@dataclass(frozen=True)
class Scored:
    """A network's scores on some images, and which of them it has right."""

    evaluation: Evaluation
    right: tuple[bool, ...]
    """One per image, in the data's order."""

    @property
    def packed(self) -> str:
        """`right` as hexadecimal digits, for a file."""
        return np.packbits(self.right).tobytes().hex()


def unpacked(digits: str, images: int) -> tuple[bool, ...]:
    """What `Scored.packed` gave, for that many images."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=images)
    return tuple(bits.astype(bool).tolist())


def score(network: nn.Module, images: EvalBatches, side: int, batch_size: int) -> Scored:
    """Score a network in evaluation mode.

    Args:
        network: From images (B, C, side, side) to class scores.
        images: The images, normalised as it was trained with.
        side: Height and width of its images.
        batch_size: Images that it runs on at once.
    """
    device = next(network.parameters()).device
    chosen: list[Tensor] = []

    def run(x: Tensor) -> Tensor:
        scores: Tensor = network(x.to(device))
        chosen.append(scores.argmax(dim=1).cpu())
        return scores

    network.eval()
    found = evaluate(run, images.batches(side, batch_size))
    right = torch.cat(chosen).numpy() == images.labels
    return Scored(found, tuple(right.tolist()))
