"""A network of ours with the methods that timm's users and training scripts expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nas.errors import SettingsError
from nas.export.timm_index import CLASSIFIER
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.network import Network, RunPart, Wrap, last_of, unwrapped

POOLS = ("avg", "max", "avgmax", "")
"""Values of timm's `global_pool`; the empty one leaves the map as it is."""
Indices = int | Sequence[int] | None


class TimmNetwork(Network):
    """As it is deployed. A subclass: weights must have the names that `Network` gives them."""

    def __init__(
        self,
        architecture: Architecture,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        architecture = deployed(architecture)
        super().__init__(architecture, DataShape(in_chans, max(1, num_classes)))
        self.drop_rate, self.drop_path_rate = drop_rate, drop_path_rate
        self.grad_checkpointing = False
        self.num_classes, self.global_pool = self.data_shape.classes, "avg"
        self.num_features = self.head_hidden_size = self._linear().in_features
        self.feature_info = _feature_info(architecture)
        if num_classes < 1 or global_pool != "avg":
            self.reset_classifier(num_classes, global_pool)

    def forward(self, x: Tensor, drop_path_rate: float | None = None) -> Tensor:
        """Class scores, (B, C, R, R) -> (B, num_classes), or features if there are no classes."""
        return self.forward_head(self.forward_features(x, drop_path_rate))

    def maps(
        self,
        x: Tensor,
        names: Iterable[str],
        drop_path_rate: float = 0.0,
        wrap: Wrap = unwrapped,
    ) -> Iterator[tuple[str, Tensor]]:
        """As in `Network`; the parts' inner maps are computed again if that was asked for."""
        if self.grad_checkpointing and torch.is_grad_enabled():
            return super().maps(x, names, drop_path_rate, lambda run: _recomputed(wrap(run)))
        return super().maps(x, names, drop_path_rate, wrap)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep less in memory in training, and compute it again for the gradients."""
        self.grad_checkpointing = enable

    def forward_features(self, x: Tensor, drop_path_rate: float | None = None) -> Tensor:
        """The last map, (B, C, R, R) -> (B, width, H, W)."""
        rate = self.drop_path_rate if drop_path_rate is None else drop_path_rate
        rate = rate if self.training else 0.0
        return last_of(self.maps(x, self.part_names[:-1], rate))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """From the last map to scores, or to what the classifier sees, (B, num_features)."""
        body: Any = self.get_submodule("head.body")
        y: Tensor = body.features(x)
        if self.global_pool:
            mean, most = y.mean((2, 3)), y.amax((2, 3))
            y = {"avg": mean, "max": most, "avgmax": 0.5 * (mean + most)}[self.global_pool]
            y = body.pooled(y)
        if pre_logits:
            return y
        y = F.dropout(y, self.drop_rate, self.training)
        scores: Tensor = self.get_classifier()(y)
        return scores

    def forward_intermediates(
        self,
        x: Tensor,
        indices: Indices = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps after stages, as timm's own models give them.

        Args:
            x: Images, (B, C, R, R).
            indices: Of the stages: a number of last ones, or their positions; None for all.
            norm: Whether the last map is normalised; it is not, so only False.
            stop_early: Whether stages after the last index are left out.
            output_fmt: Only "NCHW".
            intermediates_only: Whether the last map is not returned as well.

        Raises:
            SettingsError: there is no such stage, or another format.
        """
        if norm or str(getattr(output_fmt, "value", output_fmt)) != "NCHW":
            raise SettingsError("These networks give maps as NCHW, without a last norm.")
        wanted = stages_of(indices, len(self.feature_info))
        found, rate = [], self.drop_path_rate if self.training else 0.0
        names = [name for name in self.part_names if name != "head"]
        following = dict(zip(names, [*names[1:], ""], strict=True))
        y = x
        for name, after in self.maps(x, names, rate):
            y, stage = after, _stage(name)
            if stage is not None and _stage(following[name]) != stage and stage in wanted:
                found.append(y)
                if stop_early and stage == max(wanted):
                    break
        return found if intermediates_only else (y, found)

    def prune_intermediate_layers(
        self, indices: Indices = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the stages after the last index, and the head; returns the stages left."""
        wanted = stages_of(indices, len(self.feature_info))
        kept = [n for n in self.part_names if n != "head" and (_stage(n) or 0) <= max(wanted)]
        rates = dict(zip(self.part_names, self.rates, strict=True))
        self.part_names = (*kept, "head")
        self.rates = [rates[name] for name in self.part_names]
        for number in range(max(wanted) + 1, len(self.architecture.stages)):
            delattr(self.get_submodule("stages"), str(number))
        if prune_head:
            self.head = nn.Identity()
        return wanted

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.get_submodule(CLASSIFIER)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by an untrained one, or by none for 0 classes.

        Raises:
            SettingsError: there is no such `global_pool`, or it leaves nothing to classify.
        """
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in POOLS:
            known = ", ".join(repr(each) for each in POOLS)
            raise SettingsError(f"global_pool is '{pool}'; these networks have {known}.")
        if not pool and num_classes > 0:
            raise SettingsError("global_pool='' gives maps, not scores: add num_classes=0.")
        self.global_pool = pool
        like, now = next(self.parameters()), self.get_classifier()
        if num_classes != getattr(now, "out_features", 0):
            fresh = nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()
            body = self.get_submodule("head.body")
            body.add_module("classifier", fresh.to(like.device, like.dtype))
        self.num_classes = num_classes

    def _linear(self) -> nn.Linear:
        classifier = self.get_classifier()
        assert isinstance(classifier, nn.Linear)
        return classifier


def stages_of(indices: Indices, stages: int) -> list[int]:
    """Positions of stages from timm's `out_indices`, in order.

    Raises:
        SettingsError: there is no such stage.
    """
    if indices is None:
        return list(range(stages))
    given = range(-indices, 0) if isinstance(indices, int) else indices
    wanted = sorted({index + stages if index < 0 else index for index in given})
    if not wanted or wanted[0] < 0 or wanted[-1] >= stages:
        raise SettingsError(
            f"out_indices is {indices}, but this network has {stages} stages: 0 to {stages - 1}."
        )
    return wanted


def _feature_info(architecture: Architecture) -> list[dict[str, Any]]:
    """Channels, and image side over map side, after each stage."""
    reduction, found = getattr(architecture.stem.options, "stride", 1), []
    for number, stage in enumerate(architecture.stages):
        reduction *= stage.stride
        module = f"stages.{number}"
        found.append({"num_chs": stage.width, "reduction": reduction, "module": module})
    return found


def _stage(part: str) -> int | None:
    """The stage that a part belongs to."""
    return int(part.split(".")[1]) if part.startswith("stages.") else None


def _recomputed(run: RunPart) -> RunPart:
    """Keep a part's input alone, and run it again for the gradients."""

    def rerun(name: str, x: Tensor, read: Tensor) -> Tensor:
        y: Tensor = checkpoint(run, name, x, read, use_reentrant=False)
        return y

    return rerun
