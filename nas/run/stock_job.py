"""The training of one stock network of a run, as any process can do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from nas.baselines.choice import Stock
from nas.baselines.networks import build
from nas.baselines.result import StockResult
from nas.baselines.scoring import score
from nas.baselines.training import stock_recipe, train_stock
from nas.baselines.weights import Weights, weights_of
from nas.data import Normalisation
from nas.data.batches import EvalBatches
from nas.errors import DataError
from nas.run.context import Context
from nas.run.evaluator import batch_size_at
from nas.run.jobs import Worker
from nas.settings import Settings
from supernet.training.checkpoint import to_bytes
from supernet.training.loop import Checkpoints, TrainingProgress
from supernet.training.recipe import Recipe

RESULT = "result"


@dataclass(frozen=True)
class StockJob:
    """The training of one stock network."""

    settings: Settings
    data_id: str
    stock: Stock
    epochs: int

    def recipe(self, images: int) -> Recipe:
        """How it is trained on so many images."""
        return stock_recipe(weights_of(self.stock.name) is not None, self.epochs, images)

    def key(self, recipe: Recipe) -> str:
        """Which training it is: a checkpoint of another one is refused."""
        pretrained = weights_of(self.stock.name) is not None
        seed = self.settings.seed
        return f"{self.stock}, {recipe.model_dump_json()}, {seed=}, {pretrained=}"

    def __call__(self, worker: Worker) -> bytes:
        """Train in another process; weights and result as one file.

        Raises:
            DataError: the images have changed.
        """
        context = Context(self.settings)
        if context.data.id != self.data_id:
            raise DataError(
                f"The images at '{self.settings.data}' have changed ({context.data.id} instead of "
                f"{self.data_id}). Put them back, or start a new run."
            )
        return self.train(context, worker.checkpoints, worker.progress)

    def train(
        self,
        context: Context,
        checkpoints: Callable[[str], Checkpoints],
        progress: Callable[[TrainingProgress], None],
    ) -> bytes:
        """Train, or continue from the checkpoint, and score the network on the validation images.

        Args:
            context: The run's settings.
            checkpoints: Finds those of a training by its key.
            progress: Called after each step.

        Returns:
            Weights, and the result in the description under `RESULT`.
        """
        data, seed, stock = context.data, self.settings.seed, self.stock
        weights, recipe = weights_of(stock.name), self.recipe(len(data.train))
        normalisation = _normalisation(data.normalisation, weights)
        network = build(stock.name, stock.side, data.shape, seed, weights).to(context.device)
        params = sum(parameter.numel() for parameter in network.parameters())
        started = time.monotonic()
        train_stock(
            network,
            stock.side,
            context.retraining_batches(seed, normalisation),
            recipe,
            seed=seed,
            checkpoints=checkpoints(self.key(recipe)),
            progress=progress,
        )
        judged = EvalBatches(data.validation, normalisation)
        result = StockResult(
            name=stock.name,
            side=stock.side,
            pretrained=None if weights is None else weights.source,
            mean=normalisation.mean,
            std=normalisation.std,
            scale=normalisation.scale,
            validation=score(network, judged, stock.side, batch_size_at(stock.side)).evaluation,
            epochs=self.epochs,
            params=params,
            seconds=round(time.monotonic() - started, 1),
        )
        return to_bytes(network.state_dict(), {"name": str(stock), RESULT: result.to_dict()})


def _normalisation(usual: Normalisation, weights: Weights | None) -> Normalisation:
    """That of published weights, for colour pictures; else the data's."""
    if weights is None or usual.scale != 255 or len(usual.mean) != len(weights.mean):
        return usual
    return Normalisation(weights.mean, weights.std, usual.scale)
