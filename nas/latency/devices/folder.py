"""Where device files are: those that come with nas beside this file, the user's own elsewhere.

    $NAS_CONFIG_DIR/devices, else $XDG_CONFIG_HOME/nas/devices, else ~/.config/nas/devices

Only the letters and digits of a name count: `RTX_4090` is `rtx4090`.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from nas.errors import SettingsError, reason
from nas.latency.devices.device import Device
from nas.storage import atomic_write, check_folder

SHIPPED = Path(__file__).parent


def own_folder() -> Path:
    """Where the user's own device files are."""
    if own := os.environ.get("NAS_CONFIG_DIR"):
        return Path(own).expanduser().absolute() / "devices"
    shared = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(shared).expanduser().absolute() / "nas" / "devices"


def files() -> dict[str, Path]:
    """Every device's file by its name; `cpu` has none.

    Raises:
        SettingsError: a file of the user's own has the name of another device.
    """
    found = {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
    taken = {"cpu", *map(plain, found)}
    for path in sorted(own_folder().glob("*.yaml")):
        if plain(path.stem) in taken:
            raise SettingsError(
                f"'{path}' has the name of another device; give the file another name."
            )
        taken.add(plain(path.stem))
        found[path.stem] = path
    return found


def find(name: str) -> Path | None:
    """The file of the device with that name or alias.

    Raises:
        SettingsError: a file is wrong, or two devices have that alias.
    """
    wanted, every = plain(name), files()
    for stem, path in every.items():
        if plain(stem) == wanted:
            return path
    called = [p for p in every.values() if wanted in map(plain, read(p).aliases)]
    if len(called) > 1:
        listed = ", ".join(f"'{path.stem}'" for path in called)
        raise SettingsError(f"'{name}' is an alias of {listed}; name the one that you mean.")
    return called[0] if called else None


def read(path: Path) -> Device:
    """The device that a file describes; raises what `read_device` raises."""
    return _read(path, path.stat().st_mtime_ns)


def add(path: Path, force: bool = False) -> Path:
    """Check the file of a device and copy it to the user's own.

    Args:
        force: Replace an own device of that name.

    Returns:
        The copy.

    Raises:
        SettingsError: the file is wrong, or its name or an alias belongs to another device.
        RunError: the user's own folder cannot be written to.
    """
    from nas.latency.devices.file import read_device

    text = _text(path)
    device = read_device(text, path.stem, str(path))
    copy = own_folder() / f"{device.name}.yaml"
    for name in (device.name, *device.aliases):
        there = find(name)
        if plain(name) == "cpu" or there not in (None, copy):
            owner = "cpu" if there is None else there.stem
            raise SettingsError(
                f"'{name}' in '{path}' already means the device '{owner}'; choose another name."
            )
    if copy.exists() and not force:
        raise SettingsError(
            f"There is a device '{device.name}' already ('{copy}'). Add --force to replace it."
        )
    check_folder(copy.parent, "Set NAS_CONFIG_DIR to another folder.")
    atomic_write(copy, text)
    return copy


def plain(name: str) -> str:
    """The letters and digits of a name."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


@lru_cache
def _read(path: Path, changed: int) -> Device:
    from nas.latency.devices.file import read_device  # pydantic and YAML, only when needed

    return read_device(_text(path), path.stem, str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Cannot read the device file '{path}': {reason(error)}.") from None
