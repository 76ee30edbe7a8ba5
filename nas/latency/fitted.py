"""The predictor of a space on a target: measured, now or before, or for a GPU from its kernels."""

from __future__ import annotations

import numpy as np

from nas.errors import NotFittedError
from nas.latency.calibrate import Plan, calibrate
from nas.latency.cpu import CpuPredictor
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuPredictor
from nas.latency.measure import Effort, measure_finalists
from nas.latency.prediction import COVERAGE, Predictor
from nas.latency.profile import Profile, profile_path
from nas.latency.target import Target
from nas.progress import Progress, Silent
from nas.storage import lock
from search_spaces.space import SearchSpace

ANCHORS = 3
"""Networks of a profile that are measured again to see how fast the machine is now."""
EQUAL_SPEED = 0.1
"""Up to this share the machine counts as fast as it was."""


def predictor_for(
    space: SearchSpace,
    target: Target,
    in_channels: int = 3,
    num_classes: int = 10,
    *,
    confidence: float = COVERAGE,
    measure: bool = True,
    progress: Progress | None = None,
    plan: Plan | None = None,
) -> Predictor:
    """What predicts latencies of a space on a target.

    Where networks of the space were measured on the target (here, or there with a kit), their
    profile predicts; a GPU that was not measured is predicted from the kernels it would run.

    Args:
        space: What is searched. A target with a resolution restricts it: predict codes of
            `predictor.space` then.
        target: Device and conditions.
        in_channels: Channels of the images.
        num_classes: Number of classes.
        confidence: Share of networks that the intervals cover, 0.5 ... 0.98.
        measure: Whether to measure the processor at hand where nothing is cached.
        progress: Who is told.
        plan: How much to measure, if it comes to that.

    Raises:
        NotFittedError, CheckpointError, SpaceError, MissingExtraError: as `measured_predictor`.
    """
    if check(target.device).kind == "gpu":
        space = _restricted(space, target)
        index = space.part_index(in_channels, num_classes)
        if not profile_path(target, index, in_channels, num_classes).exists():
            return GpuPredictor(space, target, in_channels, num_classes, confidence=confidence)
    return measured_predictor(
        space,
        target,
        in_channels,
        num_classes,
        confidence=confidence,
        measure=measure,
        progress=progress,
        plan=plan,
    )


def measured_predictor(
    space: SearchSpace,
    target: Target,
    in_channels: int = 3,
    num_classes: int = 10,
    *,
    confidence: float = COVERAGE,
    measure: bool = True,
    again: bool = False,
    progress: Progress | None = None,
    plan: Plan | None = None,
) -> CpuPredictor:
    """What predicts from a profile that was measured on the target.

    The profile is measured once per machine, target and space, and cached with its conditions;
    two processes never measure at once. Arguments are those of `predictor_for`.

    Args:
        again: Measure in any case, and replace what is cached.

    Raises:
        NotFittedError: nothing is cached, and `measure` is False, the machine is too busy, or
            the device is another one.
        CheckpointError: the cached profile is damaged.
        SpaceError: the space does not offer the target's resolution.
        MissingExtraError: the target's runtime is not installed.
    """
    space = _restricted(space, target)
    path = profile_path(
        target, space.part_index(in_channels, num_classes), in_channels, num_classes
    )
    if again or not path.exists():
        if target.device != "cpu":
            raise NotFittedError(
                f"Nothing was measured yet for '{space.name}' on {target} with {in_channels} "
                f"image channels and {num_classes} classes. Write networks to measure there with "
                f"`nas measure --kit DIR --hardware {target.device}`."
            )
        if not measure:
            raise NotFittedError(
                f"No latency was measured yet for '{space.name}' on {target} with {in_channels} "
                f"image channels and {num_classes} classes. Measure it with `nas measure`."
            )
        with lock(path.with_name("measuring.lock")):
            if again or not path.exists():  # another process may have measured it meanwhile
                calibrate(
                    space,
                    target,
                    in_channels,
                    num_classes,
                    plan=plan or Plan(),
                    progress=progress or Silent(),
                ).save(path)
    profile = Profile.load(path)
    return CpuPredictor(space, target, profile, in_channels, num_classes, confidence)


def _restricted(space: SearchSpace, target: Target) -> SearchSpace:
    return space if target.resolution is None else space.restrict(target.resolution)


def speed_now(predictor: CpuPredictor, progress: Progress | None = None) -> float:
    """How long networks take now, over what they took when the profile was measured.

    Args:
        predictor: Of the processor at hand.
        progress: Who is told.

    Returns:
        1.2 where the machine is a fifth slower now: the median of a few of the profile's own
        networks, measured again in two seconds (after preparing them, which takes some more in
        runtimes other than eager).
    """
    conditions = predictor.profile.conditions
    known = sorted(predictor.profile.networks, key=lambda network: float(network["ms"]))
    anchors = [known[(2 * i + 1) * len(known) // (2 * ANCHORS)] for i in range(ANCHORS)]
    measured = measure_finalists(
        [predictor.space.decode(np.array(anchor["code"])) for anchor in anchors],
        predictor.target,
        conditions["in_channels"],
        conditions["num_classes"],
        effort=Effort(2.0, least=5, most=100),
        progress=progress,
    )
    return float(np.median(measured.ms / np.array([anchor["ms"] for anchor in anchors])))


def speed_note(speed: float) -> str | None:
    """What to tell a person whose machine is not as fast as it was; see `speed_now`."""
    if abs(np.log(speed)) <= np.log1p(EQUAL_SPEED):
        return None
    slower = "slower" if speed > 1 else "faster"
    return (
        f"This machine is {slower} now than when its latencies were measured: networks take "
        f"{speed:.2f} times as long as then, and predictions do not know it. Close other "
        "programs, or measure it as it is with `nas measure`."
    )
