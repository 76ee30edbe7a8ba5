"""The machine of a target: the processor or the GPU at hand."""

from __future__ import annotations

from nas.errors import NotFittedError
from nas.latency.devices import check
from nas.latency.target import Target
from nas.latency.timing.gpu import GpuMachine
from nas.latency.timing.machine import Machine
from nas.latency.timing.processor import Processor


def machine_of(target: Target, own_programs: int = 1) -> Machine:
    """Where a target is measured.

    Args:
        own_programs: How many processes of this program use the device; the others slow it down.

    Raises:
        NotFittedError: the device is not at hand, or cannot be measured in this runtime.
    """
    if target.device == "cpu":
        return Processor(target)
    if check(target.device).kind == "gpu":
        return GpuMachine.of(target, own_programs=own_programs)
    raise NotFittedError(
        f"{target.device} cannot run this program, so it cannot be measured from here. Write "
        f"networks to measure there with `nas measure --kit DIR --hardware {target.device}`."
    )
