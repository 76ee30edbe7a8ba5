"""A run that the system stops says how to continue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, time
# Tests may run where these are ignored, such as below nohup.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pathlib import Path
from nas import pipeline
from nas.cli import main
from nas.run.folder import open_run

def run(settings, **_):
    with open_run(settings, Path("mine")):
        print("working", flush=True)
        time.sleep(60)

pipeline.run = run
sys.argv = ["nas", "search"]
main()
"""


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_stopped_run_says_how_to_continue(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    where = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": where},
        stderr=subprocess.PIPE,  # what a library prints goes there too
        text=True,
    ) as program:
        assert program.stderr is not None
        while "working" not in program.stderr.readline():
            assert program.poll() is None
        program.send_signal(sent)
        said = program.stderr.read()
    assert program.returncode == code
    assert "Continue with: nas resume mine" in said
    assert "Traceback" not in said
