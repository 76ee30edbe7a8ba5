"""A target: everything that a latency depends on besides the network.

    cpu (eager, fp32, channels_last, batch 1, resolution as the architecture's, 2 threads)
    a100 (eager, fp16, channels_last, batch 1, resolution as the architecture's)

What is left out takes the device's default, so that a target always holds and prints all fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.environment import usable_cpus
from nas.errors import SettingsError, UnknownNameError, did_you_mean, unknown_name
from nas.latency.devices import Device, check


@dataclass(frozen=True)
class Target:
    """Device, runtime, precision, layout, images per batch, their side and threads.

    `device` may be an alias, such as "RTX 4090"; the target holds the device's name. `resolution`
    None means the one of each architecture. `threads` are those of the processor, None on a GPU.
    After construction only these two can be None.

    Raises:
        UnknownNameError: no such device, or the device has no such runtime, precision or layout.
        SettingsError: a number that is not positive, threads for a GPU, or a wrong device file.
    """

    device: str
    runtime: str | None = None
    precision: str | None = None
    layout: str | None = None
    batch_size: int | None = None
    resolution: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Fill in what was left out and check the rest."""
        device = check(self.device)
        object.__setattr__(self, "device", device.name)
        defaults = {
            "runtime": device.runtimes[0],
            "precision": device.precisions[0],
            "layout": device.layouts[0],
            "batch_size": 1,
            "threads": usable_cpus() if device.kind == "cpu" else device.cores or None,
        }
        for field, value in defaults.items():
            if getattr(self, field) is None:
                object.__setattr__(self, field, value)
        self._check_words(device)
        self._check_numbers()
        if device.kind == "gpu" and self.threads is not None:
            raise SettingsError(
                f"{device.name} is a GPU, and only a processor has threads; leave them out."
            )

    def __str__(self) -> str:
        side = "as the architecture's" if self.resolution is None else f"{self.resolution} px"
        words = [self.runtime, self.precision, self.layout, f"batch {self.batch_size}"]
        words.append(f"resolution {side}")
        if self.threads is not None:
            words.append("1 thread" if self.threads == 1 else f"{self.threads} threads")
        return f"{self.device} ({', '.join(map(str, words))})"

    @property
    def images(self) -> int:
        """Images per batch."""
        assert self.batch_size is not None
        return self.batch_size

    @property
    def thread_count(self) -> int:
        """Threads that run one operation on a processor."""
        assert self.threads is not None
        return self.threads

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Target:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: the device is missing, or there is a field that no target has.
        """
        fields = [field.name for field in dataclasses.fields(cls)]
        for name in data:
            if name not in fields:
                raise unknown_name("field of a target", name, fields)
        if "device" not in data:
            raise SettingsError("This target names no device; give one, such as 'cpu'.")
        return cls(**data)

    def _check_words(self, device: Device) -> None:
        offered = {
            "runtime": device.runtimes,
            "precision": device.precisions,
            "layout": device.layouts,
        }
        for field, values in offered.items():
            value = getattr(self, field)
            if value not in values:
                raise UnknownNameError(
                    f"{device.name} has no {field} '{value}'.{did_you_mean(str(value), values)} "
                    f"It has {', '.join(values)}; left out, it is {values[0]}."
                )

    def _check_numbers(self) -> None:
        for field in ("batch_size", "resolution", "threads"):
            value = getattr(self, field)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                words = field.replace("_", " ")
                raise SettingsError(
                    f"The target's {words} is {value!r}; it has to be a whole number of at least "
                    "1. Leave it out for the default."
                )
