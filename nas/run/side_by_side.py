"""Several trainings at once on this machine, each in a process of its own.

    parent  --- the order, pickled --->  `training_process.py`
            <--- its progress, one JSON line each ---

The operations of small networks gain little from several threads, so each network gets one of its
own. A process that is stopped leaves its checkpoint.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from threading import Lock
from typing import IO

import torch

from nas.environment import free_memory, own_memory, same_modules
from nas.errors import TrialError, error_of
from nas.progress import Progress
from nas.run.threads import networks_at_once
from nas.run.training_process import Order
from search_spaces.parts import REGISTRIES

PROGRAM = "nas.run.training_process"
KILLED = (
    "The system kills processes where the memory is full: close other programs, then continue."
)


def processes_for(trainings: int, device: torch.device) -> int:
    """How many trainings to do at once: one on each processor, if the memory holds them.

    A GPU does one after the other, and so does a program that registered families of its own,
    which other processes do not know.
    """
    most = networks_at_once(device)
    families = (family for registry in REGISTRIES.values() for family in registry)
    known = all(family.options.__module__.startswith("search_spaces.") for family in families)
    if not known:
        return 1
    room = free_memory() // max(1, own_memory())
    return max(1, min(trainings, most, room))


def train_side_by_side(
    orders: Sequence[Order],
    done: Callable[[int, bytes, float], None],
    *,
    processes: int,
    console: Progress,
    program: str = PROGRAM,
) -> None:
    """Do trainings, several at a time.

    Args:
        orders: What to train.
        done: Called with the number of an order that is done, the content of its file, and its
            seconds. Then the order's files are removed.
        processes: How many at a time; they share the threads of this one.
        console: Shows how many steps of all are done.
        program: The module that each process runs.

    Raises:
        NasError: as a process says.
        TrialError: a process was killed.
    """
    steps = [0] * len(orders)
    threads = max(1, networks_at_once(torch.device("cpu")) // processes)
    title = f"training {len(orders)} networks, {processes} at a time"
    with (
        _Team(program, threads) as team,
        ThreadPoolExecutor(processes) as pool,
        console.task(title, sum(order.steps for order in orders)) as advance,
    ):

        def train(number: int, order: Order) -> tuple[bytes, float]:
            def progress(step: int, loss: float) -> None:
                steps[number] = step
                advance(sum(steps), f"{order.title}: loss {loss:.3f}")

            started = time.monotonic()
            content = team.train(order, progress)
            steps[number] = order.steps
            return content, time.monotonic() - started

        running = {pool.submit(train, n, order): n for n, order in enumerate(orders)}
        try:
            for future in as_completed(running):
                number = running[future]
                done(number, *future.result())
                orders[number].clear()
        except BaseException:
            team.stop()
            pool.shutdown(cancel_futures=True)
            raise


class _Team:
    """Starts processes, and stops those that are left at the end of the block."""

    def __init__(self, program: str, threads: int) -> None:
        self._command = [sys.executable, "-P", "-m", program]
        self._environment = {**os.environ, **same_modules(), "OMP_NUM_THREADS": str(threads)}
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped, self._lock = False, Lock()

    def __enter__(self) -> _Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes, and start no others."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def train(self, order: Order, progress: Callable[[int, float], None]) -> bytes:
        """Do one order; the content of its file."""
        order.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as errors, self._started(errors) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(pickle.dumps(order))
                process.stdin.flush()
            except BrokenPipeError:  # it has ended already, as its status tells
                pass
            for line in process.stdout:
                message = json.loads(line)
                if "error" in message:
                    raise error_of(*message["error"])
                progress(message["step"], message["loss"])
            if process.wait() != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise _died(order, process.returncode, said) from RuntimeError(said)
        return order.trained.read_bytes()

    @contextmanager
    def _started(self, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._stopped:
                raise CancelledError
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,  # the keyboard interrupts the parent alone
                env=self._environment,
            )
            self._running.append(process)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
            with self._lock:
                self._running.remove(process)


def _died(order: Order, code: int, said: str) -> TrialError:
    """The error for a process that ended without a word of its own; `said` is what it printed."""
    last = (said.splitlines() or ["no message"])[-1]
    kept = "What was done so far is kept."
    if code < 0:
        kept += f" {KILLED}"
    return TrialError(f"{order.title}: its process ended with status {code} ({last}). {kept}")
