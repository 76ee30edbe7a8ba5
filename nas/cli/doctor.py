"""`nas doctor`: what is installed, what was found, what is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nas.cli import options

EXTRAS = {
    "ray": ("ray",),
    "nni": ("nni",),
    "peers": ("pymoo",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "dashboard": ("optuna-dashboard",),
    "dev": ("hypothesis", "mypy", "pytest", "ruff"),
}
"""The optional packages by the extra that installs them, as in pyproject.toml."""


UNDESCRIBED = "none: `nas hardware add` takes a file that describes it"


def doctor(json: options.Json = False) -> None:
    """Print versions, devices, missing extras and whether folders can be written to.

    Example: nas doctor
    """
    from nas.cli.console import show_json, show_lines

    found = examination()
    if json:
        show_json(found)
    else:
        show_lines(_lines(found))


def examination() -> dict[str, Any]:
    """Everything that `nas doctor` looks at."""
    from nas.environment import cpu, environment, version
    from nas.storage import cache_dir

    return {
        "environment": environment(),
        "devices": {"cpu": cpu(), **_gpus()},
        "missing_extras": {
            extra: missing
            for extra, packages in EXTRAS.items()
            if (missing := [name for name in packages if version(name) is None])
        },
        "folders": {
            str(folder): _writable(folder) for folder in (cache_dir(), Path("results").absolute())
        },
    }


def _gpus() -> dict[str, Any]:
    """The GPUs at hand; what keeps torch from finding them is a finding, not a crash."""
    from nas.errors import NasError

    try:
        from nas.latency.timing.cuda import gpus
    except (ImportError, OSError) as error:
        return {"torch": {"error": f"torch cannot be imported: {error}"}}
    try:
        found = gpus()
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
    """Whether the folder, or where it would be made, can be written to."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _lines(found: dict[str, Any]) -> list[str]:
    packages = found["environment"]["packages"]
    lines = [f"Python {found['environment']['python']} on {found['environment']['platform']}"]
    lines += ["", "Packages"]
    lines += [f"  {name} {version or 'MISSING'}" for name, version in packages.items()]
    lines += ["", "Devices"]
    for device, facts in found["devices"].items():
        lines.append(
            f"  {device}: "
            + ", ".join(
                f"{fact.replace('_', ' ')} {UNDESCRIBED if value is None else value}"
                for fact, value in facts.items()
            )
        )
    lines += ["", "Extras"]
    lines += [
        f"  {extra}: missing {', '.join(missing)}; "
        f"install with `.venv/bin/pip install -c constraints.txt -e '.[{extra}]'`"
        for extra, missing in found["missing_extras"].items()
    ] or ["  all installed"]
    lines += ["", "Folders"]
    lines += [
        f"  {folder}: {'writable' if writable else 'NOT WRITABLE'}"
        for folder, writable in found["folders"].items()
    ]
    return lines
