"""The predictor of a space on a target.

processor   a profile of the space, measured here the first time that it is needed
GPU         the shipped model, corrected by networks measured here or with a kit, if any were
board       a profile from networks measured there with a kit
"""

from __future__ import annotations

from collections.abc import Callable

from nas.errors import NotFittedError
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuPredictor
from nas.latency.prediction import COVERAGE, Predictor
from nas.latency.profiles.calibrate_gpu import calibrate_gpu
from nas.latency.profiles.calibrate_parts import calibrate_parts
from nas.latency.profiles.gpu import GpuProfile, MeasuredGpuPredictor
from nas.latency.profiles.parts import PartsPredictor, PartsProfile
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import Profile, Subject
from nas.latency.profiles.whole_networks import calibrate_whole_networks
from nas.latency.target import Target
from nas.latency.timing.machine import Machine
from nas.progress import Progress, Silent
from nas.storage import lock
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace


def predictor_for(
    space: SearchSpace,
    target: Target,
    data_shape: DataShape = DataShape(),
    *,
    confidence: float = COVERAGE,
    measure: bool = True,
    progress: Progress | None = None,
    plan: Plan | None = None,
) -> Predictor:
    """What predicts latencies of a space on a target.

    If networks of the space were measured on the target, here or with a kit, their profile
    predicts. A GPU without a profile is predicted from the operations that it would run.

    Args:
        space: What is searched. A target with a resolution restricts it: predict codes of
            `predictor.space` then.
        confidence: Share of networks that the intervals cover, 0.5 ... 0.98.
        measure: Whether to measure the processor at hand if it has no profile yet.

    Raises:
        NotFittedError, CheckpointError, SpaceError, MissingExtraError, ExportError: as
            `measured_predictor`.
    """
    if check(target.device).kind == "gpu":
        subject = _subject(space, target, data_shape)
        if not subject.path.exists():
            return GpuPredictor(subject.space, target, data_shape, confidence=confidence)
    return measured_predictor(
        space,
        target,
        data_shape,
        confidence=confidence,
        measure=measure,
        progress=progress,
        plan=plan,
    )


def measured_predictor(
    space: SearchSpace,
    target: Target,
    data_shape: DataShape = DataShape(),
    *,
    confidence: float = COVERAGE,
    measure: bool = True,
    again: bool = False,
    progress: Progress | None = None,
    plan: Plan | None = None,
    machine: Machine | None = None,
) -> PartsPredictor | MeasuredGpuPredictor:
    """What predicts from a profile that was measured on the target.

    The profile is measured once per machine, target and space, and cached with its conditions;
    two processes never measure at the same time. Arguments are those of `predictor_for`, and:

    Args:
        again: Measure in any case, and replace the cached profile.
        machine: Where to measure; by default the device that the target names.

    Raises:
        NotFittedError: there is no profile, and `measure` is False, the machine is too busy, or
            the device is not at hand.
        CheckpointError: the cached profile is damaged.
        SpaceError: the space does not offer the target's resolution.
        MissingExtraError: the target's runtime is not installed.
        ExportError: the runtime cannot run a network of the space.
    """
    subject = _subject(space, target, data_shape)
    space, path = subject.space, subject.path
    if again or not path.exists():
        _require_measurable(subject, measure)
        say = progress.say if progress else None
        with lock(path.with_name("measuring.lock"), say=say):
            if again or not path.exists():  # another process may have measured it meanwhile
                calibrate = _calibration(target)
                calibrate(subject, plan or Plan(), progress or Silent(), machine).save(path)
    if check(target.device).kind == "gpu":
        found = GpuProfile.load(path)
        return MeasuredGpuPredictor(space, target, found, data_shape, confidence)
    profile = PartsProfile.load(path)
    return PartsPredictor(space, target, profile, data_shape, confidence)


def _calibration(
    target: Target,
) -> Callable[[Subject, Plan, Progress, Machine | None], Profile]:
    """The way to measure a target."""
    if check(target.device).kind == "gpu":
        return calibrate_gpu
    return calibrate_parts if target.runtime == "eager" else calibrate_whole_networks


def _require_measurable(subject: Subject, measure: bool) -> None:
    """Raise NotFittedError if a target without a profile is not to be measured here."""
    target = subject.target
    what = f"'{subject.space.name}' on {target} with {subject.data_shape}"
    if check(target.device).kind == "board":
        raise NotFittedError(
            f"Nothing was measured yet for {what}. Write networks to measure there with "
            f"`nas measure --kit DIR --hardware {target.device}`."
        )
    if not measure:
        raise NotFittedError(
            f"No latency was measured yet for {what}. Measure it with `nas measure`."
        )


def _subject(space: SearchSpace, target: Target, data_shape: DataShape) -> Subject:
    restricted = space if target.resolution is None else space.restrict(target.resolution)
    return Subject(restricted, target, data_shape)
