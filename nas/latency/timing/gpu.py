"""Networks on the GPU at hand: in the target's precision, layout and runtime.

    eager        launched kernel by kernel; where the host is slower than the GPU, it counts
    compile      torch.compile, 20 to 60 s a network
    cuda-graph   the kernels of eager, launched as one

Each pass starts with nothing under way (`cuda.py`). Images are new at each visit, and other
networks have run since the last one; weights are where the pass before left them, as they are
where a network runs on and on. What the memory does not hold is left out. What can only be run
with other programs (tensorrt) is measured with a kit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import ExportError, NasError, NotFittedError
from nas.latency.target import Target
from nas.latency.timing.cuda import CudaClock, Gpu, gpus
from nas.latency.timing.measure import Pass, quiet
from nas.latency.timing.runtimes import compiled, memory_full
from nas.progress import Progress

RUNTIMES = ("eager", "compile", "cuda-graph")
"""What runs in this program."""
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Clock(Protocol):
    """What `GpuMachine` needs of a GPU; `cuda.CudaClock`, and in tests the processor."""

    device: torch.device

    def ready(self, tf32: bool) -> AbstractContextManager[None]:
        """Meanwhile work goes there."""

    def ms(self, run: Callable[[], object]) -> float:
        """Milliseconds that it takes."""

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        """The same, launched as one."""

    def forget(self) -> None:
        """Free what nothing uses."""

    def facts(self) -> dict[str, Any]:
        """What it is."""

    def state(self) -> dict[str, Any]:
        """Clocks and the like."""

    def others(self) -> int:
        """How many other programs use it."""


class GpuMachine:
    """Times networks on a GPU under one target's conditions."""

    def __init__(self, target: Target, clock: Clock) -> None:
        assert target.precision is not None
        self.target, self.clock = target, clock
        self._dtype = DTYPES.get(target.precision, torch.float32)

    @classmethod
    def of(cls, target: Target) -> GpuMachine:
        """The machine of a target.

        Raises:
            NotFittedError: its GPU is not at hand, or its runtime cannot be measured here.
        """
        try:
            found = gpus()
            here = next((gpu for gpu in found if gpu.device == target.device), None)
            clock = CudaClock(here) if here and target.runtime in RUNTIMES else None
        except RuntimeError as error:  # of the driver, or of a GPU that another program holds
            line = str(error).partition("\n")[0].rstrip(". ")
            raise NotFittedError(
                f"CUDA does not work here, so {target.device} cannot be measured: {line}. Look at "
                "`nvidia-smi`."
            ) from error
        if here is None:
            raise _not_here(target, found)
        if clock is None:
            raise NotFittedError(
                f"{target.device} is at hand, but {target.runtime} does not run in this program: "
                f"{', '.join(RUNTIMES)} can be measured. Write networks to measure in "
                f"{target.runtime} with {_kit(target)}."
            )
        return cls(target, clock)

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Inference on the GPU in the target's precision, without garbage collection."""
        tf32 = self.target.precision == "tf32"
        with quiet(torch.get_num_threads()), self.clock.ready(tf32):
            yield

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """New random images in the GPU's memory.

        Raises:
            torch.OutOfMemoryError: it does not hold them.
        """
        device = self.clock.device
        with self._told():
            generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
            x = torch.randn(shape, generator=generator, device=device, dtype=self._dtype)
            return x.contiguous(memory_format=self._layout) if x.dim() == 4 else x

    def passes(
        self,
        networks: Sequence[nn.Module],
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Pass | None]:
        """Each network moved to the GPU and made ready; None where its memory does not hold it.

        Raises:
            ExportError: the runtime cannot run one of them.
        """
        found: list[Pass | None] = []
        with progress.task("Preparing networks", len(networks)) as advance:
            for network, shape in zip(networks, shapes, strict=True):
                found.append(self._held(network, shape, rng))
                advance(len(found), str(self.target.runtime))
        others = self.clock.others()
        if others:
            progress.say(
                f"{others} other program(s) use this GPU: what they do meanwhile is measured too"
            )
        missing = found.count(None)
        if missing:
            progress.say(
                f"{missing} of {len(found)} networks left out: the GPU's memory does not hold them"
            )
        return found

    def state(self) -> dict[str, Any]:
        """Clocks, power and temperature, as far as they are known."""
        return self.clock.state()

    @property
    def _layout(self) -> torch.memory_format:
        last = self.target.layout == "channels_last"
        return torch.channels_last if last else torch.contiguous_format

    def _held(
        self, network: nn.Module, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Pass | None:
        try:
            images = self.images(shape, rng)
            with self._told():
                return self._pass(network, images)
        except torch.OutOfMemoryError:
            pass  # what was given out is free once the error is
        self._move(network, torch.device("cpu"))
        self.clock.forget()
        return None

    def _pass(self, network: nn.Module, images: Tensor) -> Pass:
        self._move(network, self.clock.device)
        call: Callable[[Tensor], object] = network
        if self.target.runtime == "compile":
            with self._precision():
                call = compiled(network, images)

        def run(x: Tensor) -> None:
            with self._precision():
                call(x)

        for _ in range(2):
            run(images)  # libraries choose their kernels
        if self.target.runtime != "cuda-graph":
            return lambda x: self._stamps(lambda: run(x))
        replay = self.clock.captured(lambda: run(images))

        def replayed(x: Tensor) -> list[int]:
            images.copy_(x)  # a graph reads where it was captured
            return self._stamps(replay)

        return replayed

    def _stamps(self, run: Callable[[], object]) -> list[int]:
        with self._told():
            return [0, round(self.clock.ms(run) * 1e6)]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever CUDA and its libraries raise as the kind of error that it is.

        Raises:
            torch.OutOfMemoryError: the memory does not hold what was to run.
            ExportError: it cannot be run for another reason.
        """
        try:
            yield
        except (NasError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            line = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(". ")
            if memory_full(error):
                raise torch.OutOfMemoryError(line) from error
            device, how = self.target.device, f"{self.target.runtime}, {self.target.precision}"
            raise ExportError(
                f"{device} cannot run this network in {how}: {line}. Choose another --runtime or "
                "--precision, or a smaller --batch-size."
            ) from error

    def _move(self, network: nn.Module, device: torch.device) -> None:
        with torch.inference_mode(False), torch.no_grad():  # weights stay ordinary tensors
            network.to(device=device, dtype=self._dtype)
            network.to(memory_format=self._layout)  # type: ignore[call-overload]

    def _precision(self) -> AbstractContextManager[object]:
        if self.target.precision != "amp":
            return contextlib.nullcontext()
        return torch.autocast(self.clock.device.type, torch.float16)


def _not_here(target: Target, found: Sequence[Gpu]) -> NotFittedError:
    name = target.device
    if not found:
        here = f"torch {torch.__version__} finds no CUDA GPU here"
    else:
        here = f"the GPU here is {', '.join(map(str, found))}"
    write = f"Run this where {name} is, or write" if target.runtime in RUNTIMES else "Write"
    return NotFittedError(
        f"{name} is not at hand, so it cannot be measured: {here}. {write} networks to measure "
        f"there with {_kit(target)}."
    )


def _kit(target: Target) -> str:
    return f"`nas measure --kit DIR --hardware {target.device} --runtime {target.runtime}`"
