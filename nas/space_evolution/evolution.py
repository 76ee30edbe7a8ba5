"""An evolution at work: generation by generation, ranges follow what the supernet shows.

    for each generation:    supernet of space-g.yaml -> architectures within the limits, evaluated
                            -> E-T error of every value -> space-(g+1).yaml and the reasons

<folder>/
    evolution.json             what was asked; a folder is only continued with the same
    space-0.yaml, ...          each is a file for `nas search --space`
    evaluations-0.jsonl, ...   what was evaluated on the supernet of each
    reasons.json, reasons.md   what moved and why

A generation counts once it stands in `reasons.json`; one that was cut off goes on with the
supernet's checkpoint and with the evaluations that it has.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import CheckpointError, RunError
from nas.latency import predictor_for
from nas.latency.cost import CostTable
from nas.progress import Progress
from nas.search.protocol import Codes, Floats
from nas.space_evolution import folders, quality, reasons, rule
from nas.space_evolution.costs import FEWEST, Costs
from nas.space_evolution.dimensions import dimensions
from nas.space_evolution.plain import Plain, plain_of, to_yaml
from nas.space_evolution.request import Judge, JudgeOf, Request
from nas.storage import append_line, atomic_write, lock, read_json, read_lines
from search_spaces import SearchSpace, load_space
from search_spaces.data_shape import DataShape


def evolve_space(
    request: Request,
    generations: int,
    folder: Path,
    *,
    data_shape: DataShape,
    data_id: str,
    judge: JudgeOf,
    console: Progress,
) -> list[dict[str, Any]]:
    """Evolve a space.

    Args:
        generations: How many spaces to make; those that the folder has are not made again.
        folder: A new one, or one that holds the same evolution.
        data_id: Of the images' contents: an evolution is not continued on others.

    Returns:
        What `reasons.json` says of each generation.

    Raises:
        NasError: the input is wrong, nothing keeps the limits, or the folder cannot be used.
    """
    space = load_space(request.space_name)
    asked = {**request.to_dict(space), "images (id)": data_id}
    folders.check(folder, asked)
    with lock(folder / "run.lock", wait=False):
        for torn in folder.glob(".*.tmp"):
            torn.unlink(missing_ok=True)
        if not (folder / "evolution.json").exists():
            atomic_write(folder / "space-0.yaml", to_yaml(plain_of(space.definition)))
            document = {"schema": 1, "asked": asked}  # last: with it the folder is an evolution
            atomic_write(folder / "evolution.json", json.dumps(document, indent=2) + "\n")
        evolution = _Evolution(request, folder, space.name, data_shape, judge, console)
        try:
            return evolution.generations(generations)[:generations]
        except BaseException as error:
            error.add_note(f"Run the same command with --out {folder} to continue.")
            raise


@dataclass(frozen=True)
class _Evolution:
    """An evolution at work in its folder."""

    request: Request
    folder: Path
    name: str
    """The space's at the beginning."""
    data_shape: DataShape
    judge: JudgeOf
    console: Progress

    def generations(self, wanted: int) -> list[dict[str, Any]]:
        """Make what is missing; every generation's document."""
        done: list[dict[str, Any]] = []
        if (self.folder / "reasons.json").exists():
            done = read_json(self.folder / "reasons.json")["generations"]
            self.console.say(f"{len(done)} generations are in {self.folder} already")
        while len(done) < wanted and not (done and done[-1]["settled"]):
            self.console.step(f"generation {len(done) + 1}: {self._file(len(done))}")
            plain, document = self._generation(len(done), reasons.gone(done))
            done = [*done, document]
            self._write(plain, done)
            for line in reasons.sentences(document) or ["nothing moves: no trend is sure"]:
                self.console.say(line)
        return done

    def _generation(
        self, number: int, gone: Mapping[str, frozenset[str]]
    ) -> tuple[Plain, dict[str, Any]]:
        """The space after this one, and the reasons."""
        file = self._file(number)
        space = load_space(str(file))
        known = self._costs(space)
        rng = np.random.default_rng((self.request.settings.seed, number))
        codes = known.within_limits(self.request.evaluations, rng)
        trained = self.judge(file)
        errors = self._errors(number, codes, trained)
        kept = np.isfinite(errors)
        if kept.sum() < FEWEST:
            raise RunError(
                f"Only {kept.sum()} of {len(kept)} architectures of '{file}' have a finite score: "
                "its supernet did not learn. Start anew with another recipe, such as --recipe "
                "learning_rate=0.001."
            )
        codes, costs = codes[kept], known.compared(codes[kept])
        level = quality.at_equal_cost(errors[kept], costs)
        decisions = _decisions(space, codes, level, gone, rng)
        plain = plain_of(space.definition)
        after, changed, decisions = rule.apply(plain, decisions)
        if self.request.limits and not self._costs(after).any_within(rng):
            why = "nothing sampled of the space that would result keeps the limits."
            decisions = [rule.refused(d, why) if d.moves else d for d in decisions]
            changed, after = plain, space
        changed["name"] = f"{self.name}-{number + 1}"
        changed["description"] = f"{self.name} after {number + 1} generation(s) of evolution"
        expected, top = quality.overall(level)
        return changed, {
            "space": file.name,
            "size": space.size(),
            "size_after": after.size(),
            "supernet": trained.key,
            "architectures": len(codes),
            "failed": int((~kept).sum()),
            "expected_error": expected,
            "top_tier_error": top,
            "mean_cost": float(costs.mean()),
            "settled": not any(d.moves for d in decisions),
            "dimensions": [reasons.decision_document(d) for d in decisions],
        }

    def _costs(self, space: SearchSpace) -> Costs:
        """What is known of a space's architectures without evaluating them."""
        request, data_shape = self.request, self.data_shape
        predictor = None
        if request.target is not None:
            predictor = predictor_for(
                space,
                request.target,
                data_shape,
                confidence=request.confidence,
                progress=self.console,
            )
        return Costs(space, CostTable(space, data_shape), predictor, request.limits)

    def _errors(self, number: int, codes: Codes, trained: Judge) -> Floats:
        """Errors of all codes, NaN where one failed; what is on file is not evaluated again."""
        path = self.folder / f"evaluations-{number}.jsonl"
        scores = read_lines(path)
        before = [(score["code"], score["supernet"]) for score in scores]
        if before != [(code.tolist(), trained.key) for code in codes[: len(before)]]:
            raise CheckpointError(
                f"'{path}' holds evaluations of other architectures or of another supernet than "
                "this version of nas would make. Delete it to evaluate them again."
            )
        with self.console.task("evaluating architectures", len(codes)) as advance:
            for code in codes[len(scores) :]:
                found = dataclasses.asdict(trained.evaluate(code)).items()
                finite = {name: value for name, value in found if math.isfinite(value)}
                scores.append({"code": code.tolist(), "supernet": trained.key, **finite})
                append_line(path, scores[-1])
                advance(len(scores), "")
        metric = self.request.settings.metric or "accuracy"
        return np.array([1.0 - score.get(metric, math.nan) for score in scores])

    def _write(self, plain: Plain, done: list[dict[str, Any]]) -> None:
        """The next space and the reasons; with `reasons.json`, the last, the generation counts."""
        cost = self.request.cost
        document = {"schema": 1, "compared_at_equal": cost, "generations": done}
        atomic_write(self._file(len(done)), to_yaml(plain))
        atomic_write(self.folder / "reasons.md", reasons.page(self.name, cost, done))
        atomic_write(self.folder / "reasons.json", json.dumps(document, indent=2) + "\n")

    def _file(self, number: int) -> Path:
        return self.folder / f"space-{number}.yaml"


def _decisions(
    space: SearchSpace,
    codes: Codes,
    level: Floats,
    gone: Mapping[str, frozenset[str]],
    rng: np.random.Generator,
) -> list[rule.Decision]:
    """What the errors at equal cost ask of each dimension."""
    active = space.active(codes)
    decisions = []
    for dimension in dimensions(space):
        seen = quality.quality_of(dimension.holds(codes, active), level, rng)
        decisions.append(rule.decide(dimension, seen, gone.get(dimension.name, frozenset())))
    return decisions
