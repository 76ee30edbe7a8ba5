"""What people type, as the values it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from nas.errors import SettingsError, did_you_mean
from nas.reading import ArrayLayout, Fit, ReadOptions

if TYPE_CHECKING:
    from nas.cluster.resources import RayChoice

Value = TypeVar("Value")


def parsed(parse: Callable[[str], Value], text: str | None) -> Value | None:
    """The value of an option that may be left out."""
    return None if text is None else parse(text)


def checked_hardware(name: str) -> str:
    """The name of a device that is known; says so before anything heavy is imported."""
    from nas.latency.devices import check

    return check(name).name


def ray_choice(
    address: str | None,
    workers: str | None,
    cpus: float | None,
    gpus: float | None,
    storage: str | None,
) -> RayChoice | None:
    """The cluster that the options name; None without `--ray`.

    Raises:
        SettingsError: an option about workers goes without `--ray`, or is no number of workers.
    """
    from nas.cluster.resources import RayChoice

    given = {"--workers": workers, "--worker-cpus": cpus, "--worker-gpus": gpus}
    given["--storage"] = storage
    if address is None:
        if named := [name for name, value in given.items() if value is not None]:
            raise SettingsError(
                f"{', '.join(named)} says how to work on a Ray cluster; add --ray local or "
                "--ray ADDRESS."
            )
        return None
    fewest, most = _counts(workers) if workers is not None else (None, None)
    each = 1.0 if cpus is None else cpus
    return RayChoice(address, fewest, most, each, gpus or 0.0, storage)


def _counts(workers: str) -> tuple[int, int]:
    """`4` or `4-32`."""
    first, dash, last = workers.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise SettingsError(f"--workers '{workers}': write a number, such as 4, or 4-32.")
    fewest, most = int(first), int(last or first)
    if not 1 <= fewest <= most:
        raise SettingsError(f"--workers '{workers}': the fewest come first, and at least 1.")
    return fewest, most


def sides(text: str | None) -> tuple[int, ...] | None:
    """The resolutions of `64,96,128`; None where none are given.

    Raises:
        SettingsError: one is no whole number of at least 1.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise SettingsError(
            f"--resolutions '{text}': write sides in pixels, such as 64 or 64,96,128."
        )
    return tuple(map(int, parts))


