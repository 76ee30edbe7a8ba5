"""How a supernet starts: from the weights of a donor, if the settings name one."""

from __future__ import annotations

from torch import Tensor

from nas.progress import Progress
from nas.run.context import Context
from supernet.donor import STEPS, adopt, new_choices, teach_new_choices
from supernet.ordering import sort_channels
from supernet.supernet import Supernet


def start_from_donor(context: Context, console: Progress, supernet: Supernet) -> None:
    """Give a new supernet the donor's weights; teach what the donor has not. Nothing without one.

    A training that continues from a checkpoint overwrites them, so nothing is lost by it.
    """
    donor, architecture, seed = context.donor, context.donor_architecture, context.settings.seed
    if donor is None or architecture is None:
        return
    console.say(f"weights of {donor.published.name} from {donor.source}; licence: {donor.licence}")
    adapts = donor.adapts(supernet.data_shape.channels)
    if adapts:
        console.say(adapts)
    network = donor.network(architecture.resolution, supernet.data_shape, seed)
    sort_channels(network)
    adopt(supernet, network.to(context.device))
    batches, size = context.training_batches(seed), context.recipe.batch_size

    def images(step: int) -> Tensor:
        return batches.batch(step, size, architecture.resolution).images.to(context.device)

    if new_choices(supernet, architecture):
        with console.task("teaching what the donor has not", STEPS) as advance:
            losses = teach_new_choices(
                supernet, architecture, images, progress=lambda n: advance(n, "")
            )
        mean = sum(losses.values()) / len(losses)
        console.say(
            f"{len(losses)} choices that {donor.published.name} has not learnt from its blocks: "
            f"{1 - mean:.0%} of what those do"
        )
