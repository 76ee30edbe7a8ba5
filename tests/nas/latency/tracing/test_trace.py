"""Traces: torch's counts are met, views are no operations, the rest follows formulas."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.latency.part_work import part_operations
from nas.latency.tracing.operations import Operation, Precision, peak_activation_bytes, unknown
from nas.latency.tracing.trace import trace
from search_spaces.architecture import Choice
from search_spaces.definition import MIXERS  # filled with every family
from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, HEADS, STEMS
from search_spaces.parts import Part

COUNTED = ("product", "convolution", "grouped", "depthwise", "attention")


def _parts() -> list[Part]:
    """Every family, with its first and last options, at an awkward width."""
    roles = [
        ("mixer", MIXERS, 48, 1),
        ("channel_mixer", CHANNEL_MIXERS, 48, 1),
        ("downsampling", DOWNSAMPLINGS, 20, 2),
        ("stem", STEMS, 20, 1),
        ("head", HEADS, 10, 1),
    ]
    parts = []
    for role, registry, out_dim, stride in roles:
        for family in registry:
            if family.name == "none":
                continue
            every = list(family.every_options())
            for options in dict.fromkeys((every[0], every[-1])):
                choice = Choice(family.name, options)
                step = getattr(options, "stride", stride) if role == "stem" else stride
                in_dim = 3 if role == "stem" else 48
                parts.append(Part(role, choice, in_dim, out_dim, 16, step, "layer"))
    return parts


def _counted_by_torch(part: Part, batch_size: int) -> int:
    module = part.build().eval().to("meta")
    x = torch.empty(part.input_shape(batch_size), device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return int(counter.get_total_flops())


def test_every_family_is_among_the_parts() -> None:
    names = {(p.role, p.kind) for p in _parts()}
    assert len(names) == sum(map(len, (MIXERS, CHANNEL_MIXERS, DOWNSAMPLINGS, STEMS, HEADS))) - 1


@pytest.mark.parametrize("part", _parts(), ids=lambda p: f"{p.role}-{p.kind}")
def test_flops_of_every_family_are_those_that_torch_counts(part: Part) -> None:
    _, operations = part_operations(part, batch_size=2)
    assert sum(each.flops for each in operations if each.kind in COUNTED) == _counted_by_torch(
        part.deployed(), 2
    )


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


def test_a_trace_within_inference_mode_is_the_same() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(2), nn.Linear(36, 5)).eval()

    def flops() -> list[int]:
        return [operation.flops for operation in trace(module, (1, 3, 8, 8))]

    outside = flops()
    with torch.inference_mode():
        assert flops() == outside
    assert sum(outside) == 2 * (8 * 27 * 36 + 8 * 36 * 5)


def test_attention_is_one_operation_with_its_formula() -> None:
    (operation,) = trace(Attention(), (2, 3, 5, 8))
    assert (operation.op, operation.kind) == ("scaled_dot_product_attention", "attention")
    assert operation.flops == 2 * 2 * 3 * 5 * 5 * (8 + 8)
    assert operation.output_shapes == ((2, 3, 5, 8),)


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[2:])


@pytest.mark.parametrize("precision", ["fp32", "amp"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_an_lstm_is_a_product_of_all_inputs_and_one_for_each_step(
    precision: Precision, batch_first: bool
) -> None:
    lstm = nn.LSTM(20, 48, num_layers=2, bidirectional=True, batch_first=batch_first)
    shape = (5, 7, 20) if batch_first else (7, 5, 20)  # 5 images, 7 steps
    operations = trace(First(lstm), shape, precision=precision)
    products = [operation for operation in operations if operation.kind == "product"]
    assert len(products) == 2 * 2 * (1 + 7)
    assert sum(operation.op == "lstm_cell" for operation in operations) == 2 * 2 * 7
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        out, _ = lstm.to("meta")(torch.empty(shape, device="meta"))
    assert sum(operation.flops for operation in products) == counter.get_total_flops()
    normed = trace(nn.Sequential(First(lstm), nn.LayerNorm(96)), shape, precision=precision)
    assert normed[-1].output_shapes[0] == out.shape


class First(nn.Module):
    """Of what a module returns."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.module(x)[0]
        return first


