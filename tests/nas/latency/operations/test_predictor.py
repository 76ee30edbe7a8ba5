"""Any network from its operations: listed truly, measured once, stored safely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas.errors import CheckpointError, NotFittedError, RunError, SettingsError
from nas.latency import Effort, Target
from nas.latency.operations.predictor import OperationsPredictor, predict_module
from nas.latency.operations.timer import Pace, Span, WeightPool
from nas.latency.operations.times import OperationTimes
from nas.latency.tracing.calls import Call, Operand, calls_of
from nas.progress import Silent
from nas.storage import lock

BRIEF = Pace(0.0, least=2, most=2)
SHAPE = (1, 3, 12, 12)


class Attends(nn.Module):
    """Convolution, attention of two heads, a cached constant, a residual."""

    def __init__(self, dim: int = 20) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, dim, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.head = nn.Linear(dim, 10)
        self.scale: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(2).transpose(1, 2)  # (B, N, dim)
        if self.scale is None:
            self.scale = torch.ones(x.shape[-1])
        heads = self.qkv(self.norm(x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*heads.unbind(0))
        x = x + mixed.transpose(1, 2).flatten(2) * self.scale
        result: Tensor = self.head(x.mean(1))
        return result


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


class _Names(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What a real pass runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if func.namespace == "aten":
            self.names.append(str(func))
        return result


@pytest.fixture
def network() -> Attends:
    torch.manual_seed(0)
    return Attends().eval()


@pytest.fixture
def target() -> Target:
    return Target("cpu", threads=1)


def _small(*widths: int) -> list[tuple[nn.Module, tuple[int, ...]]]:
    return [(nn.Sequential(nn.Conv2d(3, n, 3), nn.ReLU()), SHAPE) for n in widths]


def _predictor(target: Target) -> OperationsPredictor:
    networks, brief = _small(8, 12, 20), Effort(0.0, least=2, most=2)
    # However busy the machine is that runs the tests.
    return OperationsPredictor.of(target, networks, effort=brief, widest=math.inf)


def test_the_operations_are_those_of_a_real_pass(network: Attends) -> None:
    image = torch.randn(SHAPE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(image)
        with _Names() as real:
            network(image)
    network.scale = None
    calls = [str(call.function) for call in calls_of(network, SHAPE)]
    assert calls == real.names


def test_a_network_is_left_as_it_is(network: Attends) -> None:
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    calls_of(network, SHAPE)
    assert network.training
    assert network.scale is None
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())


def test_weights_need_no_memory(network: Attends) -> None:
    keys = [call.key for call in calls_of(network, SHAPE)]
    with torch.device("meta"):
        shapes_only = Attends()
    assert [call.key for call in calls_of(shapes_only, SHAPE)] == keys


def test_operands_say_which_are_weights_and_which_share_memory(network: Attends) -> None:
    calls = {str(call.function): call for call in calls_of(network, SHAPE)}
    image, *weights = calls["aten.conv2d.default"].operands
    assert (image.weight, [w.weight for w in weights]) == (False, [True, True])
    attention = calls["aten.scaled_dot_product_attention.default"].operands
    assert [operand.memory for operand in attention] == [0, 0, 0]
    assert [operand.offset for operand in attention] == [0, 20, 40]


def test_views_launch_nothing(network: Attends) -> None:
    launches = {str(call.function): call.launches for call in calls_of(network, SHAPE)}
    assert not launches["aten.permute.default"]
    assert launches["aten.linear.default"]


def test_what_depends_on_values_cannot_be_listed() -> None:
    with pytest.raises(SettingsError, match="operations of Decides on inputs of 1x3.*measured"):
        calls_of(Decides(), (1, 3))


def test_equal_operations_are_measured_once(target: Target) -> None:
    layers = [nn.Linear(20, 20) for _ in range(3)]
    calls = calls_of(nn.Sequential(*layers), (4, 20))
    store = OperationTimes.of(target)
    assert store.measure(calls, Silent(), BRIEF) == 1
    assert store.measure(calls, Silent(), BRIEF) == 0
    assert store.ms[calls[0].key] > 0


def test_every_operation_of_a_network_can_run_alone(network: Attends, target: Target) -> None:
    calls = calls_of(network, SHAPE)
    store = OperationTimes.of(target)
    store.measure(calls, Silent(), BRIEF)
    assert {call.key for call in calls if call.launches} <= set(store.ms)


def test_weights_come_from_as_much_memory_as_the_network_has(target: Target) -> None:
    asked: list[int] = []

    def timer(calls: Sequence[Call], weights: int, *_: Any) -> list[Span]:
        asked.append(weights)
        assert len(WeightPool.for_calls(calls, weights)) == weights
        return [Span([1.0], [[(1.0, False)] for _ in calls])]

    network = nn.Sequential(*(nn.Linear(20, 20) for _ in range(3)), nn.Linear(20, 5))
    OperationTimes.of(target, timer).measure(calls_of(network, (4, 20)), Silent())
    assert asked == [sum(p.numel() for p in network.parameters())]


class Shares(nn.Module):
    """Hands an operation two pieces of one weight, the smaller one last."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(100, 64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.weight, self.weight[:1]]) + x


