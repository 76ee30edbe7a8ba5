"""A device's YAML file: checked, with every mistake reported at once.

    title: NVIDIA A100 SXM4 80 GB
    kind: gpu
    architecture: ampere
    host: server
    tflops: {fp32: 19.5, tf32: 156, fp16: 312, bf16: 312}
    bandwidth_gb_s: 2039
    l2_mib: 40
    memory_gib: 80
    sms: 108
    boost_mhz: 1410
    power_w: 400
    sources:
      NVIDIA A100 80 GB datasheet: [tflops, bandwidth_gb_s, memory_gib, power_w]
      NVIDIA A100 whitepaper, Table 1: [l2_mib, sms, boost_mhz]

The file's name is the device's. `sources` names the document behind each number: `tflops` stands
for all of them, `tflops.fp16` for one. `aliases` and `runtimes` may be left out.

A phone or a board whose processor runs the networks is measured with a kit, so that its file has
no numbers but its cores:

    title: Raspberry Pi 5
    kind: board
    cores: 4
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nas.errors import SettingsError, did_you_mean
from nas.latency.devices.device import (
    BOARD_RUNTIMES,
    CPU_PRECISIONS,
    LAYOUTS,
    RUNTIMES,
    Device,
    gpu_precisions,
)
from search_spaces.yaml_reader import Document, Location, Mistake, read_yaml

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Positive = Annotated[float, Field(gt=0)]
Runtime = Literal["eager", "compile", "cuda-graph", "tensorrt", "onnxruntime"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Peaks(_Strict):
    fp32: Positive = Field(description="the peak without tensor cores, in TFLOPS")
    tf32: Positive | None = None
    fp16: Positive | None = None
    bf16: Positive | None = None


class _File(_Strict):
    """Each description completes 'give ...'."""

    title: Text = Field(description="what the board is called")
    aliases: list[Text] = Field([], description="a list of other names")
    kind: Literal["gpu"] = Field(
        description="'gpu', or 'board' for a device whose processor runs the networks"
    )
    architecture: Text = Field(description="the chip's, such as ampere, ada or hopper")
    host: Literal["server", "workstation", "embedded"] = Field(
        description="the kind of machine that it is in: server, workstation or embedded"
    )
    runtimes: Annotated[list[Runtime], Field(min_length=1)] | None = Field(
        None, description="a list of those that the device has"
    )
    tflops: _Peaks = Field(
        description="the dense peaks by precision, such as {fp32: 19.5, fp16: 312}"
    )
    bandwidth_gb_s: Positive = Field(description="the memory's peak bandwidth in GB/s")
    l2_mib: Positive = Field(description="the size of the second-level cache in MiB")
    memory_gib: Positive = Field(description="the size of the memory in GiB")
    sms: Annotated[int, Field(gt=0)] = Field(description="the number of streaming multiprocessors")
    boost_mhz: Positive = Field(description="the boost clock in MHz")
    power_w: Positive = Field(description="the power limit in watts")
    sources: dict[Text, list[Text]] = Field(
        description="a list of numbers under each document that they are from"
    )


class _Board(_Strict):
    """A device that is only ever measured."""

    title: Text = Field(description="what the device is called")
    aliases: list[Text] = Field([], description="a list of other names")
    kind: Literal["board"] = Field(description="'board'")
    cores: Annotated[int, Field(gt=0)] = Field(
        description="the number of processor cores that run one operation"
    )


_NUMBERS = ("tflops", "bandwidth_gb_s", "l2_mib", "memory_gib", "sms", "boost_mhz", "power_w")


def read_device(text: str, name: str, source: str) -> Device:
    """The device that a file describes.

    Raises:
        SettingsError: naming every mistake with its line and field.
    """
    document, data = _document(text, source)
    mistakes = list(document.repeated_keys())
    model = _Board if data.get("kind") == "board" else _File
    if not NAME.fullmatch(name):
        wrong = (
            f"its name is the device's, and '{name}' is not one: use small letters, digits "
            "and single hyphens, such as rtx4090 or jetson-orin"
        )
        mistakes.append(((), wrong))
    mistakes += _source_mistakes(data) if model is _File else []
    try:
        file = model.model_validate(data)
    except ValidationError as error:
        mistakes = [_mistake(detail, model) for detail in error.errors()] + mistakes
    if mistakes:
        listed = document.report(mistakes)
        raise SettingsError(
            f"The device file '{source}' has {len(mistakes)} mistake(s):\n{listed}"
        )
    if isinstance(file, _Board):
        return Device(
            name,
            file.title,
            file.kind,
            BOARD_RUNTIMES,
            CPU_PRECISIONS,
            LAYOUTS["cpu"],
            cores=file.cores,
            aliases=tuple(file.aliases),
        )
    assert isinstance(file, _File)
    tflops = file.tflops.model_dump(exclude_none=True)
    return Device(
        name=name,
        precisions=gpu_precisions(tflops),
        layouts=LAYOUTS["gpu"],
        **{
            **dict(file),
            "aliases": tuple(file.aliases),
            "runtimes": tuple(file.runtimes or RUNTIMES["gpu"]),
            "tflops": tflops,
            "sources": _sources(data),
        },
    )


def _document(text: str, source: str) -> tuple[Document, dict[str, Any]]:
    """The file, and the fields that it holds."""
    try:
        document = read_yaml(text)
    except ValueError as error:
        raise SettingsError(f"The device file '{source}' is not valid YAML: {error}") from None
    if not isinstance(document.data, dict):
        raise SettingsError(
            f"The device file '{source}' holds no fields; `nas hardware add --help` shows them."
        )
    return document, document.data


def _leaves(data: dict[str, Any]) -> list[str]:
    """The names of the numbers that are there."""
    peaks = data.get("tflops")
    there = peaks.items() if isinstance(peaks, dict) else ()
    named = [f"tflops.{precision}" for precision, peak in there if peak is not None]
    return named + [name for name in _NUMBERS if name in data and name != "tflops"]


def _named_by(data: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Each document, what it names, and the numbers that are meant."""
    sources = data.get("sources")
    for document, names in sources.items() if isinstance(sources, dict) else ():
        for name in names if isinstance(names, list) else ():
            meant = [leaf for leaf in _leaves(data) if name in (leaf, leaf.partition(".")[0])]
            yield str(document).strip(), str(name), meant


