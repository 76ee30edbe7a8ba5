"""What a teacher and images without labels are worth when few images have labels.

    python scripts/photographs_teacher.py --data folder:DIR --side 64 --labelled 300 --seeds 3

The supernet of `photo-mobile` starts from its donor three times, with the same labelled images and
equal steps: without a teacher, with one, and with one that also labels the other training
images, whose labels are not used. The teacher is the donor, fine-tuned on the labelled images.
Test accuracy of the largest child and the mean of 8 random ones, without retraining.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import photographs_setup
import results_file
from kept_rows import Rows
from photographs_setup import Photographs
from supernet_work import train_as_set

from nas.pretrained.teacher import load_teacher
from nas.progress import Silent
from nas.run.supernet_teacher import TeacherAtWork, fine_tune
from nas.settings import Settings
from supernet.method import Setup

CHILDREN = 8
WAYS = ("labels", "teacher", "teacher and unlabelled")
DONOR = "tf_efficientnet_lite0"


def main() -> None:
    """Train each way with each seed and write the table."""
    parser = photographs_setup.arguments(__doc__)
    parser.add_argument("--labelled", type=int, default=300)
    asked = parser.parse_args()
    photographs_setup.use_threads(asked.threads)
    name = f"teacher-{asked.side}px-{asked.labelled}labelled-{asked.epochs}epochs"
    rows = Rows(results_file.RESULTS / "photographs" / f"{name}.jsonl", ("way",))
    for seed in photographs_setup.seeds(asked):
        for way in WAYS:
            if not rows.has(way=way, seed=seed):
                rows.add(_row(asked, way, seed))
    table = [
        {"way": way, "seeds": len(group)}
        | {k: round(float(np.mean([r[k] for r in group])), 4) for k in ("largest", "random")}
        for (way,), group in rows.groups()
    ]
    results_file.write("photographs", name, {"rows": table}, each=rows.rows)


def _row(asked: Any, way: str, seed: int) -> dict[str, Any]:
    settings = Settings(
        data=asked.data,
        space="photo-mobile",
        seed=seed,
        epochs=asked.epochs,
        teacher=None if way == "labels" else DONOR,
        recipe=photographs_setup.recipe(asked),
    )
    context = Photographs(settings, asked.side, train_images=asked.labelled)
    supernet = context.supernet()
    setup = Setup(
        supernet,
        lambda codes: np.zeros(len(codes)),
        context.donor_architecture,
        _teacher(context, way, seed),
    )
    train_as_set(context, setup)
    whole, test = context.whole_space, context.dataset.open_test()
    drawn = whole.sample(CHILDREN, np.random.default_rng(1))
    scores = [
        context.judge(context.child(supernet, whole.decode(code)), test).accuracy
        for code in (whole.largest(), *drawn)
    ]
    return {
        "way": way,
        "seed": seed,
        "largest": scores[0],
        "random": float(np.mean(scores[1:])),
    }


def _teacher(context: Photographs, way: str, seed: int) -> TeacherAtWork | None:
    if way == "labels":
        return None
    child = context.whole_space.decode(context.whole_space.largest())
    teacher = load_teacher(DONOR, child.resolution, context.data.shape, seed).network
    fine_tune(context, Silent(), teacher, child)
    others = context.batches_of(context.others, seed) if way.endswith("unlabelled") else None
    return TeacherAtWork(teacher, others, context.device)


if __name__ == "__main__":
    main()
