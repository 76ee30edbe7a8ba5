"""The command line: one file per command, nothing in them but options and printing.

Nothing heavy is imported before a command runs, so that `nas --help` answers at once.
"""

from __future__ import annotations

from nas.cli.app import app, main

__all__ = ["app", "main"]
