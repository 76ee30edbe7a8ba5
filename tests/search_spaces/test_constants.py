"""Constants are built once, and never from fake tensors for real ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from search_spaces.constants import constants

built: list[int] = []


@constants
def counted(side: int, device: torch.device) -> Tensor:
    built.append(side)
    return torch.arange(side, device=device)


def test_a_constant_is_built_once_for_each_size() -> None:
    x = torch.zeros(1)
    built.clear()
    assert counted(x, 3, x.device) is counted(x, 3, x.device)
    assert counted(x, 4, x.device).tolist() == [0, 1, 2, 3]
    assert built == [3, 4]


def test_a_constant_built_in_inference_mode_serves_training() -> None:
    x = torch.zeros(5, requires_grad=True)
    with torch.inference_mode():
        counted(x, 5, x.device)
    (counted(x, 5, x.device) * x).sum().backward()
    assert x.grad is not None


def test_a_fake_tensor_gets_constants_of_its_own() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.zeros(6)
        counted(x, 6, x.device)
    assert type(counted(torch.zeros(6), 6, torch.device("cpu"))) is Tensor