def _sources(data: dict[str, Any]) -> dict[str, str]:
    """The document behind each number."""
    documents = {leaf: document for document, _, meant in _named_by(data) for leaf in meant}
    return {leaf: documents[leaf] for leaf in _leaves(data) if leaf in documents}


def _source_mistakes(data: dict[str, Any]) -> list[Mistake]:
    mistakes, found = list[Mistake](), dict[str, str]()
    here = ("sources",)
    for document, name, meant in _named_by(data):
        if not meant:
            near = did_you_mean(name, _leaves(data))
            mistakes.append((here, f"'{document}' names '{name}', no number of this file.{near}"))
        mistakes += [
            (here, f"both '{found[leaf]}' and '{document}' name {leaf}; keep one")
            for leaf in meant
            if leaf in found
        ]
        found |= dict.fromkeys(meant, document)
    unnamed = "has no source; list it under 'sources', after the document that it is from"
    return mistakes + [
        (tuple(leaf.split(".")), unnamed) for leaf in _leaves(data) if leaf not in found
    ]


def _mistake(detail: Any, model: type[_Strict]) -> Mistake:
    """One pydantic error in our words."""
    where: Location = detail["loc"]
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        peaks = _Peaks.model_fields if model is _File else ()
        known = [*model.model_fields, *(f"tflops.{peak}" for peak in peaks)]
        return where, f"there is no such field.{did_you_mean(name, known)}"
    fields = _Peaks.model_fields if name.startswith("tflops.") else model.model_fields
    last = name.removeprefix("tflops.").partition(".")[0]
    wanted = fields[last].description or "a peak in TFLOPS, or leave it out"
    if detail["type"] == "missing":
        return where, f"is missing; give {wanted}"
    message = str(detail["msg"]).removesuffix(" or instance of _Peaks")
    shown = reprlib.repr(detail["input"])
    return where, f"{message[:1].lower()}{message[1:]} (it is {shown}); give {wanted}"
