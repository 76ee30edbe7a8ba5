"""Measuring a device that cannot run this program, such as a phone: writing networks for it.

    kit/  README.md       what to do with the other files
          <id>.onnx ...   the networks
          probes.csv      id,file of each network
          run_probes.py   measures them with onnxruntime and writes times.csv
          kit.json        which networks of which space these are

`kit_times.py` reads the times that come back.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.environment import version
from nas.errors import RunError, SettingsError
from nas.latency.devices import check
from nas.latency.identity import parts_hash
from nas.latency.profiles.choosing import telling_codes
from nas.latency.profiles.part_features import PartFeatures
from nas.latency.profiles.profile import FEWEST, Subject
from nas.latency.target import Target
from nas.latency.timing.onnx import onnx_bytes
from nas.progress import Progress
from nas.storage import atomic_write, check_folder, read_json
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.network import build_network

SCHEMA = 1
PROBES = 12
"""Networks in a kit."""
RUNNER = Path(__file__).with_name("kit_runner.py")

_README = """\
# Networks to measure on {device}

{n} networks of the space `{space}`: input `images` {shape} float32, output `scores`.
Copy this folder to the device. {how}

    id,ms
    {id},12.3

one line per network of `probes.csv`, with the median milliseconds of one run of the whole batch.
A few networks may be left out; {fewest} are needed. Then, where the search runs:

    nas measure --import times.csv --kit {folder} {given}

If the times were measured in another way, change `--runtime`, `--precision` or `--threads`. Then
`nas predict` and `nas search` with the same options know the device.
"""
_ON_PROCESSOR = """\
Where it has Python with onnxruntime and numpy:

    python run_probes.py{threads}

which takes about a minute and writes `times.csv`. Otherwise run the ONNX files with what the
device has (onnxruntime_perf_test, a benchmark app, a converter) and write `times.csv` by hand:\
"""
_ON_GPU = """\
Run the ONNX files there with {runtime} in {precision}, and write `times.csv` by hand:\
"""


@dataclass(frozen=True)
class Kit:
    """The content of `kit.json`."""

    conditions: dict[str, Any]
    """Space, parts, in_channels, num_classes, batch_size and resolution."""
    codes: dict[str, list[int]]
    """Codes of the networks by id, those drawn at random first."""


def write_kit(
    folder: Path,
    subject: Subject,
    *,
    probes: int = PROBES,
    seed: int = 0,
    given: Sequence[str] = (),
    progress: Progress,
) -> Kit:
    """Write networks of a space for the target's batch and resolution, and instructions.

    Args:
        folder: Of the kit; a new one.
        subject: The space, the target and the shape of the data.
        probes: How many networks.
        seed: Decides which.
        given: Options that name the space and the data, as a person wrote them.
        progress: Shows how far it is.

    Raises:
        RunError: the folder is not empty, or cannot be written to.
        MissingExtraError: the ONNX exporter is not installed.
        ExportError: a network cannot be exported.
    """
    check_new(folder)
    space, target = subject.space, subject.target
    features = PartFeatures.of(subject.index, target.images)
    codes = telling_codes(space, features, np.random.default_rng(seed), probes)
    architectures = {a.id: a for a in map(space.decode, codes)}
    conditions = {
        "space": space.name,
        "parts": parts_hash(subject.index),
        "in_channels": subject.data_shape.channels,
        "num_classes": subject.data_shape.classes,
        "batch_size": target.images,
        "resolution": target.resolution,
        "torch": version("torch"),
    }
    _export(folder, architectures, conditions, progress)
    kit = Kit(conditions, dict(zip(architectures, codes.tolist(), strict=True)))
    _write_words(folder, kit, target, given)
    return kit


def check_new(folder: Path) -> None:
    """Refuse a folder for a kit that holds something or cannot be written to.

    Raises:
        RunError: it does, or it cannot.
    """
    check_folder(folder, "Give --kit a new folder.")
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"'{folder}' is not empty. Give --kit a new folder.")


def read_kit(folder: Path) -> Kit:
    """Read what `write_kit` wrote.

    Raises:
        CheckpointError: there is no kit, or it is damaged.
        SettingsError: another version of nas wrote it.
    """
    document = read_json(folder / "kit.json")
    if document.get("schema") != SCHEMA:
        raise SettingsError(
            f"The kit '{folder}' has schema {document.get('schema')!r}; this version reads "
            f"{SCHEMA}. Write a new one with `nas measure --kit DIR`."
        )
    return Kit(document["conditions"], document["probes"])


def _export(
    folder: Path,
    architectures: dict[str, Architecture],
    conditions: dict[str, Any],
    progress: Progress,
) -> None:
    """Write each network by its id, for the batch of the conditions."""
    data_shape = DataShape(conditions["in_channels"], conditions["num_classes"])
    with progress.task("Exporting networks", len(architectures)) as advance:
        for i, (name, architecture) in enumerate(architectures.items()):
            network = build_network(deployed(architecture), data_shape).eval()
            side = architecture.resolution
            images = torch.zeros(conditions["batch_size"], data_shape.channels, side, side)
            atomic_write(folder / _file(name), onnx_bytes(network, images))
            advance(i + 1, name)


def _write_words(folder: Path, kit: Kit, target: Target, given: Sequence[str]) -> None:
    document = {"schema": SCHEMA, "conditions": kit.conditions, "probes": kit.codes}
    rows = "".join(f"{name},{_file(name)}\n" for name in kit.codes)
    side = "side" if target.resolution is None else target.resolution
    device = "NAME" if target.device == "cpu" else target.device
    words = _README.format(
        device=device,
        how=_how(target),
        n=len(kit.codes),
        space=kit.conditions["space"],
        shape=f"({target.images}, {kit.conditions['in_channels']}, {side}, {side})",
        id=next(iter(kit.codes)),
        fewest=FEWEST,
        folder=folder.name,
        given=shlex.join([*_options(device, target), *given]),
    )
    atomic_write(folder / "probes.csv", f"id,file\n{rows}")
    atomic_write(folder / "run_probes.py", RUNNER.read_text())
    atomic_write(folder / "README.md", words)
    atomic_write(folder / "kit.json", json.dumps(document, indent=1) + "\n")


def _how(target: Target) -> str:
    """How the networks are run on the device."""
    if check(target.device).kind == "gpu":
        return _ON_GPU.format(runtime=target.runtime, precision=target.precision)
    return _ON_PROCESSOR.format(threads=f" --threads {target.threads}" if target.threads else "")


def _options(device: str, target: Target) -> Iterator[str]:
    """What names the target on the command line."""
    yield from ("--hardware", device)
    if target.device != "cpu":
        yield from ("--runtime", str(target.runtime), "--precision", str(target.precision))
    yield from ("--batch-size", str(target.images))
    for name in ("resolution", "threads"):
        if (value := getattr(target, name)) is not None:
            yield from (f"--{name}", str(value))


def _file(name: str) -> str:
    return f"{name}.onnx"
