"""Launches of small modules, counted by hand; a half-precision number takes two bytes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.latency.gpu.fusion import Fusion, launches_of
from nas.latency.gpu.launches import LAUNCH_KINDS, Launch, Launches, kind_of
from nas.latency.tracing.operations import Layout, Precision
from nas.latency.tracing.trace import trace


def _launches(
    module: nn.Module,
    shape: tuple[int, ...],
    fusion: Fusion,
    precision: Precision = "fp16",
    layout: Layout = "channels_last",
) -> list[Launch]:
    """In the order of their kinds."""
    return sorted(launches_of(trace(module, shape, precision=precision, layout=layout), fusion))


def _moved(launches: list[Launch]) -> list[tuple[str, float, float]]:
    return [(launch.kind, launch.bytes_read, launch.bytes_written) for launch in launches]


CONVOLUTION = nn.Sequential(nn.Conv2d(20, 48, 3, padding=1, bias=False), nn.BatchNorm2d(48))
BLOCK = nn.Sequential(*CONVOLUTION, nn.ReLU())
X, Y, WEIGHT, NORM = 2 * 2 * 20 * 64, 2 * 2 * 48 * 64, 2 * 48 * 20 * 9, 2 * 4 * 48
"""Bytes of images (2, 20, 8, 8), the map (2, 48, 8, 8), the weight, the norm's four vectors."""


def test_eager_launches_every_operation_alone() -> None:
    found = _launches(BLOCK, (2, 20, 8, 8), "none")
    assert [launch.kind for launch in found] == [
        "batch_norm_nhwc",
        "convolution_nhwc",
        "elementwise_nhwc",
    ]
    _, convolution, relu = found
    assert (convolution.bytes_read, convolution.bytes_written) == (X + WEIGHT, Y)
    assert (relu.bytes_read, relu.bytes_written) == (Y, Y)
    assert convolution.flops == 2 * (2 * 64) * 48 * (20 * 9)
    assert (convolution.m, convolution.n, convolution.k) == (2 * 64, 48, 20 * 9)
    assert (convolution.groups, convolution.area) == (1, 9)


def test_a_compiler_runs_norm_and_activation_as_one() -> None:
    assert _moved(_launches(BLOCK, (2, 20, 8, 8), "compile")) == [
        ("convolution_nhwc", X + WEIGHT, Y),
        ("fused_elementwise", Y + NORM, Y),
    ]


def test_an_engine_ends_a_convolution_with_what_follows_it() -> None:
    (launch,) = _launches(BLOCK, (2, 20, 8, 8), "engine")
    assert _moved([launch]) == [("convolution_nhwc", X + WEIGHT + NORM, Y)]


MLP = nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 20))
TOKENS, HIDDEN, OUT = 2 * 2 * 7 * 48, 2 * 2 * 7 * 96, 2 * 2 * 7 * 20
FIRST, SECOND = 2 * (48 * 96 + 96), 2 * (96 * 20 + 20)


@pytest.mark.parametrize(
    ("fusion", "activation"),
    [
        ("none", [("elementwise", HIDDEN, HIDDEN)]),
        ("compile", [("fused_elementwise", HIDDEN, HIDDEN)]),
        ("engine", []),
        ("handwritten", [("engine_elementwise", HIDDEN, HIDDEN)]),
    ],
)
def test_an_activation_between_two_products_is_free_in_an_engine(
    fusion: Fusion, activation: list[tuple[str, float, float]]
) -> None:
    assert _moved(_launches(MLP, (2, 7, 48), fusion)) == [
        *activation,
        ("product", HIDDEN + SECOND, OUT),
        ("product", TOKENS + FIRST, HIDDEN),
    ]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(48)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(x)


def test_a_norm_and_its_residual_read_the_input_once_when_compiled() -> None:
    weights, statistics = 2 * 2 * 48, 4 * 2 * 2 * 7
    assert _moved(_launches(Residual(), (2, 7, 48), "none")) == [
        ("elementwise", 2 * TOKENS, TOKENS),
        ("layer_norm", TOKENS + weights, TOKENS + statistics),
    ]
    for fusion, kind in (("compile", "fused_reduction"), ("engine", "engine_reduction")):
        found = _launches(Residual(), (2, 7, 48), fusion)  # type: ignore[arg-type]
        assert _moved(found) == [(kind, TOKENS + weights, TOKENS)]


