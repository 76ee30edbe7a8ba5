"""What a person decides about reading images, where no rule could know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from pydantic import ConfigDict

from nas.errors import SettingsError

Fit = Literal["crop", "squash", "pad"]
ArrayLayout = Literal["NHWC", "NCHW"]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ReadOptions:
    """How images are read.

    Attributes:
        fit: What becomes of images that are not square: `crop` keeps the centre, `squash` changes
            their proportions, `pad` adds grey margins.
        splits: Folder of each split, below the data's own; empty: found by their names. With
            `{"train": "."}` every folder is a class, whatever it is called.
        skip_unreadable: Leave out files that cannot be read; otherwise they are an error.
        array_layout: Order of the axes of arrays; None: told by their shape.
        normalisation: Mean and standard deviation per channel on a scale of 0 to 1, for pictures
            that go into a network trained on others; None: those of the training images.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    fit: Fit = "crop"
    splits: Mapping[str, str] = field(default_factory=dict)
    skip_unreadable: bool = False
    array_layout: ArrayLayout | None = None
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def options(self) -> list[str]:
        """The command-line options that read images this way."""
        words, usual = [], ReadOptions()
        if self.splits:
            words += ["--splits", ",".join(f"{name}={path}" for name, path in self.splits.items())]
        if self.fit != usual.fit:
            words += ["--fit", self.fit]
        if self.skip_unreadable:
            words.append("--skip-unreadable")
        if self.array_layout is not None:
            words += ["--layout-of-arrays", self.array_layout]
        return words

    def __post_init__(self) -> None:
        """Raises SettingsError for an unknown word."""
        wrong = [name for name in self.splits if name not in SPLITS]
        if wrong:
            raise SettingsError(f"Unknown split '{wrong[0]}'. Known: {', '.join(SPLITS)}.")
        if self.splits and "train" not in self.splits:
            raise SettingsError("The splits name no folder of training images: add train=FOLDER.")
        if self.fit not in get_args(Fit):
            raise SettingsError(f"fit is '{self.fit}'; it can be {', '.join(get_args(Fit))}.")
        if self.array_layout not in (None, *get_args(ArrayLayout)):
            known = ", ".join(get_args(ArrayLayout))
            raise SettingsError(f"The layout of arrays is '{self.array_layout}'; known: {known}.")
