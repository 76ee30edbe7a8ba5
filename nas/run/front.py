"""A run's front: its members, and which of them are within the budgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.result import Answer, FrontMember, Metric
from nas.retrain import NetworkResult
from nas.search.front_file import ranked, within
from nas.search.objectives import Budgets, limits_in_words


@dataclass(frozen=True)
class Front:
    """Architectures that no other one beats, fastest first."""

    members: tuple[FrontMember, ...]
    budgets: Budgets
    metric: Metric

    def kept(self) -> list[FrontMember]:
        """Members within any budget set by their predicted and, if known, measured latencies."""
        kept = {member.id for members in self.within() for member in members}
        return [member for member in self.members if member.id in kept]

    def answers(self) -> list[Answer]:
        """The best member within each budget set."""
        return [
            Answer(limits, members[0].id if members else None)
            for limits, members in zip(self.budgets.budget_sets, self.within(), strict=True)
        ]

    def chosen(self, top: int) -> list[FrontMember]:
        """The best `top` members within each budget set, each once, the most accurate first."""
        found = {member.id: member for members in self.within() for member in members[:top]}
        return ranked(list(found.values()), self.metric)

    def fewer_than(self, top: int, names: Sequence[str]) -> list[str]:
        """A note for each budget set with fewer than `top` members, but any.

        Args:
            top: How many networks were asked for.
            names: Of the targets.
        """
        return [
            f"the front has {len(members)} networks"
            f"{' within ' + words if (words := limits_in_words(limits, names)) else ''}, "
            f"fewer than the {top} that were asked for"
            for limits, members in zip(self.budgets.budget_sets, self.within(), strict=True)
            if 0 < len(members) < top
        ]

    def predicted_within(self) -> list[int]:
        """The number of members predicted within each budget set."""
        return [len(within(self.members, alone)) for alone in self.budgets.separate()]

    def with_retrained(self, results: Mapping[str, NetworkResult]) -> Front:
        """The front with the accuracies of networks that were trained alone, by id."""
        members = (
            dataclasses.replace(
                member,
                test_accuracy=results[member.id].test.accuracy,
                trained_accuracy=results[member.id].validation.accuracy,
            )
            if member.id in results
            else member
            for member in self.members
        )
        return dataclasses.replace(self, members=tuple(members))

    def within(self) -> list[list[FrontMember]]:
        """The members within each budget set by all that is known, best first."""
        return [
            [
                member
                for member in ranked(within(self.members, alone), self.metric)
                if measured_within(member, limits)
            ]
            for alone, limits in zip(
                self.budgets.separate(), self.budgets.budget_sets, strict=True
            )
        ]


def measured_within(member: FrontMember, limits: tuple[float | None, ...]) -> bool:
    """Whether no measured latency of a member exceeds the limit on its target."""
    return all(
        limit is None or latency.measured_ms is None or latency.measured_ms <= limit
        for limit, latency in zip(limits, member.latencies, strict=True)
    )


def network_folder(run: Path, id: str) -> Path:
    """The folder of one network of a run."""
    return run / "networks" / id