def tuned_ranges(text: str) -> dict[str, tuple[float, float]]:
    """The values to try, from `learning_rate=1e-3..1e-2,drop_path=0..0.2`.

    Raises:
        SettingsError: a range is not written in this way, or its ends are no range.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for part in text.split(","):
        name, _, ends = (word.strip() for word in part.partition("="))
        low, _, high = ends.partition("..")
        try:
            first, last = float(low), float(high)
        except ValueError:
            first, last = 1.0, 0.0
        if not name or name in ranges or not first < last:
            raise SettingsError(
                f"--tune '{text}': write NAME=LOW..HIGH for each value, once, such as "
                "learning_rate=1e-3..1e-2,drop_path=0..0.2."
            )
        ranges[name] = first, last
    return ranges


def target_choice(spec: str) -> dict[str, str | int]:
    """A target's fields from `a100,batch=32,precision=fp16`.

    Raises:
        SettingsError: it does not begin with a device, or has a field that no target has, one
            twice, or one of the wrong kind.
        UnknownNameError: there is no such device.
    """
    device, *pairs = (part.strip() for part in spec.split(","))
    if not device or "=" in device:
        raise SettingsError(f"--target '{spec}': begin with the device, such as a100,batch=32.")
    fields: dict[str, str | int] = {"hardware": checked_hardware(device)}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        field = _field(name, spec)
        if not value or field in fields:
            twice = "give it once" if value else "it has no value"
            raise SettingsError(f"--target '{spec}', {name or 'nothing'}: {twice}.")
        fields[field] = _whole(value, name, spec) if field in _WHOLE else value
    return fields


def latency_budgets(
    lists: Sequence[str] | None, targets: Sequence[str]
) -> list[tuple[float, ...]]:
    """The budgets in ms of each target: `["2ms,5ms"]` of one, `["5ms", "none"]` of two.

    Args:
        lists: As typed, one for each target in their order; or None.
        targets: Their names.

    Raises:
        SettingsError: there are more or fewer lists than targets, or a list is in another order
            than that of several targets has to be.
        BudgetError: one is no time.
    """
    if not lists:
        return [()] * len(targets)
    if len(targets) == 1 and len(lists) > 1:
        raise SettingsError(
            f"There are {len(lists)} --budget and one target. Several budgets of one target go in "
            f"one list: --budget {','.join(lists)}."
        )
    if len(lists) != len(targets):
        raise SettingsError(
            f"There are {len(targets)} targets ({', '.join(targets)}) and {len(lists)} --budget. "
            "Give one for each target, in the same order; --budget none for one without."
        )
    return [_budgets(text, len(targets) == 1) for text in lists]


def _budgets(text: str, alone: bool) -> tuple[float, ...]:
    """One list; that of the only target may be in any order."""
    from nas.units import parse_duration

    if text.strip() == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        listed = ",".join(part for part in parts if part) or "5ms"
        raise SettingsError(f"--budget '{text}' has a place without a time; write {listed}.")
    budgets = [parse_duration(part) for part in parts]
    ordered = tuple(sorted(set(budgets)))
    if not alone and tuple(budgets) != ordered:
        raise SettingsError(
            f"--budget '{text}': with several targets, budgets go from the tightest to the "
            "loosest, each once, because those at the same place in the lists belong together."
        )
    return ordered


def measured_elsewhere(text: str) -> tuple[str, float]:
    """A GPU and milliseconds there, from `rtx3090=12.3ms`."""
    from nas.latency.devices import check
    from nas.units import parse_duration

    name, equals, time = text.partition("=")
    if not equals:
        raise SettingsError(f"--measured '{text}': write DEVICE=TIME, such as rtx3090=12.3ms.")
    device = check(name)
    if device.kind != "gpu":
        raise SettingsError(
            f"--measured '{text}': {device.name} is not a GPU. Give a time measured on a GPU."
        )
    return device.name, parse_duration(time)


def read_options(
    splits: str | None, fit: Fit, skip_unreadable: bool, layout: ArrayLayout | None
) -> ReadOptions:
    """How images are read; the splits are typed as `train=DIR,test=DIR`.

    Raises:
        SettingsError: a split is unknown, is named twice or has no folder.
    """
    folders: dict[str, str] = {}
    for part in splits.split(",") if splits is not None else ():
        name, equals, folder = (word.strip() for word in part.partition("="))
        if not equals or not folder or name in folders:
            raise SettingsError(
                f"--splits '{splits}': write SPLIT=DIR for each split, once, such as "
                "train=Training,test=Testing."
            )
        folders[name] = folder
    return ReadOptions(fit, folders, skip_unreadable, layout)


def recipe_values(
    pairs: Sequence[str] | None, mirror: bool | None = None
) -> dict[str, bool | int | float | str]:
    """`["epochs=3", "ema=false"]` as a dictionary; all mistakes are reported together.

    Args:
        pairs: As typed.
        mirror: What --mirror or --no-mirror says; it is the recipe's `flip`.
    """
    wrong = [pair for pair in pairs or () if not all(pair.partition("="))]
    if wrong:
        listed = ", ".join(f"'{pair}'" for pair in wrong)
        raise SettingsError(f"--recipe {listed}: write KEY=VALUE, such as epochs=30.")
    values = {key: _scalar(value) for key, _, value in (p.partition("=") for p in pairs or ())}
    if mirror is None:
        return values
    if values.get("flip", mirror) != mirror:
        raise SettingsError(
            "--mirror or --no-mirror contradicts flip in --recipe. Give one of them."
        )
    return {**values, "flip": mirror}


_FIELDS = ("runtime", "precision", "layout", "batch_size", "threads")
_ALIASES = {"batch": "batch_size"}
_WHOLE = ("batch_size", "threads")


def _field(name: str, spec: str) -> str:
    """The field of a target that a word stands for: those of the long options, and `batch`."""
    field = _ALIASES.get(name, name.replace("-", "_"))
    if field == "resolution":
        raise SettingsError(
            f"--target '{spec}': the resolution belongs to the networks and is the same for all "
            "targets. Give it as --resolution."
        )
    if field not in _FIELDS:
        known = [known.replace("_", "-") for known in (*_ALIASES, *_FIELDS)]
        raise SettingsError(
            f"--target '{spec}': a target has no '{name}'.{did_you_mean(name, known)} It has "
            f"{', '.join(known)}, each written NAME=VALUE."
        )
    return field


def _whole(value: str, name: str, spec: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise SettingsError(
            f"--target '{spec}': {name} is '{value}'; it has to be a whole number of at least 1."
        )
    return int(value)


def _scalar(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
