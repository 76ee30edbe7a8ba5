"""Networks of a run as files: with their own weights, or with the supernet's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.export import DataDescription, default_formats, export_network, files_of
from nas.result import FrontMember, Recommendation
from nas.run.front import Front, network_folder
from nas.run.supernets import TrainedSupernet
from nas.run.trained import Trained, results_of, retrained
from nas.run.work import Work
from supernet.calibration import calibrate

DEFAULT_FORMATS = default_formats()


def child(work: Work, member: FrontMember, trained: TrainedSupernet) -> Trained:
    """A network with the supernet's weights, not retrained."""
    context = work.context
    network = trained.supernet.extract(member.architecture)
    images = context.evaluation_images.calibration(member.architecture.resolution)
    calibrate(network, (x.to(context.device) for x in images))
    return Trained(network, {"validation_accuracy": member.accuracy}, from_scratch=False)


def networks_of(
    work: Work, members: Sequence[FrontMember], supernet: Callable[[], TrainedSupernet]
) -> list[Trained]:
    """The members as networks: with their own weights if retrained, else the supernet's.

    Args:
        work: The run.
        members: Of its front.
        supernet: Gives the trained supernet, if it is needed.
    """
    done, shared = results_of(work.path), functools.cache(supernet)
    return [
        retrained(work, member) if member.id in done else child(work, member, shared())
        for member in members
    ]


def finished_members(work: Work, front: Front) -> list[FrontMember]:
    """The members to use: those that were retrained, or else the best for each budget."""
    done = results_of(work.path)
    return [member for member in front.members if member.id in done] or front.chosen(1)


def export_chosen(
    work: Work, members: Sequence[FrontMember], supernet: Callable[[], TrainedSupernet]
) -> list[Path]:
    """The export step: write each member to its folder, unless that was finished before."""
    folders = [network_folder(work.path, member.id) for member in members]
    files = [folder / name for folder in folders for name in files_of(DEFAULT_FORMATS)]
    if work.folder.finished("export") and all(file.exists() for file in files):
        return folders
    return export_all(work, networks_of(work, members, supernet), DEFAULT_FORMATS)


def export_all(work: Work, networks: Sequence[Trained], formats: Sequence[str]) -> list[Path]:
    """Write each network to its folder: architecture and weights, then the other `formats`."""
    data, donor = DataDescription.of(work.context.data), work.context.donor
    folders = []
    for each in networks:
        folder = network_folder(work.path, each.network.architecture.id)
        export_network(
            each.network,
            folder,
            data=data,
            scores=each.scores,
            formats=tuple(formats),
            pretrained=None if donor is None or each.from_scratch else donor.describe(),
        )
        work.console.say(f"exported to {folder}")
        folders.append(folder)
    return folders


def export_recommended(
    work: Work,
    front: Front,
    recommended: Sequence[Recommendation],
    supernet: TrainedSupernet,
) -> None:
    """Export what is recommended and was not exported.

    That is a member that became the best when the finished networks were measured again, or when
    others were retrained by a command of their own.
    """
    wanted = {each.id for each in recommended if each.path is None}
    members = [member for member in front.members if member.id in wanted]
    export_all(work, networks_of(work, members, lambda: supernet), DEFAULT_FORMATS)