def test_a_real_transform_costs_half_of_five_n_log_n() -> None:
    transforms = [k for k in trace(Spectrum(), (1, 3, 8, 16)) if k.kind == "fft"]
    assert {k.flops for k in transforms if "r2c" in k.op} == {3 * 5 * 128 * 7 // 2}
    assert sum(k.flops for k in transforms) >= 2 * 3 * 5 * 128 * 7 // 2


class Odd(nn.Module):
    """Runs a function that the tracer does not list, and some that it does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.renorm(F.glu(x).flip(-1).cumsum(-1), 2, 0, 1.0)


def test_a_function_that_the_tracer_does_not_know_is_named() -> None:
    operations = trace(Odd(), (4, 8))
    kinds = {each.op: each.kind for each in operations}
    assert kinds == {
        "aten.glu": "elementwise",
        "aten.flip": "copy",
        "aten.cumsum": "reduction",
        "aten.renorm": "unknown",
    }
    assert unknown(operations) == ("aten.renorm",)


class Views(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1, 2)[:, ::2].unsqueeze(0)


def test_views_launch_nothing() -> None:
    assert trace(Views(), (1, 4, 8, 8)) == []


class Branches(nn.Module):
    """Input alive across the wide branch: 1 + 4 units, then 4 + 1 + 1."""

    def __init__(self) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.widen(x))


def test_peak_memory_holds_the_residual_input() -> None:
    operations = trace(Branches(), (1, 4, 8, 8))
    unit = 4 * 8 * 8 * 4
    assert peak_activation_bytes(operations) == (1 + 4 + 1) * unit
    assert [k.bytes_written for k in operations] == [4 * unit, unit, unit]


def test_weights_are_read_but_are_no_activations() -> None:
    (operation,) = trace(nn.Linear(8, 2), (3, 8))
    assert operation.bytes_read == 4 * (8 * 2 + 2 + 3 * 8)
    assert peak_activation_bytes([operation]) == 4 * (3 * 8 + 3 * 2)


class Cached(nn.Module):
    table: dict[torch.device, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if x.device not in self.table:
            self.table[x.device] = torch.arange(8, device=x.device) + 1
        return x * self.table[x.device]


def test_constants_that_a_first_call_caches_are_not_counted() -> None:
    Cached.table.clear()
    assert [k.op for k in trace(Cached(), (2, 8))] == ["aten.mul"]


def test_a_trace_leaves_the_module_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5))
    module[2].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trace(module, (2, 3, 8, 8))
    assert [m.training for m in module] == [True, True, False]
    assert all(torch.equal(before[n], t) for n, t in module.state_dict().items())


def test_repeated_operations_are_imitated_exactly() -> None:
    options = MIXERS["attention"].options
    part = Part("mixer", Choice("attention", options()), 32, 32, 8, 1, "layer")
    assert _without_ids(part_operations(part)[1]) == _without_ids(part_operations(part)[1])


class Table(nn.Module):
    """Multiplies by a table that it makes on the processor."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device

    def forward(self, x: Tensor) -> Tensor:
        table = torch.zeros(7, device=self.device).cos().tan()
        assert table.device.type == self.device
        return x * table.to(x.device)


@pytest.mark.parametrize("devices", [("meta", "cpu"), ("cpu", "meta")])
def test_an_operation_seen_on_one_device_is_not_imitated_on_another(
    devices: tuple[str, str],
) -> None:
    for device in devices:
        assert trace(Table(device), (2, 7))[-1].op == "aten.mul"


class Reshaped(nn.Module):
    """Products of more than two dimensions view their results in another shape."""

    def forward(self, x: Tensor) -> Tensor:
        return ((x @ x.transpose(-2, -1)).relu() @ x).relu()


def test_memory_is_followed_through_undeclared_views_also_when_repeated() -> None:
    for _ in range(2):
        operations = trace(Reshaped(), (2, 3, 6, 5), layout="channels_first")
        assert [k.kind for k in operations] == ["product", "elementwise"] * 2
        for before, after in itertools.pairwise(operations):
            assert before.writes[0] in after.reads
        assert {b.role for k in operations for b in k.reads} == {"input", "activation"}


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.unsafe_split(x, 3, dim=1)
        return left + right


def test_an_unsafe_split_launches_nothing() -> None:
    assert [k.op for k in trace(Halves(), (2, 6))] == ["aten.add"]


def _without_ids(operations: list[Operation]) -> list[object]:
    return [(k.op, k.input_shapes, k.output_shapes, k.flops, k.bytes_read) for k in operations]


def test_a_network_of_another_library_is_traced() -> None:
    from nas.timm_library import create_model

    model = create_model("resnet18")
    operations = trace(model, (1, 3, 224, 224))
    macs = sum(each.flops for each in operations if each.kind in COUNTED) / 2
    assert macs == pytest.approx(1.814e9, rel=1e-3)  # torchvision's model card: 1.81 GFLOPS
