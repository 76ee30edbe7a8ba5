"""A mixer that is only a file passes every contract of mixers: nothing else names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = """
import search_spaces.mixers
search_spaces.mixers.__path__.append({folder!r})
"""
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


def contracts_on(tmp_path: Path, rule: str, which: str) -> subprocess.CompletedProcess[str]:
    """Run the contracts of mixers on a file of our own."""
    folder = tmp_path / "mixers"
    (folder / "toys").mkdir(parents=True)
    (folder / "toys" / "__init__.py").write_text("")
    (folder / "toys" / "stacked.py").write_text(MIXER.replace("{rule}", rule))
    (tmp_path / "toy_plugin.py").write_text(PLUGIN.format(folder=str(folder)))
    contracts = ("test_mixers_forward.py", "test_weight_sharing.py", "test_families.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "toy_plugin", "-k", which]
    return subprocess.run(
        [*command, *(str(Path(__file__).parent / name) for name in contracts)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow  # 10 s
def test_a_file_in_a_folder_passes_the_contracts_of_mixers(tmp_path: Path) -> None:
    done = contracts_on(tmp_path, "leading", "stacked or file")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow  # 10 s
def test_a_mixer_whose_cut_is_wrong_does_not_pass(tmp_path: Path) -> None:
    done = contracts_on(tmp_path, "central", "stacked and nested")
    assert "FAILED" in done.stdout
    assert "test_a_nested_child_is_the_largest_module_with_the_rest_zeroed" in done.stdout
