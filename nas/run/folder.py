"""A run's folder: its settings, its environment, and which steps are finished.

    results/hybrid-tiny-digits-cpu-5ms-20260102-030405/
        settings.json      every choice, resolved; a run is only continued with equal settings
        environment.json   versions, machine, commit
        inputs.json        the data, the space and the versions that it rests on
        steps.json         which steps are finished, when, and how long they took
        log.txt            what happened
        run.lock           held while a process works in the folder
        ...                what the steps themselves write

Steps write through `nas.storage`, so every file is complete at any moment. `open_run` starts or
continues a run, `resume_run` continues one, `read_run` only looks at it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nas.environment import environment
from nas.errors import CheckpointError, RunError, SettingsError, did_you_mean
from nas.run.steps import STEPS
from nas.settings import Settings
from nas.storage import (
    atomic_write,
    atomic_write_json,
    check_folder,
    check_free,
    lock,
    read_json,
    storing,
)
from nas.units import format_ms

RESULTS = Path("results")
_LOGGERS = ("nas", "supernet", "search_spaces")


class RunFolder:
    """One run's folder, held by this process until `close` (or the end of a `with` block)."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Lock the folder for this process; `open_run` and `resume_run` make the folder."""
        self.path = path
        self.settings = settings
        self.continued_by = f"nas resume {path}"
        """What a person does after an interruption."""
        check_folder(path)
        with contextlib.ExitStack() as held:
            held.enter_context(lock(path / "run.lock", wait=False))
            for torn in path.rglob(".*.tmp"):  # left by a process that was killed while writing
                torn.unlink(missing_ok=True)
            _log_to(path / "log.txt", held)
            self._held = held.pop_all()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._note(error)
        self.close()

    def close(self) -> None:
        """Release the folder."""
        self._held.close()

    def finished(self, step: str) -> bool:
        """Whether the step has finished, in this process or an earlier one."""
        return step in _finished_steps(self.path)

    def finish(self, step: str, seconds: float) -> None:
        """Note that a step is done; a resumed run does not repeat it."""
        assert step in STEPS, step
        steps = _finished_steps(self.path)
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        steps[step] = {"finished": now, "seconds": round(seconds, 3)}
        atomic_write_json(self.path / "steps.json", {"schema": 1, "steps": steps})

    def _note(self, error: BaseException) -> None:
        """Keep the traceback in the log, and add to the error how to continue."""
        logging.getLogger(__name__).error("stopped by an error", exc_info=error)
        error.add_note(f"Continue with: {self.continued_by}")


@dataclass(frozen=True)
class RunSummary:
    """A run's settings and finished steps, read without locking its folder."""

    path: Path
    settings: Settings
    steps: tuple[str, ...]
    """The finished steps, in the pipeline's order."""

    @property
    def complete(self) -> bool:
        """Whether every step has finished."""
        return self.steps == STEPS

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": str(self.path),
            "complete": self.complete,
            "finished": list(self.steps),
            "settings": self.settings.model_dump(),
        }


def check_out(settings: Settings, out: Path | None) -> Settings | None:
    """Refuse a folder that `open_run` would refuse, before any long work; nothing is made.

    Returns:
        The settings of the run that the folder holds, with what it decided itself; None if it
        holds none.

    Raises:
        SettingsError: the folder holds a run with other settings (all differences are listed).
        RunError: the folder is in use, cannot be written to, or holds something else.
    """
    path, begun = out or RESULTS, None
    check_folder(path, "Choose a folder with --out.")
    if out is not None:
        with storing(path):
            if (path / "settings.json").exists():
                begun = _same_settings(path, settings)
            else:
                _refuse_foreign(path)
    check_free(path / "run.lock")
    return begun


def open_run(settings: Settings, out: Path | None = None) -> RunFolder:
    """Start a run, or continue the one in `out` if its settings are the same.

    Args:
        out: The folder; by default a new one under `results/`, named by the settings and the time.

    Raises:
        SettingsError: the folder holds a run with other settings (all differences are listed).
        RunError: the folder is in use, cannot be written to, or holds something else.
    """
    path = _fresh_folder(settings) if out is None else out
    with storing(path):
        begun = (path / "settings.json").exists()
    if begun:
        _same_settings(path, settings)
        return resume_run(path)
    with storing(path):
        _refuse_foreign(path)
        path.mkdir(parents=True, exist_ok=True)
    run = RunFolder(path, settings)
    try:
        # settings.json last: with it the folder is a run
        atomic_write_json(path / "environment.json", environment())
        atomic_write(path / "settings.json", settings.to_json())
    except BaseException:
        run.close()
        raise
    return run


