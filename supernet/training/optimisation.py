"""One optimiser for supernets and for single networks: AdamW, cosine, clipping, moving average.

A supernet's step touches only the weights of its children. Every operation here
skips weights without a gradient, so that a large space takes more memory but not more time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.errors import TrainingError
from supernet.training.depth import rate_shares
from supernet.training.recipe import Recipe

FINAL_SHARE = 0.01
"""The learning rate at the end, as a share of its peak."""


class Optimisation:
    """The state of training besides the weights: moments, moving averages, the step's number.

    Args:
        parameters: What is trained, by name.
        recipe: Rates and shares.
        steps: How many steps the whole training has.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], recipe: Recipe, steps: int) -> None:
        self.recipe, self.steps = recipe, steps
        self.step_number = 0
        self.parameters = dict(parameters)
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.adamw = torch.optim.AdamW(self._groups(), lr=recipe.learning_rate, foreach=True)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine from the peak down to a hundredth of it."""
        peak, warmup = self.recipe.learning_rate, int(self.recipe.warmup_share * self.steps)
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, self.steps - warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return peak * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)

    @torch.no_grad()
    def update(self) -> None:
        """Clip, update and average what has a gradient, then drop the gradients.

        Raises:
            TrainingError: a gradient is not finite; the weights are left as they were.
        """
        touched = {n: p for n, p in self.parameters.items() if p.grad is not None}
        norm = nn.utils.clip_grad_norm_(touched.values(), self.recipe.clip_norm)
        if not norm.isfinite():
            raise TrainingError(
                f"The training has diverged: the gradients of step {self.step_number} are not "
                "finite. A lower learning rate may help, such as --recipe learning_rate="
                f"{self.recipe.learning_rate / 4:g}."
            )
        for group in self.adamw.param_groups:
            group["lr"] = group["share"] * self.learning_rate(self.step_number)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        averages = [self.averages[name] for name in touched]
        shares = [1 - self._decay(parameter) for parameter in touched.values()]
        torch._foreach_lerp_(averages, list(touched.values()), shares)

    def _decay(self, parameter: nn.Parameter) -> float:
        """How much of an average stays in an update of its weight.

        Early averages follow closely. What is early is counted in updates of the weight itself:
        some weights of a supernet are used in one of many steps only.
        """
        updates = float(self.adamw.state[parameter]["step"])
        return min(self.recipe.ema_decay, updates / (updates + 10))

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with the same rate and weight decay; vectors and scalars do not decay."""
        shares = rate_shares(self.parameters, self.recipe.layer_decay)
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in self.parameters.items():
            groups.setdefault((shares[name], parameter.ndim > 1), []).append(parameter)
        return [
            {
                "params": members,
                "share": share,
                "weight_decay": self.recipe.weight_decay if decays else 0.0,
            }
            for (share, decays), members in groups.items()
        ]

    def state(self) -> dict[str, Tensor]:
        """All tensors of the training by name: weights, averages and both moments."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            tensors[f"weight/{name}"] = parameter.detach()
            tensors[f"average/{name}"] = self.averages[name]
            moments = self.adamw.state.get(parameter)
            if moments:
                tensors[f"first/{name}"] = moments["exp_avg"]
                tensors[f"second/{name}"] = moments["exp_avg_sq"]
                tensors[f"updates/{name}"] = moments["step"]
        return tensors

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], step_number: int) -> None:
        """Continue from what `state` gave."""
        self.step_number = step_number
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"weight/{name}"])
            self.averages[name].copy_(tensors[f"average/{name}"])
            if f"first/{name}" in tensors:
                self.adamw.state[parameter] = {
                    "exp_avg": torch.empty_like(parameter).copy_(tensors[f"first/{name}"]),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(tensors[f"second/{name}"]),
                    "step": tensors[f"updates/{name}"].clone(),
                }

    @torch.no_grad()
    def adopt_averages(self) -> None:
        """Replace the weights by their averages: training has ended."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.averages[name])

    @torch.no_grad()
    def swap_averages(self) -> None:
        """Exchange weights and averages; a second call restores both."""
        for name, parameter in self.parameters.items():
            weight = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(weight)
