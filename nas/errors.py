"""Every error of the project in one place; each is also a builtin error.

`NasError` and the errors of the lower packages are in `search_spaces/errors.py`.
"""

from __future__ import annotations

from typing import ClassVar

from search_spaces.errors import (
    CheckpointError,
    NasError,
    SpaceError,
    TrainingError,
    UnknownNameError,
    WeightsError,
    did_you_mean,
    reason,
    unknown_name,
)

__all__ = [
    "BudgetError",
    "CheckpointError",
    "ClusterError",
    "ClusterLostError",
    "DataError",
    "ExportError",
    "InfeasibleError",
    "MissingExtraError",
    "NasError",
    "NotFittedError",
    "RunError",
    "SettingsError",
    "SpaceError",
    "Stopped",
    "StorageError",
    "TrainingError",
    "TrialError",
    "UnknownNameError",
    "WeightsError",
    "did_you_mean",
    "error_of",
    "missing_extra",
    "reason",
    "unknown_name",
]


class DataError(NasError, ValueError):
    """Images or labels that cannot be used as they are."""


class BudgetError(NasError, ValueError):
    """A limit without a unit, not positive, or not a number."""


class InfeasibleError(BudgetError):
    """A well-formed limit that nothing in the space satisfies."""


class SettingsError(NasError, ValueError):
    """Settings that are unknown, wrong, or differ from those of the run at hand."""


class RunError(NasError, RuntimeError):
    """A run folder that cannot be used as asked: missing, in use, not writable, not finished."""


class NotFittedError(NasError, RuntimeError):
    """A prediction for a target that has not been measured yet."""


class Stopped(KeyboardInterrupt):
    """The system asks the program to end, as it does before a shutdown or at a time limit."""

    def __init__(self, signal: int) -> None:
        self.exit_code = 128 + signal
        super().__init__(signal)


class MissingExtraError(NasError, ImportError):
    """An optional package that is not installed."""


class ClusterError(NasError, ConnectionError):
    """A Ray cluster or a database that is not there, does not answer, or lacks what was asked."""


class ClusterLostError(ClusterError):
    """A cluster that stopped answering in the middle of the work."""

    exit_code: ClassVar[int] = 1


class TrialError(NasError, RuntimeError):
    """A training elsewhere that failed too often, was killed, or ran into its time limit."""

    exit_code: ClassVar[int] = 1


class ExportError(NasError, RuntimeError):
    """A network that a format cannot hold, or that gives other scores when loaded back."""


class StorageError(NasError, OSError):
    """A disk that is full or failing."""

    exit_code: ClassVar[int] = 1


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an optional `package` that `purpose` needs, naming the extra to install."""
    return MissingExtraError(
        f"{purpose} needs '{package}', which is not installed. "
        f"Install it with `pip install -c constraints.txt -e '.[{extra}]'`."
    )


def error_of(kind: str, message: str) -> Exception:
    """The error that another process met, by the name of its class."""
    known = globals().get(kind)
    if isinstance(known, type) and issubclass(known, NasError):
        return known(message)
    return RuntimeError(f"{kind} in another process: {message}")


def in_short(error: BaseException) -> str:
    """An error's kind, and the first sentence of the last line that it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sentence = lines[-1].partition(". ")[0] if lines else ""
    return f"{type(error).__name__}: {sentence}"[:200]
