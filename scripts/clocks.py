"""The clocks of the scripts for GPUs: a GPU's, or the processor's, to try a script out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from nas.latency.timing.cuda import CudaClock, gpus
from nas.latency.timing.gpu import Clock


def of(device: str) -> Clock:
    """The clock of a GPU (cuda, cuda:1), or of the processor to try a script out (cpu)."""
    if device == "cpu":
        return ProcessorClock()
    found = gpus()
    if not found:
        raise SystemExit(
            f"torch {torch.__version__} finds no CUDA GPU; --device cpu tries it out."
        )
    return CudaClock(found[int(device.partition(":")[2] or 0)])


class ProcessorClock:
    """The processor instead of a GPU; its figures mean nothing."""

    device = torch.device("cpu")

    def ready(self, tf32: bool) -> AbstractContextManager[None]:
        """Nothing needs to be set."""
        return nullcontext()

    def ms(self, run: Callable[[], object]) -> float:
        """Milliseconds by the wall clock."""
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e3

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        """`run` itself; there is nothing to capture."""
        run()
        return run

    def forget(self) -> None:
        """Nothing is kept."""

    def facts(self) -> dict[str, Any]:
        """The note that this is not a GPU."""
        return {"model": "this processor, which is no GPU"}

    def state(self) -> dict[str, Any]:
        """Not known."""
        return {}

    def programs(self) -> int:
        """Not known."""
        return 0
