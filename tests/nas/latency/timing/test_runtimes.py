"""Runtimes: each computes what the network does, and says what it needs where that is missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.errors import ExportError, MissingExtraError
from nas.latency import Effort, Plan, Target, measured_predictor, predictor_for
from nas.latency.devices import check
from nas.latency.timing.onnx import onnx_bytes
from nas.latency.timing.runtimes import compiled, prepare
from search_spaces.space import SearchSpace

BRIEF = Effort(0.0, least=2, most=2)


def _target(runtime: str) -> Target:
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    if runtime == "compile" and shutil.which("g++") is None:
        pytest.skip("there is no g++")
    return Target("cpu", runtime=runtime, threads=1)


class Small(nn.Module):
    """Notes how often Python runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x).relu()


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x


@pytest.mark.parametrize("runtime", check("cpu").runtimes)
def test_a_runtime_computes_what_the_network_does(runtime: str) -> None:
    target, module = _target(runtime), Small().eval()
    with torch.inference_mode():
        x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
        run = prepare(module, x, target)
        for images in (x, x + 1):
            found = run(images)
            array = found[0] if isinstance(found, list) else found
            np.testing.assert_allclose(np.asarray(array), module(images).numpy(), atol=1e-6)


def test_there_are_three_runtimes_and_eager_is_the_default() -> None:
    assert check("cpu").runtimes == ("eager", "onnxruntime", "compile")


def test_networks_of_one_class_are_all_compiled() -> None:
    seen: list[int] = []

    def backend(graph: torch.fx.GraphModule, examples: object) -> Callable[..., object]:
        seen.append(len(graph.graph.nodes))
        return graph.forward

    compiler = partial(torch.compile, backend=backend)
    with torch.inference_mode():
        for width in range(1, 13):  # torch gives up after eight of one code object
            module = nn.Sequential(nn.Linear(2, width))
            compiled(module, torch.zeros(1, 2), compiler)(torch.zeros(1, 2))
    assert len(seen) == 12


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed)
    monkeypatch.setitem(sys.modules, package, None)
    target = Target("cpu", runtime="onnxruntime", threads=1)
    with pytest.raises(MissingExtraError, match=rf"needs '{package}'.*'\.\[onnx\]'"):
        prepare(Small(), torch.zeros(1, 5), target)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    target = Target("cpu", runtime="compile", threads=1)
    with pytest.raises(
        MissingExtraError, match="C\\+\\+ compiler 'no-such-compiler', which is not"
    ):
        prepare(Small(), torch.zeros(1, 5), target)


def test_a_network_that_a_runtime_cannot_run_is_told() -> None:
    with pytest.raises(ExportError, match="cannot be exported to ONNX"):
        _target("onnxruntime")
        onnx_bytes(Undecided(), torch.ones(2))
    with torch.inference_mode(), pytest.raises(ExportError, match="cannot be compiled"):
        prepare(Undecided(), torch.ones(2), _target("compile"))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("Tried to allocate 200 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True),
        (RuntimeError("cc1plus: out of memory allocating 65536 bytes"), False),
    ],
)
def test_a_gpus_memory_that_is_full_is_no_fault_of_the_network(
    error: Exception, full: bool
) -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    with pytest.raises(type(error) if full else ExportError):
        compiled(Fails(), torch.ones(2), lambda network, **_: network)


def test_a_runtime_without_parts_is_predicted_from_whole_networks(
    space: SearchSpace, plan: Plan
) -> None:
    target = _target("onnxruntime")
    predictor = predictor_for(space, target, plan=plan)
    assert "whole networks and their operations" in str(predictor)
    codes = space.sample(20, np.random.default_rng(0))
    prediction = predictor.predict(codes)
    assert (prediction.ms > 0).all()
    assert (prediction.high_ms >= prediction.ms).all()
    eager = predictor_for(space, Target("cpu", threads=1), plan=plan)
    assert eager.id != predictor.id


def test_measuring_again_replaces_what_is_cached(space: SearchSpace, plan: Plan) -> None:
    target = Target("cpu", threads=1)
    first = measured_predictor(space, target, plan=plan)
    again = measured_predictor(space, target, plan=plan, again=True)
    assert again.id != first.id
    assert predictor_for(space, target, measure=False).id == again.id
