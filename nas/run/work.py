"""One run at work: its folder, its context, its console, and the step it is at.

Files that the steps leave in the folder:

    supernet.json                                     supernet
    evaluations.jsonl  study.journal  front.json      search
    verified.json  rank.json  alone/<recipe>/<id>/{checkpoint.safetensors,result.json}
                                                      verify
    measured.json                                     measure
    networks/<id>/{checkpoint.safetensors,result.json,network.safetensors}    retrain
    networks/<id>/{architecture.yaml,model.safetensors,config.json}           export
    baselines/{chosen.json,<name>/{checkpoint.safetensors,result.json,network.safetensors}}
                                                                              baselines
    compared.json                                                             compare
    random.jsonl  figures/*.png  report.html          report
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.cluster.connection import Cluster
from nas.progress import Progress
from nas.run.context import Context
from nas.run.folder import RunFolder
from nas.run.steps import STEPS, Step
from nas.run.threads import keep_helpful_threads
from nas.search.study_places import StudyFile, StudyPlace
from nas.settings import Settings

_LOG = logging.getLogger(__name__)
TRAINING: tuple[Step, ...] = ("supernet", "search", "verify", "retrain", "baselines")
"""Steps that train networks or run many."""


class LastStep(Exception):
    """The last step that was asked for has finished."""


@dataclass(frozen=True)
class Work:
    """The argument of every step: the run's folder, context and console."""

    folder: RunFolder
    context: Context
    console: Progress
    until: Step = STEPS[-1]
    """The last step to take."""
    cluster: Cluster | None = None
    """Where to evaluate, measure and train; None for this process."""
    journal: StudyPlace | None = None
    """Where the study of the search is kept; None for a file in the folder."""

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def settings(self) -> Settings:
        """All choices."""
        return self.context.settings

    @property
    def study(self) -> StudyPlace:
        """Where the study of the search is kept."""
        return self.journal or StudyFile(self.path / "study.journal")

    @property
    def finished(self) -> bool:
        """Whether every step up to the last one has finished."""
        return all(map(self.folder.finished, STEPS[: STEPS.index(self.until) + 1]))

    @contextmanager
    def step(self, name: Step, *, asked: bool = True) -> Iterator[None]:
        """Announce a step, and note when it has finished.

        A step that finished earlier is entered again; it then reads its results from its files,
        and is announced as done before.

        Args:
            name: The step.
            asked: Whether the settings ask for anything in it; if not, it is not announced.

        Raises:
            LastStep: it was the last step to take.
        """
        done = self.folder.finished(name)
        if asked:
            self.console.step(f"{name} (done before)" if done else name)
        started = time.monotonic()
        if asked and name in TRAINING and not done:
            keep_helpful_threads(self.console)
        yield
        if not done:
            seconds = time.monotonic() - started
            self.folder.finish(name, seconds)
            _LOG.info("%s took %.1f s", name, seconds)
        if name == self.until:
            raise LastStep
