"""`nas evolve-space`: generation by generation, a space whose ranges follow its own supernet.

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
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import CheckpointError, RunError, SettingsError
from nas.latency import Target, predictor_for
from nas.latency.cost import CostTable
from nas.progress import Progress, Silent
from nas.result import Outcome
from nas.run.context import Context
from nas.run.supernets import supernet_of
from nas.search.protocol import Codes, Floats
from nas.settings import Settings
from nas.space_evolution import folders, quality, reasons, rule
from nas.space_evolution.costs import FEWEST, Costs, Limits
from nas.space_evolution.dimensions import dimensions
from nas.space_evolution.plain import Plain, plain_of, to_yaml
from nas.storage import append_line, atomic_write, lock, read_json, read_lines
from search_spaces import SearchSpace
from supernet.scores import Evaluation


@dataclass(frozen=True)
class Request:
    """What was asked."""

    settings: Settings
    """Space, data, seed, epochs, recipe and metric; nothing else of them counts."""
    target: Target | None = None
    """Whose latency is compared; without one, multiply-adds are."""
    limits: Limits = field(default_factory=Limits)
    evaluations: int = 200
    confidence: float = 0.9

    def __post_init__(self) -> None:
        """Refuse a limit on a latency of nothing.

        Raises:
            SettingsError: there is such a limit and no target.
        """
        if self.limits.latency_ms is not None and self.target is None:
            raise SettingsError("A budget in time needs a device: give a target, such as cpu.")

    @property
    def cost(self) -> str:
        """What architectures are compared at equal amounts of."""
        return "multiply-adds" if self.target is None else f"latency on {self.target}"

    def to_dict(self, space: SearchSpace) -> dict[str, Any]:
        """All that decides the result; the space by its content."""
        s = self.settings
        return {
            "space": f"{space.name} ({space.fingerprint})",
            "data": s.data,
            "seed": s.seed,
            "epochs": s.epochs,
            "recipe": dict(s.recipe),
            "metric": s.metric,
            "target": None if self.target is None else self.target.to_dict(),
            **dataclasses.asdict(self.limits),
            "evaluations": self.evaluations,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Judge:
    """A generation's supernet: its name, and a child's scores on the validation split."""

    key: str
    evaluate: Callable[[Codes], Evaluation]


JudgeOf = Callable[[Context, Progress], Judge]


def supernet_judge(context: Context, console: Progress) -> Judge:
    """The supernet of the context's space, from the cache or trained now."""
    trained = supernet_of(context, console)
    space = context.whole_space
    return Judge(trained.key, lambda code: trained.evaluator(space.decode(code)))


def evolve_space(
    request: Request,
    generations: int,
    *,
    out: Path | None = None,
    console: Progress | None = None,
    judge: JudgeOf = supernet_judge,
) -> Outcome:
    """Evolve a space.

    Args:
        request: What is asked.
        generations: How many spaces to make; those that the folder has are not made again.
        out: The folder; a new one under `results/` by default.
        console: Who is told.
        judge: Gives each generation its supernet.

    Raises:
        NasError: the input is wrong, nothing keeps the limits, or the folder cannot be used.
    """
    context = Context(request.settings)
    space = context.whole_space
    _ = context.data, context.recipe
    asked = request.to_dict(space)
    folder = out or folders.fresh_folder(request.settings)
    folders.check(folder, asked)
    with lock(folder / "run.lock", wait=False):
        for torn in folder.glob(".*.tmp"):
            torn.unlink(missing_ok=True)
        if not (folder / "evolution.json").exists():
            atomic_write(folder / "space-0.yaml", to_yaml(plain_of(space.definition)))
            document = {"schema": 1, "asked": asked}  # last: with it the folder is an evolution
            atomic_write(folder / "evolution.json", json.dumps(document, indent=2) + "\n")
        evolution = _Evolution(request, folder, space.name, console or Silent(), judge)
        try:
            done = evolution.generations(generations)
        except BaseException as error:
            error.add_note(f"Run the same command with --out {folder} to continue.")
            raise
    return _outcome(request, folder, done[:generations])


