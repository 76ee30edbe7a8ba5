"""Fits the GPU model to published times.

The loss is Huber's on log(predicted / measured), with weight 1 for a network and less for a single
launch, plus a Gaussian prior on the logarithm of every parameter, whose mean is physically
plausible. What all boards have in common belongs to the runtime's family. What is special about
one board (clocks, a power limit, its host) belongs to a factor of that board, which its prior
keeps small. L-BFGS minimises over all launches of all networks at once until more steps change
nothing. It runs on one thread: sums on several threads differ in the last bits, which changes the
result by some per cent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import huber_loss

from nas.environment import torch_threads
from nas.latency.devices import base_of, check
from nas.latency.gpu.fit.public import Measured
from nas.latency.gpu.formula import (
    COMMON,
    FAMILIES,
    PRODUCTS,
    RUNTIMES,
    Batch,
    Parameters,
    device_and_host,
    device_numbers,
    launch_times,
    overlapped,
    runtime_factor,
    total,
)
from nas.latency.gpu.launches import LAUNCH_KINDS

Floats = NDArray[np.float64]
STEPS = 200
_RESOLUTION = 0.1
"""Errors beyond 10 % count linearly; smaller ones are expected of the model."""
_START = {"efficiency": 0.7, "half_n": 16.0, "half_k": 32.0, "read": 1.2, "write": 1.2}
_MOVING_START = 0.45
"""The share of `_ISSUED_BYTES` that an SM touches where it computes little."""
_PLAIN_COPIES = ("elementwise", "cast", "copy", "fused")
"""Kinds that move memory at full speed."""


def _spread(kind: str) -> list[float]:
    """Spreads in the order of PER_KIND.

    Norms and gathers may read twice, other traffic is about what is counted. One GPU alone does
    not show whether a class waits for its SMs or for memory; the priors on both keep chance from
    deciding it.
    """
    computing = kind in PRODUCTS or "depthwise" in kind
    plain = kind.startswith((*_PLAIN_COPIES, "batch_norm", "product"))
    return [0.5 if computing else 0.2, 0.3, 0.3, *[0.125 if plain else 0.25] * 2]


_SPREAD = {
    "kinds": torch.tensor([_spread(kind) for kind in LAUNCH_KINDS]),
    "common": torch.tensor([0.1, 0.2, 0.2, 0.5, 0.3, 0.3, 0.1, 0.3, 0.3, 0.3, 1.0, 0.3, 0.3]),
    "factors": torch.tensor(0.3),
    "runtimes": torch.tensor([0.1, 0.7, 0.4, 1.0]),
    "board": torch.tensor(0.05),
    "host": torch.tensor(0.3),
}
"""All that is fitted, with the standard deviations of the priors in the logarithm."""
_COMMON_START = {
    "overlap": 0.0,
    "l2_speed": 0.69,
    "l2_share": -0.36,
    "wave": -0.69,
    "throttle": 0.6,
    "tf32": -0.3,
    "fp32": 0.0,
    "odd_product": -0.3,
    "outdated_odd_product": -0.3,
    "odd_convolution": -0.1,
    "window": 0.3,
    "older_host": 0.5,
    "embedded_host": 0.7,
}


@dataclass(frozen=True)
class Fitted:
    """Parameters, and the logarithm of each board's own factor by (device, family)."""

    parameters: Parameters
    boards: Mapping[tuple[str, str], float]


def fit(
    measured: Sequence[Measured],
    weights: Floats | None = None,
    steps: int = STEPS,
) -> Fitted:
    """Fit the model.

    Args:
        weights: How much each counts, (n,); by default `usual_weights`.
    """
    boards = sorted({_board(row) for row in measured})
    prior = _begin(len(boards))
    batch = batch_of(measured)
    board = torch.tensor([boards.index(_board(row)) for row in measured])
    target = torch.tensor([row.ms for row in measured]).log()
    chosen = usual_weights(measured) if weights is None else weights
    weight = torch.from_numpy(chosen).float()
    # In units of their priors' spreads all unknowns have about the same scale.
    leaves = {name: torch.zeros_like(mean, requires_grad=True) for name, mean in prior.items()}
    minimiser = torch.optim.LBFGS(
        list(leaves.values()), max_iter=steps, history_size=20, line_search_fn="strong_wolfe"
    )

    def unknowns() -> dict[str, Tensor]:
        return {name: prior[name] + _SPREAD[name] * leaf for name, leaf in leaves.items()}

    def loss() -> Tensor:
        minimiser.zero_grad()
        now = unknowns()
        device, host, fixed = device_and_host(_parameters(now), batch, now["board"][board])
        error = total(device, host * now["host"][board].exp(), fixed).log() - target
        misfit = huber_loss(error, torch.zeros_like(error), reduction="none", delta=_RESOLUTION)
        found = (weight * misfit).sum() / _RESOLUTION**2
        found = found + sum((leaf**2).sum() for leaf in leaves.values())
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch_threads(1):
        minimiser.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found = unknowns()
    own = {key: float(found["board"][i]) for i, key in enumerate(boards)}
    return Fitted(_parameters(found), own)