def test_an_operation_may_take_pieces_of_one_weight(target: Target) -> None:
    calls = calls_of(Shares(), (1, 64))
    assert OperationTimes.of(target).measure(calls, Silent(), BRIEF) == 2


def test_few_new_operations_are_timed_in_the_company_of_the_others(target: Target) -> None:
    asked: list[int] = []

    def timer(calls: Sequence[Call], *_: Any) -> list[Span]:
        asked.append(len(calls))
        return [Span([1.0], [[(float(len(asked)), False)] for _ in calls])]

    store = OperationTimes.of(target, timer)
    store.measure(calls_of(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 9)), (1, 8)), Silent())
    more = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 9), nn.Linear(9, 7))
    assert store.measure(calls_of(more, (1, 8)), Silent()) == 1
    assert asked == [2, 3]
    assert sorted(store.ms.values()) == [1.0, 1.0, 2.0]  # what was known is kept


def _quick(calls: Sequence[Call], *_: Any) -> list[Span]:
    return [Span([1.0], [[(1.0, False)] for _ in calls])]


def test_what_two_processes_measure_is_kept_of_both(target: Target) -> None:
    one, other = OperationTimes.of(target, _quick), OperationTimes.of(target, _quick)
    first, second = (calls_of(nn.Linear(8, n), (1, 8)) for n in (3, 4))
    one.measure(first, Silent())
    assert other.measure(second, Silent()) == 1
    assert OperationTimes.of(target).ms.keys() == {call.key for call in (*first, *second)}


def test_what_another_process_measured_meanwhile_is_not_measured_again(target: Target) -> None:
    one = OperationTimes.of(target, _quick)
    other = OperationTimes.of(target, lambda *_: pytest.fail("it was measured again"))
    calls = calls_of(nn.Linear(8, 3), (1, 8))
    one.measure(calls, Silent())
    assert other.measure(calls, Silent()) == 0
    assert other.ms == one.ms


def test_only_one_process_measures_at_a_time(target: Target) -> None:
    def timer(calls: Sequence[Call], *_: Any) -> list[Span]:
        with (
            pytest.raises(RunError, match="is in use by process"),
            lock(store.path.with_name("measuring.lock"), wait=False),
        ):
            pass
        return _quick(calls)

    store = OperationTimes.of(target, timer)
    assert store.measure(calls_of(nn.Linear(8, 3), (1, 8)), Silent()) == 1


def test_a_stored_operation_survives_its_file(target: Target, network: Attends) -> None:
    store = OperationTimes.of(target)
    store.measure(calls_of(network, SHAPE), Silent(), BRIEF)
    store.fitted = {"terms": [1.0]}
    store.save()
    again = OperationTimes.of(target)
    assert (again.ms, again.fitted) == (store.ms, store.fitted)
    assert again.reference_ms == store.reference_ms != []
    assert OperationTimes.of(Target("cpu", threads=2)).ms == {}


