"""A recipe: how a network or a supernet is trained. Its values can be set by name.

AdamW (https://arxiv.org/abs/1711.05101), a linear warm-up and a cosine down to a hundredth, lower
rates in earlier blocks, stochastic depth, clipping by norm and a moving average of the weights. A
sampler or a supervision has options of its own, which are not here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Projected = Literal["children", "teacher"]
"""Whose gradients lose what points against the other's; see `supernet.training.conflicts`."""
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Recipe(BaseModel):
    """Settings of one training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1)] = 60
    batch_size: Annotated[int, Field(ge=2)] = 64
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    """Images that a network runs on at once in each worker; None for all of a step.

    Smaller parts take less memory and one more forward pass. Batch norm then sees each part alone.
    After running out of a GPU's memory a step is repeated with half as many."""
    recompute_activations: bool = False
    """Whether what layers computed is dropped and computed again for the gradients.

    It takes less memory and one more forward pass, and gives the same weights."""
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the next block's learning rate that a block gets; 1 for one rate everywhere."""
    warmup_share: Share = 0.05
    drop_path: Share = 0.05
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    ema_decay: Share = 0.99
    update_each_child: bool = False
    """Whether the weights are updated after each child of a step, and not once for all of them.

    The learning rate is that of the step. Where the children's gradients are compared, where the
    supervision needs those of the whole step, and where workers have children of their own, there
    is one update for all."""
    gradient_cosines: bool = False
    """Whether the training curve shows how far the gradients of a step's children agree.

    `cosine_2` is that of the second child's gradient with the first one's."""
    gradient_projection: Projected | None = None
    """Whose gradients lose what points against the other's: `children` or `teacher`.

    The teacher is a step's first child. The curve then shows the cosines as well."""
