"""A GPU at hand as a `Machine`: networks in the target's precision, layout and runtime.

    eager        launched operation by operation; a host that is slower than the GPU counts
    compile      torch.compile, 20 to 60 s per network
    cuda-graph   the launches of eager, submitted as one

Each pass starts on an idle GPU (`cuda.py`). Images are new at each visit; weights are where the
pass before left them, as in a network that runs again and again. Networks that do not fit into
the memory are left out. Runtimes of other programs (tensorrt) are measured with a kit.
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
from nas.latency.timing.machine import Pass, quiet
from nas.latency.timing.runtimes import compiled, memory_full
from nas.progress import Progress

RUNTIMES = ("eager", "compile", "cuda-graph")
"""Runtimes that this program can measure."""
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Clock(Protocol):
    """What `GpuMachine` needs from a GPU: `cuda.CudaClock`, in tests the processor."""

    device: torch.device

    def ready(self, tf32: bool) -> AbstractContextManager[None]:
        """Work is submitted to this GPU inside the block."""

    def ms(self, run: Callable[[], object]) -> float:
        """Milliseconds that `run` takes."""

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        """The launches of `run` as one CUDA graph."""

    def forget(self) -> None:
        """Return unused memory to the GPU."""

    def facts(self) -> dict[str, Any]:
        """Model, multiprocessors, memory and versions."""

    def state(self) -> dict[str, Any]:
        """Clocks, power and temperature."""

    def programs(self) -> int:
        """How many programs use this GPU, this one included; 0 if that is not known."""


class GpuMachine:
    """Times networks on a GPU under one target's conditions."""

    def __init__(self, target: Target, clock: Clock, own_programs: int = 1) -> None:
        assert target.precision is not None
        self.target, self.clock, self._own_programs = target, clock, own_programs
        self._dtype = DTYPES.get(target.precision, torch.float32)

    @classmethod
    def of(
        cls,
        target: Target,
        find: Callable[[], list[Gpu]] | None = None,
        open_clock: Callable[[Gpu], Clock] | None = None,
        own_programs: int = 1,
    ) -> GpuMachine:
        """The machine of a target.

        Args:
            target: Names the GPU.
            find: Lists the GPUs at hand.
            open_clock: Makes the clock of one.
            own_programs: How many processes of this program use the GPU.

        Raises:
            NotFittedError: the GPU is not at hand, or the runtime cannot be measured here.
        """
        try:
            found = (find or gpus)()
            here = next((gpu for gpu in found if gpu.device == target.device), None)
            clock = (
                (open_clock or CudaClock)(here) if here and target.runtime in RUNTIMES else None
            )
        except RuntimeError as error:  # from the driver, or from a GPU that is in use
            line = str(error).partition("\n")[0].rstrip(". ")
            raise NotFittedError(
                f"CUDA does not work here, so {target.device} cannot be measured: {line}. Check "
                "it with `nvidia-smi`."
            ) from error
        if here is None:
            raise _not_here(target, found)
        if clock is None:
            raise NotFittedError(
                f"{target.device} is at hand, but {target.runtime} does not run in this program: "
                f"{', '.join(RUNTIMES)} can be measured. Write networks to measure in "
                f"{target.runtime} with {_kit(target)}."
            )
        return cls(target, clock, own_programs)

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Inference on the GPU in the target's precision, without garbage collection."""
        tf32 = self.target.precision == "tf32"
        with quiet(torch.get_num_threads()), self.clock.ready(tf32):
            yield

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """New random images in the GPU's memory.

        Raises:
            torch.OutOfMemoryError: they do not fit.
        """
        device = self.clock.device
        with self._errors_translated():
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
        """Each network on the GPU, ready to be timed; None for one that does not fit.

        Raises:
            ExportError: the runtime cannot run one of them.
        """
        found: list[Pass | None] = []
        with progress.task("Preparing networks", len(networks)) as advance:
            for network, shape in zip(networks, shapes, strict=True):
                found.append(self._held(network, shape, rng))
                advance(len(found), str(self.target.runtime))
        if (others := self.clock.programs() - self._own_programs) > 0:
            progress.say(f"{others} other program(s) use this GPU and slow the networks down")
        if missing := found.count(None):
            progress.say(
                f"{missing} of {len(found)} networks left out: the GPU's memory does not hold them"
            )
        return found

    def facts(self) -> dict[str, Any]:
        """What the GPU is."""
        return self.clock.facts()

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
            with self._errors_translated():
                return self._pass(network, images)
        except torch.OutOfMemoryError:
            pass  # the error holds the tensors: they are freed after this block
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
            run(images)  # libraries choose their implementations here
        if self.target.runtime != "cuda-graph":
            return lambda x: self._stamps(lambda: run(x))
        replay = self.clock.captured(lambda: run(images))

        def replayed(x: Tensor) -> list[int]:
            images.copy_(x)  # a graph reads the memory that it was captured with
            return self._stamps(replay)

        return replayed

    def _stamps(self, run: Callable[[], object]) -> list[int]:
        with self._errors_translated():
            return [0, round(self.clock.ms(run) * 1e6)]

    @contextlib.contextmanager
    def _errors_translated(self) -> Iterator[None]:
        """Turn errors of CUDA and its libraries into one of two kinds.

        Raises:
            torch.OutOfMemoryError: something did not fit into the memory.
            ExportError: the network cannot be run for another reason.
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