def test_a_slow_hour_does_not_stay_in_the_store(target: Target) -> None:
    slow = 1.0

    def timer(calls: Sequence[Call], *_: Any) -> list[Span]:
        later = 1.5 * slow
        return [
            Span([1.0 * slow, 0.9 * slow], [[(2.0 * slow, False)] for _ in calls]),
            Span([1.0 * later, 0.9 * later], [[(2.0 * later, False)] for _ in calls]),
        ]

    store = OperationTimes.of(target, timer)
    store.measure(calls_of(nn.Linear(8, 8), (1, 8)), Silent())
    slow = 3.0
    store.measure(calls_of(nn.Linear(9, 9), (1, 9)), Silent())
    assert [*store.ms.values()] == pytest.approx([2.5, 2.5])  # at the first session's speed


def test_a_store_with_changed_bytes_does_not_load(target: Target) -> None:
    store = OperationTimes.of(target)
    store.ms["aten.relu"] = 1.25
    store.save()
    store.path.write_text(store.path.read_text().replace("1.25", "1.26"))
    with pytest.raises(CheckpointError, match="was changed after it was written.*Delete '"):
        OperationTimes.of(target)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"content": {"ms": {"a": [1]}}}'])
def test_a_damaged_store_does_not_load(target: Target, text: str) -> None:
    path = OperationTimes.of(target).path
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read.*measures again"):
        OperationTimes.of(target)


def test_a_store_of_other_conditions_does_not_load(target: Target) -> None:
    store = OperationTimes.of(target)
    store.conditions["threads"] = 16
    store.save()
    with pytest.raises(CheckpointError, match="measured under other conditions.*Delete '"):
        OperationTimes.of(target)


def test_a_prediction_lies_in_its_interval_and_is_made_again_from_the_store(
    target: Target, network: Attends
) -> None:
    predictor = _predictor(target)
    found = predictor.predict([network], [SHAPE])
    assert 0 < found.low_ms[0] < found.ms[0] < found.high_ms[0]
    assert "fitted to 3 whole networks" in str(predictor)
    kept = predictor.store.path.read_bytes()
    again = predict_module(network, SHAPE, target)
    assert again.ms.tolist() == found.ms.tolist()
    assert predictor.store.path.read_bytes() == kept  # nothing was measured again


def test_the_fit_finds_what_made_the_times(target: Target, scripted: Any) -> None:
    def timer(calls: Sequence[Call], *_: Any) -> list[Span]:
        ms = [sum(o.extent for o in call.operands) / 1000 for call in calls]
        return [Span([1.0], [[(one, False)] for one in ms])]

    machine = scripted(lambda network, shape: _true_ms(network))
    networks = _small(8, 12, 20, 28, 40)
    predictor = OperationsPredictor.of(target, networks, timer=timer, machine=machine)
    [(module, shape)] = _small(16)
    assert predictor.predict([module], [shape]).ms[0] == pytest.approx(_true_ms(module), rel=0.01)


def _true_ms(module: nn.Module) -> float:
    """1.3 times what `timer` says of the convolution and the activation, and no overhead."""
    elements = [p.numel() for p in module.parameters()]
    image, activation = 3 * 12 * 12, 10 * 10 * elements[-1]
    return 1.3 * (image + sum(elements) + activation) / 1000


def test_a_busy_machine_is_refused(target: Target) -> None:
    networks, brief = _small(8, 12, 20), Effort(0.0, least=2, most=2)
    with pytest.raises(NotFittedError, match=r"gave nothing to rely on.*Close other programs"):
        OperationsPredictor.of(target, networks, effort=brief, widest=1.0)
    kept = OperationTimes.of(target)  # what was timed meanwhile is timed again
    assert (kept.ms, kept.reference_ms) == ({}, [])


def test_what_fuses_operations_is_refused(network: Attends) -> None:
    with pytest.raises(SettingsError, match="not on cpu in runtime compile, which fuses them"):
        predict_module(network, SHAPE, Target("cpu", runtime="compile"))


def test_the_extent_of_an_operand_reaches_its_last_element() -> None:
    one = Operand((2, 3), (10, 2), torch.float32, 5, 0, False)
    assert one.extent == 5 + 10 + 4 + 1
    assert Operand((0, 3), (3, 1), torch.float32, 5, 0, False).extent == 5
