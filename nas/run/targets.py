"""The targets that settings name, and what to call them in a table."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import SettingsError
from nas.latency import Target
from nas.settings import Settings, TargetChoice

_SHORT = {"batch_size": "batch {}", "threads": "{} threads"}


def targets_of(settings: Settings) -> tuple[Target, ...]:
    """Device, runtime, precision, layout, batch, resolution and threads of each latency.

    Raises:
        SettingsError: two of them are the same.
    """
    targets = tuple(_target(settings, choice) for choice in settings.targets)
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise SettingsError(
                f"The target {target} is given twice. Name another one, or leave it out; "
                "several budgets of one target go in one list: --budget 2ms,5ms."
            )
    return targets


def short_names(targets: Sequence[Target]) -> tuple[str, ...]:
    """Each target as its device, with the conditions in which targets on that device differ."""
    names = []
    for target in targets:
        alike = [other for other in targets if other.device == target.device]
        words = [
            _SHORT.get(field, "{}").format(getattr(target, field))
            for field in ("runtime", "precision", "layout", "batch_size", "threads")
            if len({getattr(other, field) for other in alike}) > 1
        ]
        names.append(
            " ".join((target.device, f"({', '.join(words)})")) if words else target.device
        )
    return tuple(names)


def _target(settings: Settings, choice: TargetChoice) -> Target:
    given = choice.model_dump(exclude={"hardware", "budgets_ms"}, exclude_none=True)
    return Target(choice.hardware, resolution=settings.resolution, **given)