def resume_run(path: Path) -> RunFolder:
    """Lock an existing run for this process, with the settings it was started with.

    Raises:
        RunError: there is no run, or another process holds it.
        SettingsError: its settings cannot be read by this version.
    """
    path = find_run(path)
    run = RunFolder(path, _settings_of(path))
    _log_other_environment(path)
    return run


def read_run(path: Path) -> RunSummary:
    """Look at a run, also while another process works in it.

    Raises:
        RunError: there is no run.
    """
    path = find_run(path)
    finished = _finished_steps(path)
    return RunSummary(path, _settings_of(path), tuple(step for step in STEPS if step in finished))


def list_runs(parent: Path = RESULTS) -> list[Path]:
    """The runs in a folder, by name."""
    return sorted(found.parent for found in parent.glob("*/settings.json"))


def find_run(path: Path) -> Path:
    """The run at `path`, or of that name under `results/`.

    Raises:
        RunError: there is none; the message names the one with the most similar name.
    """
    for candidate in (path, RESULTS / path):
        if (candidate / "settings.json").is_file():
            return candidate
    near = did_you_mean(path.name, [run.name for run in list_runs()])
    raise RunError(f"There is no run in '{path}'.{near} `nas ls` lists the runs.")


def _same_settings(path: Path, settings: Settings) -> Settings:
    """The settings that a run was started with, if they are these; else it is refused.

    Resolutions and threads that are not given now may have been decided by the run.
    """
    earlier = _settings_of(path)
    if settings.resolutions is None:
        settings = settings.model_copy(update={"resolutions": earlier.resolutions})
    if len(settings.targets) == len(earlier.targets):
        threads = [target.threads for target in earlier.targets]
        settings = settings.with_threads(threads)
    if differences := earlier.diff(settings):
        listed = "\n  ".join(differences)
        raise SettingsError(
            f"The run in '{path}' was started with other settings:\n  {listed}\n"
            f"Continue it as it was with `nas resume {path}`, or choose another folder with --out."
        )
    return earlier


def _refuse_foreign(path: Path) -> None:
    """Refuse a folder that holds anything but a run whose creation was interrupted."""
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(f"'{path}' is a file. Choose a folder with --out.")
    ours = {"run.lock", "log.txt", "environment.json"}
    others = sorted(
        entry.name
        for entry in path.iterdir()
        if entry.name not in ours and not entry.name.endswith(".tmp")
    )
    if others:
        raise RunError(
            f"'{path}' is not empty and not a run (it holds '{others[0]}'). "
            "Choose another folder with --out."
        )


def _fresh_folder(settings: Settings) -> Path:
    """A new folder under `results/`; the second run within one second gets a number."""
    data = settings.data.partition(":")[0]
    names = [Path(settings.space).stem if settings.space else "", data]
    for target in settings.targets:
        ends = dict.fromkeys((*target.budgets_ms[:1], *target.budgets_ms[-1:]))
        budgets = "-to-".join(format_ms(ms).replace(" ", "") for ms in ends)
        names += [target.hardware, budgets]
    stem = "-".join(re.sub(r"[^\w.-]+", "-", name) for name in names if name)
    stem = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = RESULTS / stem, 1
    while True:
        with storing(path), contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
        number += 1
        path = RESULTS / f"{stem}-{number}"


def _settings_of(path: Path) -> Settings:
    try:
        return Settings.from_json((path / "settings.json").read_text(encoding="utf-8"))
    except (SettingsError, UnicodeDecodeError) as error:
        raise SettingsError(f"Cannot read '{path / 'settings.json'}': {error}") from None


def _finished_steps(path: Path) -> dict[str, Any]:
    file = path / "steps.json"
    if not file.exists():
        return {}
    steps = read_json(file).get("steps")
    if not isinstance(steps, dict):
        raise CheckpointError(f"'{file}' is damaged: it has no steps.")
    return steps


def _log_to(path: Path, held: contextlib.ExitStack) -> None:
    """Also write our packages' log lines, from level INFO on, to `path` until `held` is closed."""
    with storing(path):
        handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    held.callback(handler.close)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        held.callback(logger.setLevel, logger.level)
        held.callback(logger.removeHandler, handler)
        logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
        logger.addHandler(handler)


class _LogFile(logging.FileHandler):
    """A log file whose own errors, such as a full disk, do not hide the error of the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave the line out."""

    def close(self) -> None:
        """Close, even if something could not be written."""
        with contextlib.suppress(OSError):
            super().close()


def _log_other_environment(path: Path) -> None:
    """Log what changed since the run was started: versions, machine, commit."""
    before, now = read_json(path / "environment.json"), environment()
    for name in now:
        if name != "command" and before.get(name) != now[name]:
            logging.getLogger(__name__).warning(
                "resumed in another environment: %s was %s and is %s",
                name,
                before.get(name),
                now[name],
            )
