"""Images without labels: every image below a folder, at the size of the labelled ones."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from nas.data.formats.folder import image_files
from nas.data.formats.pictures import decode
from nas.data.images import Images, Splits
from nas.data.load import parse_spec
from nas.errors import DataError
from nas.reading import ReadOptions


def load_unlabelled(spec: str, like: Splits, options: ReadOptions) -> Images:
    """The images of a folder; their labels are all 0 and mean nothing.

    Args:
        spec: `folder:DIR`; folders inside it mean nothing either.
        like: Data whose images they have to resemble in size and channels.
        options: How images are read.

    Raises:
        DataError: it is no folder, holds no images, or the labelled data are no pictures.
    """
    kind, path = parse_spec(spec)
    if kind != "folder" or path is None or like.train.pixels.dtype != np.uint8:
        raise DataError(
            f"Unlabelled images '{spec}' cannot be used with '{like.kind}' data: write "
            "folder:DIR, and use it beside pictures."
        )
    files = image_files(path) if path.is_dir() else []
    if not files:
        raise DataError(f"'{path}' holds no images. Check --unlabelled folder:{path}.")
    decoded = decode(files, options)
    pixels = decoded.pixels[decoded.read]
    height, width = like.native_size
    mode = "L" if like.shape.channels == 1 else "RGB"
    fitted = np.empty((len(pixels), height, width, like.shape.channels), dtype=np.uint8)
    for place, source in zip(fitted, pixels, strict=True):
        picture = Image.fromarray(source.squeeze(-1) if source.shape[2] == 1 else source)
        picture = picture.convert(mode).resize((width, height), Image.Resampling.BICUBIC)
        place[...] = np.asarray(picture).reshape(place.shape)
    return Images(fitted, np.zeros(len(fitted), dtype=np.int64))


def identify(images: Images) -> str:
    """12 hex digits of the images' contents."""
    digest = hashlib.blake2b(str(images.pixels.shape).encode(), digest_size=6)
    digest.update(np.ascontiguousarray(images.pixels).data)
    return digest.hexdigest()
