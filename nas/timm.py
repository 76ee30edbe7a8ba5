"""Our networks in timm: `import nas.timm`, then `timm.create_model` builds them.

    timm.create_model("nas_<id>", pretrained=True)              an exported network, by id
    timm.create_model("local-dir:FOLDER", pretrained=True)      one in a folder
    timm.create_model("nas_network", architecture="architecture.yaml", num_classes=5, in_chans=3)

Import it before timm: beside a CPU build of torch, timm can be imported only after it (see
`nas.timm_library`). timm knows our names from this import on. As for timm's own models work:

    num_classes, global_pool      avg, max, avgmax, or "" for maps (with num_classes=0)
    in_chans                      also with pretrained weights, which are fitted to the channels
    img_size                      unless a weight depends on it, which is then said
    features_only, out_indices    the maps after stages
    drop_rate, drop_path_rate
"""

from __future__ import annotations

from nas.export.timm_models import nas_network, register
from nas.export.timm_network import TimmNetwork
from nas.timm_library import create_model

__all__ = ["TimmNetwork", "create_model", "nas_network"]

register()
