"""A run's front: its members, and which of them are within the budgets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from nas.result import Answer, FrontMember, Metric
from nas.search.front_file import ranked, within
from nas.search.objectives import Budgets


@dataclass(frozen=True)
class Front:
    """Architectures that no other one beats, fastest first."""

    members: tuple[FrontMember, ...]
    budgets: Budgets
    metric: Metric

    def kept(self) -> list[FrontMember]:
        """Members within any budget set by their predicted and, if known, measured latencies."""
        kept = {member.id for members in self._within() for member in members}
        return [member for member in self.members if member.id in kept]

    def answers(self) -> list[Answer]:
        """The best member within each budget set."""
        return [
            Answer(limits, members[0].id if members else None)
            for limits, members in zip(self.budgets.budget_sets, self._within(), strict=True)
        ]

    def chosen(self, top: int) -> list[FrontMember]:
        """The best `top` members within each budget set, each once, the most accurate first."""
        found = {member.id: member for members in self._within() for member in members[:top]}
        return ranked(list(found.values()), self.metric)

    def predicted_within(self) -> list[int]:
        """The number of members predicted within each budget set."""
        return [len(within(self.members, alone)) for alone in self.budgets.separate()]

    def with_test_accuracy(self, tested: dict[str, float]) -> Front:
        """The front with the test accuracies of retrained networks, by id."""
        members = (
            dataclasses.replace(member, test_accuracy=tested.get(member.id))
            for member in self.members
        )
        return dataclasses.replace(self, members=tuple(members))

    def _within(self) -> list[list[FrontMember]]:
        """The members within each budget set, best first."""
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