@dataclass(frozen=True)
class _Evolution:
    """An evolution at work in its folder."""

    request: Request
    folder: Path
    name: str
    """Of the space at the beginning."""
    told: Progress
    judge: JudgeOf

    def generations(self, wanted: int) -> list[dict[str, Any]]:
        """Make what is missing; every generation's document."""
        done: list[dict[str, Any]] = []
        if (self.folder / "reasons.json").exists():
            done = read_json(self.folder / "reasons.json")["generations"]
            self.told.say(f"{len(done)} generations are in {self.folder} already")
        while len(done) < wanted and not (done and done[-1]["settled"]):
            self.told.step(f"generation {len(done) + 1}: {self._file(len(done))}")
            plain, document = self._generation(len(done), reasons.gone(done))
            done = [*done, document]
            self._write(plain, done)
            for line in reasons.sentences(document) or ["nothing moves: no trend is sure"]:
                self.told.say(line)
        return done

    def _generation(
        self, number: int, gone: Mapping[str, frozenset[str]]
    ) -> tuple[Plain, dict[str, Any]]:
        """The space after this one, and the reasons."""
        file = self._file(number)
        settings = self.request.settings.model_copy(update={"space": str(file.absolute())})
        context = Context(settings)
        space = context.whole_space
        known = self._costs(context, space)
        rng = np.random.default_rng((settings.seed, number))
        codes = known.within_limits(self.request.evaluations, rng)
        trained = self.judge(context, self.told)
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
        if self.request.limits and not self._costs(context, after).any_within(rng):
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

    def _costs(self, context: Context, space: SearchSpace) -> Costs:
        """What is known of a space's architectures without evaluating them."""
        request, data = self.request, context.data
        images = data.in_channels, data.num_classes
        predictor = None
        if request.target is not None:
            predictor = predictor_for(
                space, request.target, *images, confidence=request.confidence, progress=self.told
            )
        return Costs(space, CostTable(space, *images), predictor, request.limits)

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
        with self.told.task("evaluating architectures", len(codes)) as advance:
            for code in codes[len(scores) :]:
                found = dataclasses.asdict(trained.evaluate(code)).items()
                finite = {name: value for name, value in found if math.isfinite(value)}
                scores.append({"code": code.tolist(), "supernet": trained.key, **finite})
                append_line(path, scores[-1])
                advance(len(scores), "")
        metric = self.request.settings.metric
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


def _outcome(request: Request, folder: Path, done: list[dict[str, Any]]) -> Outcome:
    """What to print: what moved in each generation, and what to do next."""
    lines = []
    for number, generation in enumerate(done):
        lines.append(
            f"space-{number}.yaml: {generation['size']:.3g} architectures, expected error "
            f"{generation['expected_error']:.2%}, top-tier error "
            f"{generation['top_tier_error']:.2%} on its supernet"
        )
        lines += [f"  {line}" for line in reasons.sentences(generation)]
    if done and done[-1]["settled"]:
        lines.append("Nothing moves any more; more --evaluations would make smaller steps sure.")
    last = folder / f"space-{len(done)}.yaml"
    lines += [f"Reasons: {folder / 'reasons.md'}", f"Next: {_next(request, last)}"]
    document = {
        "folder": str(folder),
        "compared_at_equal": request.cost,
        "spaces": [str(folder / f"space-{i}.yaml") for i in range(len(done) + 1)],
        "next": _next(request, last),
        "generations": done,
    }
    return Outcome(tuple(lines), document)


def _next(request: Request, space: Path) -> str:
    """The search of the evolved space."""
    words = ["nas", "search", "--space", str(space), "--data", request.settings.data]
    target = request.target
    if target is not None:
        words += ["--hardware", target.device]
        usual = Target(target.device)
        for name in ("runtime", "precision", "layout", "batch_size", "threads"):
            value = getattr(target, name)
            if value != getattr(usual, name):
                words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *str(request.limits).split()])