def predict(fitted: Fitted, measured: Sequence[Measured], *, known_boards: bool = True) -> Floats:
    """Milliseconds of each row, (n,).

    Args:
        measured: Rows to predict; their times are not used.
        known_boards: Whether boards that were fitted on have their own factor.
    """
    own = [fitted.boards.get(_board(row), 0.0) if known_boards else 0.0 for row in measured]
    with torch.no_grad():
        parts = device_and_host(fitted.parameters, batch_of(measured), torch.tensor(own))
        return np.asarray(total(*parts).double().numpy())


def terms(fitted: Fitted, measured: Sequence[Measured]) -> Floats:
    """The terms that each prediction is the sum of, in milliseconds: (n, 5) in the order of TERMS.

    A few networks measured on a device tell how far each term is off there
    (`profiles/correction.py`).
    """
    batch = batch_of(measured)
    with torch.no_grad():
        times = overlapped(fitted.parameters, *launch_times(fitted.parameters, batch))
        factor = runtime_factor(fitted.parameters, batch.runtime, batch.device[:, 8]).exp()
        rows = times * factor[batch.sample] * batch.counts
        zero = torch.zeros(len(measured))
        depthwise = torch.tensor(["depthwise" in kind for kind in LAUNCH_KINDS])[batch.kind]
        product = torch.tensor([kind in PRODUCTS for kind in LAUNCH_KINDS])[batch.kind]
        kinds = (product, depthwise, ~product & ~depthwise)
        sums = [zero.index_add(0, batch.sample, rows * chosen) for chosen in kinds]
        device, host, fixed = device_and_host(fitted.parameters, batch)
        launching = device - torch.stack(sums).sum(dim=0) + fixed
        waiting = total(device, host, fixed) - device - fixed
        found = torch.stack([*sums, launching, waiting], dim=1)
    return np.asarray(found.double().numpy().clip(min=0.0))


def batch_of(measured: Sequence[Measured]) -> Batch:
    """All launches of all rows."""
    boards = {(row.device, row.precision) for row in measured}
    numbers = {board: device_numbers(check(board[0]), board[1]) for board in boards}
    return Batch.of(
        [row.launches for row in measured],
        [numbers[row.device, row.precision] for row in measured],
        [row.runtime for row in measured],
    )


def usual_weights(measured: Iterable[Measured]) -> Floats:
    """1 for a network, 0.3 for a product in half precision, 0.15 for other single launches."""
    return np.array(
        [
            1.0 if not row.is_launch else 0.3 if row.precision == "fp16" else 0.15
            for row in measured
        ]
    )


def without(measured: Iterable[Measured], devices: Iterable[str]) -> list[Measured]:
    """Rows of all other devices; a device goes with all its variants."""
    left_out = {base_of(name) for name in devices}
    return [row for row in measured if base_of(row.device) not in left_out]


def _board(row: Measured) -> tuple[str, str]:
    return row.device, RUNTIMES[row.runtime].family


def _parameters(unknowns: Mapping[str, Tensor]) -> Parameters:
    return Parameters(*(unknowns[name] for name in ("kinds", "common", "factors", "runtimes")))


def _begin(boards: int) -> dict[str, Tensor]:
    """The priors' means."""
    kinds = torch.tensor([list(_START.values())] * len(LAUNCH_KINDS)).log()
    plain = [kind.startswith(_PLAIN_COPIES) for kind in LAUNCH_KINDS]
    kinds[torch.tensor(plain), 3:] = float(np.log(1.05))
    moving = [kind not in PRODUCTS and "depthwise" not in kind for kind in LAUNCH_KINDS]
    kinds[torch.tensor(moving), 0] = float(np.log(_MOVING_START))
    common = torch.tensor([_COMMON_START[name] for name in COMMON])
    runtimes = torch.tensor([_runtime_start(name) for name in RUNTIMES]).log()
    own = torch.zeros(boards), torch.zeros(boards)
    means = kinds, common, torch.zeros(len(FAMILIES), 2), runtimes, *own
    return dict(zip(_SPREAD, means, strict=True))


def _runtime_start(name: str) -> list[float]:
    """A factor, then milliseconds between launches, of the host per launch, and once."""
    if name == "kernel":
        return [1.0, 2e-3, 1e-4, 1e-3]
    return [1.0, 3e-3, 2.5e-2 if RUNTIMES[name].pipelined else 1.2e-2, 3e-2]
