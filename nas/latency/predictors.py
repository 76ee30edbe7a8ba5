"""The predictor of a space on a target: measured, now or before, or for a GPU from its kernels.

processor   parts of the space, measured here when they are first needed
GPU         the shipped model of kernels, corrected by networks measured here or with a kit
board       from networks that were measured there with a kit
"""

from __future__ import annotations

from nas.errors import NotFittedError
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuPredictor
from nas.latency.prediction import COVERAGE, Predictor
from nas.latency.profiles.calibrate import Plan, calibrate
from nas.latency.profiles.gpu import GpuProfile, MeasuredGpuPredictor
from nas.latency.profiles.gpu_calibrate import calibrate_gpu
from nas.latency.profiles.parts import CpuPredictor
from nas.latency.profiles.profile import Profile, profile_path
from nas.latency.target import Target
from nas.progress import Progress, Silent
from nas.storage import lock
from search_spaces.space import SearchSpace


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
        NotFittedError, CheckpointError, SpaceError, MissingExtraError, ExportError: as
            `measured_predictor`.
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
) -> CpuPredictor | MeasuredGpuPredictor:
    """What predicts from a profile that was measured on the target.

    The profile is measured once per machine, target and space, and cached with its conditions;
    two processes never measure at once. Arguments are those of `predictor_for`.

    Args:
        again: Measure in any case, and replace what is cached.

    Raises:
        NotFittedError: nothing is cached, and `measure` is False, the machine is too busy, or
            the device is not at hand.
        CheckpointError: the cached profile is damaged.
        SpaceError: the space does not offer the target's resolution.
        MissingExtraError: the target's runtime is not installed.
        ExportError: the runtime cannot run a network of the space.
    """
    gpu = check(target.device).kind == "gpu"
    space = _restricted(space, target)
    path = profile_path(
        target, space.part_index(in_channels, num_classes), in_channels, num_classes
    )
    if again or not path.exists():
        if target.device != "cpu" and not gpu:
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
                make = calibrate_gpu if gpu else calibrate
                make(
                    space,
                    target,
                    in_channels,
                    num_classes,
                    plan=plan or Plan(),
                    progress=progress or Silent(),
                ).save(path)
    if gpu:
        found = GpuProfile.load(path)
        return MeasuredGpuPredictor(space, target, found, in_channels, num_classes, confidence)
    profile = Profile.load(path)
    return CpuPredictor(space, target, profile, in_channels, num_classes, confidence)


def _restricted(space: SearchSpace, target: Target) -> SearchSpace:
    return space if target.resolution is None else space.restrict(target.resolution)
