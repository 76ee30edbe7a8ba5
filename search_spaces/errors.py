"""The root of every error this project raises on purpose, and errors about spaces.

An error says what was asked, what is the case and what to do, with the values. It is also a
builtin error (a wrong name is a ValueError), so that callers need not know our classes. The other
errors are in `nas/errors.py`; these are here because `search_spaces` may not import from `nas`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class NasError(Exception):
    """An error that the user can fix: shown as one message, never as a traceback."""

    exit_code: ClassVar[int] = 2
    """Exit status of the command line: 2 the input is wrong, 1 anything else."""


class SpaceError(NasError, ValueError):
    """A space, an architecture or codes that do not describe what they should."""


class UnknownNameError(NasError, ValueError):
    """A name that is not among the known ones."""


class TrainingError(NasError, ValueError):
    """A training that cannot be done in the way that was asked for."""


class CheckpointError(NasError, RuntimeError):
    """A checkpoint that is damaged or belongs to something else."""


class WeightsError(NasError, ValueError):
    """Weights that cannot be read, or are not those of the network that was asked for."""


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """The error for `name`, with the nearest known name and the list of all of them.

    Args:
        what: The kind of thing that was asked for, such as "hardware".
        name: What was asked for.
        known: Every valid name.
        hint: Another way out, one sentence.
    """
    names = sorted(known)
    parts = [f"Unknown {what} '{name}'.{did_you_mean(name, names)}"]
    parts.append(f"Known: {', '.join(names)}." if names else f"There is no {what} to choose from.")
    if hint:
        parts.append(hint)
    return UnknownNameError(" ".join(parts))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean ...?` with the most similar name; empty if none is similar."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.6)
    return f" Did you mean '{by_lower_case[near[0]]}'?" if near else ""


def reason(error: Exception) -> str:
    """What went wrong, without the number and the path that Python puts around it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
