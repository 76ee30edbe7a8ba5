"""A new part is one new file: each contract of its role runs on it with no other edit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.latency.devices.folder import SHIPPED

CONTRACTS = Path(__file__).parent
ROOT = CONTRACTS.parents[1]
MIXER = '''"""Stacked: two matrices in one weight.

    y = W_2 W_1 x        x, y: (B, C, H, W); W: (2, C, C)

Elastic: channels (leading).
Paper: none, https://example.org
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options
from search_spaces.layers import maps, tokens
from search_spaces.slicing import central, leading


@dataclass(frozen=True)
class StackedOptions(Options):
    """Nothing to choose."""


class Stacked(nn.Module):
    """Two matrices, one after the other."""

    def __init__(self, dim: int, options: StackedOptions) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, dim, dim) / dim**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        first, second = self.weight
        return maps(tokens(x) @ first.T @ second.T, *x.shape[2:])


MIXERS.register(
    Family(
        "stacked",
        StackedOptions,
        Stacked,
        paper="https://example.org",
        nested=("dim",),
        cut=lambda name, largest, child: {rule}(largest, child),
    )
)
'''
SAMPLER = """
from supernet.method import Method, NoOptions
from supernet.sampling import SAMPLERS, Child


class Smallest:
    def __init__(self, space):
        self.space = space

    def children(self, moment, rng):
        return [Child(self.space.decode(self.space.smallest(rng)))]


make = lambda setup, options: Smallest(setup.supernet.space)
SAMPLERS.register(Method("smallest", NoOptions, make))
"""
SUPERVISION = """
import torch.nn.functional as F
from supernet.method import Method, NoOptions
from supernet.supervision import SUPERVISIONS, Supervision


class Squares(Supervision):
    def losses(self, step):
        for child in step.children:
            yield F.mse_loss(step.scores(child).softmax(1), step.batch(child).targets)


SUPERVISIONS.register(Method("squares", NoOptions, lambda setup, options: Squares()))
"""
SEARCHER = '''
"""Asks random codes."""

from nas.search.asking.history import History, SequentialSearcher
from nas.search.searchers.registry import SEARCHERS, SearcherEntry


def _build(brief):
    history = History(brief)
    return SequentialSearcher(history, history.candidates.empty)


SEARCHERS.register(
    SearcherEntry("toy", "Random.", "https://arxiv.org/abs/1902.07638", _build)
)
'''
FORMAT = """
from pathlib import Path

from nas.export.format import FORMATS, Export, Format, Run
from nas.export.load import load_exported


def write(export: Export) -> None:
    (export.folder / "toy.txt").write_text(export.network.architecture.id)


def load(file: Path) -> Run:
    return load_exported(file.parent)


FORMATS.register(Format("toy", "toy.txt", write, load, default=True))
"""
DEVICE = """
title: A board
kind: gpu
architecture: ada
host: workstation
tflops: {fp32: 10.24, fp16: 40.5}
bandwidth_gb_s: 500
l2_mib: 32
memory_gib: 16
sms: 40
boost_mhz: 1000
power_w: 200
sources:
  the datasheet: [tflops.fp32, tflops.fp16, bandwidth_gb_s, l2_mib]
  the whitepaper: [memory_gib, sms, boost_mhz, power_w]
"""


@dataclass(frozen=True)
class Role:
    """A kind of part, and a small example of it."""

    package: str
    """Where files of this kind lie."""
    file: str
    """Where the example would lie in the package."""
    text: str
    contracts: tuple[str, ...]
    select: str
    """Which of the contracts: those on the example, and those on the files of the package."""


ROLES = {
    "mixer": Role(
        "search_spaces.mixers",
        "toys/stacked.py",
        MIXER.replace("{rule}", "leading"),
        ("test_mixers_forward.py", "test_weight_sharing.py", "test_families.py"),
        "stacked or file",
    ),
    "sampler": Role(
        "supernet.sampling", "smallest.py", SAMPLER, ("test_samplers.py",), "smallest or file"
    ),
    "supervision": Role(
        "supernet.supervision",
        "squares.py",
        SUPERVISION,
        ("test_supervision.py",),
        "squares or file",
    ),
    "searcher": Role(
        "nas.search.searchers", "toy.py", SEARCHER, ("test_searchers.py",), "toy or file"
    ),
    "export format": Role(
        "nas.export.formats", "toy.py", FORMAT, ("test_export_formats.py",), "toy and not slow"
    ),
    "device": Role(
        "nas.latency.devices",
        "toy.yaml",
        DEVICE,
        ("../nas/latency/test_devices.py",),
        "toy or every or shipped",
    ),
}
MODULES = """
import {package}
{package}.__path__.append({folder!r})
"""
DATA_SHEETS = """
import pathlib
from nas.latency.devices import folder
folder.SHIPPED = pathlib.Path({folder!r})
"""


def run_contracts(role: Role, folder: Path) -> subprocess.CompletedProcess[str]:
    """The contracts of a role, where one more file lies beside the others."""
    home = folder / "home"
    if role.file.endswith(".yaml"):
        shutil.copytree(SHIPPED, home, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = home / role.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(role.text)
    if file.parent != home:
        (file.parent / "__init__.py").write_text("")
    plugin = DATA_SHEETS if role.file.endswith(".yaml") else MODULES
    (folder / "one_more.py").write_text(plugin.format(package=role.package, folder=str(home)))
    options = ("-q", "-p", "one_more", "-p", "no:cacheprovider", "-k", role.select)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(CONTRACTS / name for name in role.contracts)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("kind", ROLES)
def test_one_new_file_passes_every_contract_of_its_role(kind: str, tmp_path: Path) -> None:
    role = ROLES[kind]
    done = run_contracts(role, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.slow  # 10 s
def test_a_mixer_whose_cut_is_wrong_does_not_pass(tmp_path: Path) -> None:
    mixer = ROLES["mixer"]
    wrong = MIXER.replace("{rule}", "central")
    select = "stacked and nested"
    done = run_contracts(Role(mixer.package, mixer.file, wrong, mixer.contracts, select), tmp_path)
    assert "FAILED" in done.stdout
    assert "test_a_nested_child_is_the_largest_module_with_the_rest_zeroed" in done.stdout
