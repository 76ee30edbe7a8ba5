"""The predictor of a space on a target: from the cache, or measured now."""

from __future__ import annotations

from nas.errors import NotFittedError
from nas.latency.calibrate import Plan, calibrate
from nas.latency.cpu import CpuPredictor
from nas.latency.profile import Profile, profile_path
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
    measure: bool = True,
    progress: Progress | None = None,
    plan: Plan | None = None,
) -> CpuPredictor:
    """What predicts latencies of a space on a target.

    The profile is measured once per machine, target and space, and cached with its conditions;
    two processes never measure at once.

    Args:
        space: What is searched. A target with a resolution restricts it: predict codes of
            `predictor.space` then.
        target: Device and conditions.
        in_channels: Channels of the images.
        num_classes: Number of classes.
        measure: Whether to measure where nothing is cached.
        progress: Who is told.
        plan: How much to measure, if it comes to that.

    Raises:
        NotFittedError: nothing is cached, and `measure` is False or the machine is too busy.
        CheckpointError: the cached profile is damaged.
        SpaceError: the space does not offer the target's resolution.
    """
    if target.resolution is not None:
        space = space.restrict(target.resolution)
    path = profile_path(
        target, space.part_index(in_channels, num_classes), in_channels, num_classes
    )
    if not path.exists():
        if not measure:
            raise NotFittedError(
                f"No latency was measured yet for '{space.name}' on {target} with {in_channels} "
                f"image channels and {num_classes} classes. Measure it with `nas measure`."
            )
        with lock(path.with_name("measuring.lock")):
            if not path.exists():  # another process may have measured it meanwhile
                calibrate(
                    space,
                    target,
                    in_channels,
                    num_classes,
                    plan=plan or Plan(),
                    progress=progress or Silent(),
                ).save(path)
    return CpuPredictor(space, target, Profile.load(path), in_channels, num_classes)
