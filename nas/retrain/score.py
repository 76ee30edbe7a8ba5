"""Scores of a finished network. The test split is opened here and nowhere else."""

from __future__ import annotations

from nas.data.batches import eval_batches
from nas.data.images import Dataset, Images, Normalisation, Splits
from search_spaces.network import Network
from supernet.evaluation import evaluate
from supernet.scores import Evaluation

BATCH_SIZE = 256


def score_test(network: Network, data: Dataset, batch_size: int = BATCH_SIZE) -> Evaluation:
    """The final score: opens the test split, once."""
    return _score(network, data.open_test(), data.normalisation, batch_size)


def score_validation(network: Network, data: Splits, batch_size: int = BATCH_SIZE) -> Evaluation:
    """The score on the images that architectures were compared on."""
    return _score(network, data.validation, data.normalisation, batch_size)


def _score(
    network: Network, images: Images, normalisation: Normalisation, batch_size: int
) -> Evaluation:
    device = next(network.parameters()).device
    batches = eval_batches(images, normalisation, network.architecture.resolution, batch_size)
    was_training = network.training
    network.eval()
    try:
        return evaluate(network, ((x.to(device), labels) for x, labels in batches))
    finally:
        network.train(was_training)