def test_a_vector_is_normalised_in_one_launch_when_compiled() -> None:
    class Normalised(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.normalize(x, dim=-1)  # a norm, a clamp of it and a division

    assert len(_launches(Normalised(), (2, 7, 48), "none")) == 3
    for fusion, kind in (("compile", "fused_reduction"), ("engine", "engine_reduction")):
        found = _launches(Normalised(), (2, 7, 48), fusion)  # type: ignore[arg-type]
        assert _moved(found) == [(kind, TOKENS, TOKENS)]


class WrittenOut(nn.Module):
    """Attention as products and a softmax."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(-2, -1) * 0.25).softmax(-1) @ x


def test_attention_written_out_is_one_launch_in_an_engine() -> None:
    heads, scores = 2 * 6 * 10 * 16, 2 * 6 * 10 * 10
    shape = (2, 3, 10, 16)
    eager = _launches(WrittenOut(), shape, "none", layout="channels_first")
    assert [launch.kind for launch in eager] == [
        *("batched_product", "batched_product", "elementwise", "softmax")
    ]
    compiled = _launches(WrittenOut(), shape, "compile", layout="channels_first")
    assert _moved(compiled) == [
        ("batched_product", scores + heads, heads),
        ("batched_product", 2 * heads, scores),
        ("fused_reduction", scores, scores),
    ]
    (attention,) = _launches(WrittenOut(), shape, "engine", layout="channels_first")
    assert attention.kind == "attention"
    assert attention.flops == sum(launch.flops for launch in eager)
    assert attention.bytes_written == heads


@pytest.mark.parametrize(("tokens", "whole"), [(512, True), (513, False)])
def test_handwritten_attention_has_a_longest_sequence(tokens: int, whole: bool) -> None:
    shape = (1, 2, tokens, 16)
    found = _launches(WrittenOut(), shape, "handwritten", layout="channels_first")
    kinds = ["attention"] if whole else ["batched_product", "batched_product", "engine_reduction"]
    assert [launch.kind for launch in found] == kinds


class Biased(nn.Module):
    """The same with a bias that a small network makes of a table, as in Swin v2."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 3))
        self.register_buffer("table", torch.zeros(10, 10, 2))

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias(self.table).permute(2, 0, 1).sigmoid()
        return (x @ x.transpose(-2, -1) + bias).softmax(-1) @ x


def test_what_follows_from_weights_alone_is_done_beforehand_in_an_engine() -> None:
    shape = (2, 3, 10, 16)
    compiled = _launches(Biased(), shape, "compile", layout="channels_first")
    assert sum(launch.kind.endswith("product") for launch in compiled) == 4
    (attention,) = _launches(Biased(), shape, "engine", layout="channels_first")
    assert attention.kind == "masked_attention"
    assert attention.bytes_read == 3 * 2 * 6 * 10 * 16 + 2 * 3 * 10 * 10


def test_what_two_read_is_written_once_and_kept() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(48, 48), nn.Linear(48, 48)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.first(x))
            return y + self.second(y)

    weight = 2 * (48 * 48 + 48)
    # The second product ends with the sum, which reads what the first one wrote.
    assert _moved(_launches(Twice(), (2, 7, 48), "engine")) == [
        ("product", TOKENS + weight, TOKENS),
        ("product", TOKENS + weight + TOKENS, TOKENS),
    ]


def test_amp_casts_weights_in_every_pass_but_in_an_engine() -> None:
    layer = nn.Linear(48, 20, bias=False)
    kinds = {
        fusion: [launch.kind for launch in _launches(layer, (7, 48), fusion, "amp")]
        for fusion in ("none", "compile", "engine")
    }
    assert kinds["none"] == ["cast", "cast", "product"]
    assert kinds["compile"] == ["fused_elementwise", "fused_weights", "product"]
    assert kinds["engine"] == ["engine_elementwise", "product"]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv2d(3, 20, 3), "stem"),
        (nn.Conv2d(48, 20, 1), "pointwise"),
        (nn.Conv2d(48, 20, 3), "convolution"),
        (nn.Conv2d(48, 20, 3, groups=2), "grouped"),
        (nn.Conv2d(48, 48, 3, groups=48), "depthwise"),
        (nn.BatchNorm2d(48), "batch_norm"),
        (nn.MaxPool2d(2), "max_pool"),
        (nn.AvgPool2d(2), "pool"),
        (nn.ReLU(), "elementwise"),
        (nn.Upsample(scale_factor=2), "upsample"),
    ],
)
def test_an_operation_on_maps_has_a_class_for_each_layout(module: nn.Module, kind: str) -> None:
    shape = (2, 3 if kind == "stem" else 48, 8, 8)
    (last,) = trace(module, shape)
    (first,) = trace(module, shape, layout="channels_first")
    assert (kind_of(last), kind_of(first)) == (f"{kind}_nhwc", kind)
    assert {f"{kind}_nhwc", kind} <= set(LAUNCH_KINDS)


def test_equal_launches_are_kept_once_and_counted() -> None:
    layers = nn.Sequential(*(nn.ReLU() for _ in range(3)), nn.Linear(48, 48))
    found = Launches.of(_launches(layers, (7, 48), "none"))
    assert dict(zip(found.kinds, found.counts.tolist(), strict=True)) == {
        "elementwise": 3,
        "product": 1,
    }
    assert found.sizes.shape == (2, 8)
