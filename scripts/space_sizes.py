"""What each named space holds and needs: `results/spaces/sizes.json`.

    python scripts/space_sizes.py

Of each space: how many architectures, what a supernet of it takes in training, and what its
smallest and largest architecture cost for 1000 classes. The memory is that of the weights, their
gradients, Adam's two moments and the moving average, all in float32; activations come on top and
depend on the batch. For comparison, networks of timm that a space is built around (`timm`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import results_file
import torch

from nas.latency.cost import Cost, cost_of
from nas.latency.tracing.operations import macs
from nas.latency.tracing.trace import trace
from nas.timm_library import input_shape, shapes_only
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace, load_space, space_names
from supernet.initial import shared_weights

SHAPE = DataShape(3, 1000)
COPIES = 5
"""Weights, gradients, two moments and moving average."""
TIMM = {
    "matformer": ("vit_base_patch16_224",),
    "autoformer-tiny": ("deit_tiny_patch16_224",),
    "efficientformer": ("efficientformer_l1", "efficientformer_l3", "efficientformer_l7"),
    "hybrid-wide-224": ("swin_tiny_patch4_window7_224", "convnext_tiny"),
}


def main() -> None:
    """Count and write."""
    figures = {name: _figures(load_space(name)) for name in space_names()}
    results_file.write("spaces", "sizes", figures, classes=SHAPE.classes)


def _figures(space: SearchSpace) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    extremes = {
        "smallest": space.smallest(),
        "largest": space.largest(),
        "one of the middle": space.sample(1, rng)[0],
    }
    with torch.device("meta"):
        weights = sum(p.numel() for p in shared_weights(space, SHAPE).values())
    return {
        "architectures": f"{space.size():.1e}",
        "families": len({kind for g in space.genes if g.role == "mixer" for kind in g.kinds}),
        "shared weights, M": round(weights / 1e6, 1),
        "memory without activations, GiB": round(COPIES * 4 * weights / 2**30, 2),
        **{name: _cost(cost_of(space.decode(code), SHAPE)) for name, code in extremes.items()},
        "timm": {name: _of_timm(name) for name in TIMM.get(space.name, ())},
    }


def _cost(cost: Cost) -> dict[str, float]:
    return {"MACs, G": round(cost.macs / 1e9, 3), "parameters, M": round(cost.params / 1e6, 2)}


def _of_timm(name: str) -> dict[str, float]:
    model = shapes_only(name).eval()
    counted = sum(parameter.numel() for parameter in model.parameters())
    return _cost(Cost(macs(trace(model, (1, *input_shape(model)))), counted, 0.0))


if __name__ == "__main__":
    main()
