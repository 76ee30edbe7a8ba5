"""Networks of a run as files: with their own weights, or with the supernet's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nas.export import DataDescription, default_formats, export_network
from nas.result import FrontMember, Recommendation
from nas.run.front import Front, network_folder
from nas.run.supernets import TrainedSupernet
from nas.run.trained import Trained
from nas.run.work import Work
from supernet.calibration import calibrate

DEFAULT_FORMATS = default_formats()


def child(work: Work, member: FrontMember, trained: TrainedSupernet) -> Trained:
    """A network with the supernet's weights, not retrained."""
    context = work.context
    network = trained.supernet.extract(member.architecture)
    images = context.evaluation_images.calibration(member.architecture.resolution)
    calibrate(network, (x.to(context.device) for x in images))
    return Trained(network, {"validation_accuracy": member.accuracy})


def export_all(work: Work, networks: Sequence[Trained], formats: Sequence[str]) -> list[Path]:
    """Write each network to its folder: architecture and weights, then the other `formats`."""
    data, donor = DataDescription.of(work.context.data), work.context.donor
    fresh = donor is None or work.settings.from_scratch
    origin = None if fresh or donor is None else donor.describe()
    folders = []
    for each in networks:
        folder = network_folder(work.path, each.network.architecture.id)
        export_network(
            each.network,
            folder,
            data=data,
            scores=each.scores,
            formats=tuple(formats),
            pretrained=origin,
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
    """Export what is recommended and has no folder yet, with the supernet's weights.

    That is a member that became the best when the finished networks were measured again.
    """
    wanted = {each.id for each in recommended if each.path is None}
    networks = [child(work, member, supernet) for member in front.members if member.id in wanted]
    export_all(work, networks, DEFAULT_FORMATS)
