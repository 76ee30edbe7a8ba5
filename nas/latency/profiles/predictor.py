"""Predictors that rest on a stored profile: what they have in common."""

from __future__ import annotations

from typing import Generic, TypeVar

from nas.errors import CheckpointError
from nas.latency.identity import parts_hash
from nas.latency.prediction import COVERAGE, PopulationPredictor, widened
from nas.latency.profiles.profile import Profile
from nas.latency.target import Target
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace

P = TypeVar("P", bound=Profile)


class MeasuredPredictor(PopulationPredictor, Generic[P]):
    """Predicts whole populations of one space from a profile; made by `predictor_for`."""

    def __init__(
        self,
        space: SearchSpace,
        target: Target,
        profile: P,
        data_shape: DataShape = DataShape(),
        confidence: float = COVERAGE,
    ) -> None:
        """A profile keeps the half width of 90 % intervals; `widened` converts it to others.

        Raises:
            CheckpointError: the profile belongs to another space.
            SettingsError: this `confidence` is not supported.
        """
        self.space, self.target, self.profile = space, target, profile
        self.confidence = confidence
        self._log_half_width = widened(profile.log_half_width, confidence)
        self.index = space.part_index(data_shape)
        if profile.conditions["parts"] != parts_hash(self.index):
            raise CheckpointError(
                f"This latency profile is of the space '{profile.conditions['space']}' as it was "
                f"when measured; '{space.name}' has other parts. Measure it with `nas measure`."
            )

    @property
    def id(self) -> str:
        """The profile's id: equal ids predict the same."""
        return self.profile.id

    @property
    def _accuracy(self) -> str:
        """How well the networks of the profile are predicted by fits without them."""
        held = self.profile.held_out
        return (
            f"left out one by one: mean error {held['mape']:.1%}, "
            f"{held['within_10_percent']:.0%} within 10 %, Spearman {held['spearman']:.3f}"
        )
