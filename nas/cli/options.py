"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.reading import ArrayLayout, Fit

TARGET = "The target: the device and how it runs the network"
BUDGET = "Budgets: a network keeps all of them"
IMAGES = "How the images are read"
CLUSTER = "On a Ray cluster"
_TRAINING = "Training"

Run = Annotated[Path, typer.Argument(help="A run's folder, or its name under results/.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON document on stdout.")
]
Seed = Annotated[
    int, typer.Option(min=0, help="Of every random choice: the same seed gives the same result.")
]
MaxParams = Annotated[
    str | None,
    typer.Option(help="Most parameters, such as 2M.", metavar="COUNT", rich_help_panel=BUDGET),
]
MaxMacs = Annotated[
    str | None,
    typer.Option(
        help="Most multiply-adds per image, such as 50M.", metavar="COUNT", rich_help_panel=BUDGET
    ),
]
Space = Annotated[
    str,
    typer.Option(help="The space: a name (see `nas spaces`) or a YAML file.", metavar="NAME|FILE"),
]
SpaceForImages = Annotated[
    str | None,
    typer.Option(
        help="The space: a name (see `nas spaces`) or a YAML file.",
        metavar="NAME|FILE",
        show_default="hybrid-tiny up to 16 px, hybrid-cifar up to 40 px, above photo-mobile",
    ),
]
Pretrained = Annotated[
    str | None,
    typer.Option(
        help="The published weights that the supernet starts from: a network whose package the "
        "extra 'pretrained' installs, timm:NAME[.TAG], a .safetensors or .pth file, or none.",
        metavar="NAME|FILE",
        show_default="those of the space, if they are installed",
        rich_help_panel=_TRAINING,
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        help="A pretrained network that teaches the supernet, such as timm:convnext_nano; it is "
        "fine-tuned on the images first.",
        metavar="NAME",
        rich_help_panel=_TRAINING,
    ),
]
Unlabelled = Annotated[
    str | None,
    typer.Option(
        help="A folder of further images without labels, about which the teacher speaks.",
        metavar="folder:DIR",
        rich_help_panel=_TRAINING,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        help="The images: digits, fashion-mnist:DIR, cifar10:DIR, folder:DIR (one folder per "
        "class) or npz:FILE.",
        metavar="SPEC",
    ),
]

Splits = Annotated[
    str | None,
    typer.Option(
        help="Which folder, inside the data's, holds which split, such as "
        "train=A,test=B. With train=. every folder is a class.",
        metavar="SPLIT=DIR[,SPLIT=DIR]",
        show_default="found by their names",
        rich_help_panel=IMAGES,
    ),
]
FitTo = Annotated[
    Fit,
    typer.Option(
        help="How pictures that are not square become square: crop keeps the centre, squash "
        "changes the proportions, pad adds grey margins.",
        rich_help_panel=IMAGES,
    ),
]
SkipUnreadable = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable",
        help="Leave out image files that cannot be read, and say how many. Without it they end "
        "the command.",
        rich_help_panel=IMAGES,
    ),
]
LayoutOfArrays = Annotated[
    ArrayLayout | None,
    typer.Option(
        help="Order of the axes of an npz file's images: NHWC has the channels last, NCHW second.",
        show_default="told by their shape",
        rich_help_panel=IMAGES,
    ),
]
Mirror = Annotated[
    bool | None,
    typer.Option(
        "--mirror/--no-mirror",
        help="Whether training images are mirrored left and right at random. Switch it off where "
        "left and right matter: arrows, letters, hands.",
        show_default="mirrored, except digits and arrays",
        rich_help_panel=_TRAINING,
    ),
]

Hardware = Annotated[
    str, typer.Option(help="The device (see `nas hardware`).", rich_help_panel=TARGET)
]
Runtime = Annotated[
    str | None,
    typer.Option(help="What runs the network, such as eager or compile.", rich_help_panel=TARGET),
]
Precision = Annotated[
    str | None, typer.Option(help="Number format, such as fp32.", rich_help_panel=TARGET)
]
Layout = Annotated[
    str | None,
    typer.Option(help="Memory layout, such as channels_last.", rich_help_panel=TARGET),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images per batch.", rich_help_panel=TARGET)
]
Resolution = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Side of the images in pixels; only networks of this resolution are searched.",
        show_default="each network's own",
        rich_help_panel=TARGET,
    ),
]
Resolutions = Annotated[
    str | None,
    typer.Option(
        help="Sides of the images in pixels from which each network has one, such as 64,96,128; "
        "the supernet is trained for all of them.",
        metavar="PX[,PX]",
        show_default="the space's; for photographs those that their size and the budgets leave",
        rich_help_panel=TARGET,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads that run the network.", rich_help_panel=TARGET),
]
Confidence = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=0.98,
        help="Share of networks whose latency lies within the predicted interval; its upper end "
        "has to keep the budget.",
        rich_help_panel=TARGET,
    ),
]

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Work on a Ray cluster: HOST:PORT of its head, auto for the one that this machine "
        "belongs to, or local to start Ray here, on 127.0.0.1 alone. The result is the same.",
        metavar="ADDRESS",
        rich_help_panel=CLUSTER,
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        help="Worker processes. 4-32 needs room for 4; a search uses up to 32 as nodes join.",
        metavar="N|FEWEST-MOST",
        show_default="as many as have room",
        rich_help_panel=CLUSTER,
    ),
]
Journal = Annotated[
    str | None,
    typer.Option(
        help="A PostgreSQL database for the study that optuna-dashboard shows, such as "
        "postgresql://nas@db/nas; put the password into PGPASSWORD or ~/.pgpass.",
        metavar="URL",
        show_default="a file in the run's folder",
        rich_help_panel=CLUSTER,
    ),
]
WorkerCpus = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="Processors of each worker.",
        show_default="1",
        rich_help_panel=CLUSTER,
    ),
]
WorkerGpus = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="GPUs of each worker; 0.5 shares one between two.",
        show_default="0",
        rich_help_panel=CLUSTER,
    ),
]

Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of the supernet.",
        show_default="the recipe's",
        rich_help_panel=_TRAINING,
    ),
]
Recipe = Annotated[
    list[str] | None,
    typer.Option(
        help="Change how the supernet is trained, such as learning_rate=0.002, "
        "flip=false or supervision=labels; repeat for more.",
        metavar="KEY=VALUE",
        rich_help_panel=_TRAINING,
    ),
]
RetrainEpochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of each retrained network.",
        show_default="the recipe's",
        rich_help_panel=_TRAINING,
    ),
]
FromScratch = Annotated[
    bool,
    typer.Option(
        "--from-scratch",
        help="Retrain from new weights instead of the supernet's.",
        rich_help_panel=_TRAINING,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Where trainings keep their checkpoints: a folder that all nodes see, or a bucket, "
        "such as s3://bucket/path.",
        metavar="FOLDER|URL",
        show_default="the folder of the run or of the cache",
        rich_help_panel=CLUSTER,
    ),
]
FineTune = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of a short training of the best networks from the supernet's weights, in "
        "place of the long one.",
        show_default="the long one; 4 with a pretrained start",
        rich_help_panel=_TRAINING,
    ),
]
