"""Measuring in a process of its own, as a deployed network runs.

A process that has trained measures networks 10 % too slow (scripts/clean_process.py measures it):
training leaves the heap in many small free pieces, and each tensor that a network makes has to be
fitted into them. So the architectures are sent to a new process, and the times come back:

    parent  --- the job, one JSON line --->  `clean_process.py`
            <--- progress, the times, or an error, one JSON line each ---

The new process ends when its parent ends, however that ends, because its input ends with it. An
interruption from the keyboard reaches the parent alone, which then stops it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import torch

from nas.errors import NotFittedError, error_of
from nas.latency.timing.job import Job, Timed, run_here
from nas.latency.timing.load import environment_now
from nas.latency.timing.machines import machine_of
from nas.progress import Advance, Progress

PROGRAM = "nas.latency.timing.clean_process"


def run_apart(job: Job, progress: Progress, program: str = PROGRAM) -> Timed:
    """Do a job of measuring in a new process.

    Args:
        program: The module that the process runs.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run one of the networks.
        NotFittedError: the device is not at hand, its memory cannot hold the networks, or the
            process was killed.
    """
    if not all(map(_importable, _modules(job))):
        return run_here(job, machine_of(job.target), progress)
    own_programs = 1
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        own_programs = 2
    threads = job.target.thread_count if job.target.device == "cpu" else 1
    order = {"job": job.to_dict(), "modules": _modules(job), "own_programs": own_programs}
    with tempfile.TemporaryFile("w+") as errors, _started(program, threads, errors) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except BrokenPipeError:  # it has ended already, see below
            pass
        found = _followed(process.stdout, progress)
        if found is None:
            raise _died(process.wait(), errors)
    return found


def _followed(lines: IO[str], progress: Progress) -> Timed | None:
    """Show the progress of the process and return what it found; None if it ended without.

    Raises:
        NasError: as the process says.
    """
    with ExitStack() as tasks:
        advance: Advance | None = None
        for line in lines:
            if not line.endswith("\n"):
                break  # it was killed in the middle of a word
            kind, content = json.loads(line)
            if kind == "say":
                progress.say(content)
            elif kind == "task":
                advance = tasks.enter_context(progress.task(*content))
            elif kind == "advance" and advance is not None:
                advance(*content)
            elif kind == "done":
                tasks.close()
            elif kind == "error":
                raise error_of(*content)
            elif kind == "timed":
                return Timed.from_dict(content)
    return None


@contextmanager
def _started(program: str, threads: int, errors: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which is stopped at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        process_group=0,  # the keyboard interrupts the parent alone
        env=environment_now(threads),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _died(code: int, errors: IO[str]) -> Exception:
    """The error for a process that ended without a word."""
    if code < 0:
        return NotFittedError(
            f"The process that measures was killed (signal {-code}); the system does so where the "
            "memory is full. Close other programs, or choose a smaller --batch-size."
        )
    errors.seek(0)
    last = (errors.read().strip().splitlines() or ["it said nothing"])[-1]
    return RuntimeError(f"the process that measures ended with status {code}: {last}")


def _modules(job: Job) -> list[str]:
    """The modules that define the parts of the architectures."""
    choices = [
        choice
        for each in job.architectures
        for choice in (
            each.stem,
            each.head,
            *(stage.downsampling for stage in each.stages),
            *(part for s in each.stages for b in s.blocks for part in (b.mixer, b.channel_mixer)),
        )
        if choice is not None
    ]
    return sorted({type(choice.options).__module__ for choice in choices})


def _importable(module: str) -> bool:
    """Whether another process finds a module: not one that was typed in or made by a program."""
    found: Any = sys.modules.get(module)
    return module != "__main__" and getattr(found, "__file__", None) is not None
