"""Choose public measurements to fit the GPU model on: `nas/latency/gpu/fit/public/*.csv`.

    python scripts/collect_public_latencies.py --data DIR

DIR holds one folder per source as named in `nas/latency/gpu/fit/public/README.md`, which also says
which rows are taken and why, and lists conditions that a source does not state. Rows are copied,
never changed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas.storage import atomic_write

OUT = Path(__file__).parents[1] / "nas/latency/gpu/fit/public"
NETWORK_FIELDS = (
    *("source", "network", "device", "precision", "layout", "runtime", "variant"),
    *("batch_size", "resolution", "ms"),
)
KERNEL_FIELDS = ("source", "device", "precision", "kind", "groups", "m", "n", "k", "ms")
TIMM = "huggingface__pytorch-image-models"
TIMM_TABLES = (
    ("nchw-pt240-cu124-rtx3090", "rtx3090", "channels_first", "eager"),
    ("nhwc-pt240-cu124-rtx3090", "rtx3090", "channels_last", "eager"),
    ("nchw-pt240-cu124-rtx4090", "rtx4090", "channels_first", "eager"),
    ("nhwc-pt240-cu124-rtx4090", "rtx4090", "channels_last", "eager"),
    ("nchw-pt291-cu128-4090", "rtx4090", "channels_first", "eager"),
    ("nchw-pt240-cu124-rtx4090-dynamo", "rtx4090", "channels_first", "compile"),
    ("nchw-pt291-cu128-4090-dynamo", "rtx4090", "channels_first", "compile"),
)
FOLDED = (
    *("mobileone", "fastvit", "ghostnetv3", "repghostnet", "repvit", "repvgg", "nextvit"),
    *("levit", "efficientvit_m"),
)
"""Networks whose branches fold; the tables of PyTorch 2.9.1 were made with them folded."""
VISION_DEVICES = {
    "A100": "a100-sxm4-40gb",
    "A100-80GB": "a100",
    "T4": "t4",
    "V100-16GB": "v100",
    "A10": "a10",
    "Jetson AGX Orin": "jetson-orin",
}
NEUSIGHT_DEVICES = {
    "NVIDIA A100 80GB PCIe": "a100-pcie-80gb",
    "NVIDIA A100-PCIE-40GB": "a100-pcie-40gb",
    "Tesla V100-PCIE-32GB": "v100-pcie-32gb",
    "Tesla T4": "t4",
    "NVIDIA L4": "l4",
    "Tesla P100-PCIE-16GB": "p100",
    "NVIDIA H100 80GB HBM3": "h100",
}


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    _write("networks.csv.gz", NETWORK_FIELDS, [*_timm(data), *_vision(data)])
    rng = np.random.default_rng(0)
    _write("kernels.csv", KERNEL_FIELDS, [*_vidur(data, rng), *_neusight(data, rng)])


def _timm(data: Path) -> Iterator[dict[str, Any]]:
    for name, device, layout, runtime in TIMM_TABLES:
        for row in _read(data / TIMM / f"benchmark-infer-amp-{name}.csv.gz"):
            rate, batch = float(row["infer_samples_per_sec"]), int(float(row["infer_batch_size"]))
            folded = "pt291" in name and row["model"].startswith(FOLDED)
            if rate > 0:
                yield {
                    "source": f"timm {name}",
                    "network": row["model"],
                    "device": device,
                    "precision": "amp",
                    "layout": layout,
                    "runtime": runtime,
                    "variant": "reparameterised" if folded else "plain",
                    "batch_size": batch,
                    "resolution": int(float(row["infer_img_size"])),
                    "ms": f"{batch / rate * 1e3:.6g}",
                }


def _vision(data: Path) -> Iterator[dict[str, Any]]:
    for row in _read(data / "vision_gpu_points.csv"):
        if row["gpu"] not in VISION_DEVICES or not row["timm_name"] or row["precision"] == "int8":
            continue
        runtime = _vision_runtime(row["runtime"])
        # At that time attention was not fused in PyTorch, and elsewhere only up to 512 tokens.
        vit = row["timm_name"].startswith("vit")
        unfused = vit and (runtime in ("jit", "eager-torch1") or row["resolution"] == "384")
        engine = runtime.startswith(("fastertransformer", "tensorrt"))
        last = engine or (runtime == "eager-ngc" and row["precision"] == "amp")
        yield {
            "source": f"{row['source_repo']} {Path(row['path']).parts[-2]}",
            "network": row["timm_name"],
            "device": VISION_DEVICES[row["gpu"]],
            "precision": row["precision"],
            "layout": "channels_last" if last else "channels_first",
            "runtime": runtime,
            "variant": "math-attention" if unfused else "plain",
            "batch_size": row["batch"],
            "resolution": row["resolution"],
            "ms": row["latency_ms"],
        }


def _vision_runtime(name: str) -> str:
    named = {
        "FasterTransformer cpp": "fastertransformer",
        "FasterTransformer torch op": "fastertransformer-op",
        "FasterTransformer TRT plugin": "fastertransformer-plugin",
        "pytorch jit.trace": "jit",
        "pytorch NGC eager": "eager-ngc",
        "pytorch eager": "eager-torch1",
        "TensorRT": "tensorrt",
    }
    return named[name]


def _vidur(
    data: Path, rng: np.random.Generator, per_device: int = 150
) -> Iterator[dict[str, Any]]:
    for device in ("a100", "a40", "h100"):
        rows = []
        for path in sorted(data.glob(f"microsoft__vidur/compute/{device}/*/*/mlp.csv.gz")):
            for row in _read(path):
                rows += _vidur_products(row)
        rows = [row for row in rows if row[3] > 0.01]  # times have a resolution of 1 us
        for i in sorted(rng.choice(len(rows), min(per_device, len(rows)), replace=False)):
            m, n, k, ms = rows[i]
            yield {
                "source": "vidur",
                "device": device,
                "precision": "fp16",
                "kind": "product",
                **{"groups": 1, "m": m, "n": n, "k": k, "ms": f"{ms:.6g}"},
            }


def _vidur_products(row: dict[str, str]) -> list[tuple[int, int, int, float]]:
    width, heads, kv, hidden, workers, tokens = (
        int(float(row[name]))
        for name in (
            *("n_embd", "n_head", "n_kv_head", "n_expanded_embd"),
            *("num_tensor_parallel_workers", "num_tokens"),
        )
    )
    gates = 2 if row["use_gated_mlp"] == "True" else 1
    sizes = {
        "attn_pre_proj": ((heads + 2 * kv) * (width // heads) // workers, width),
        "attn_post_proj": (width, width // workers),
        "mlp_up_proj": (gates * hidden // workers, width),
        "mlp_down_proj": (width, hidden // workers),
    }
    return [
        (tokens, n, k, float(row[f"time_stats.{name}.median"]))
        for name, (n, k) in sizes.items()
        if row.get(f"time_stats.{name}.median")
    ]


def _neusight(data: Path, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    folder = data / "sitar-lab__NeuSight/data/dataset/test"
    for table, most in (("elem", 20), ("ln", 60), ("softmax", 60), ("bmm", 60), ("linear", 60)):
        groups: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in _read(folder / f"{table}.csv.gz"):
            simple = row["OPName"] not in ("pow", "powu", "div", "divu")
            if row["Device"] in NEUSIGHT_DEVICES and simple:
                groups.setdefault((row["Device"], row["OPName"]), []).append(row)
        for (device, op), rows in sorted(groups.items()):
            for i in sorted(rng.choice(len(rows), min(most, len(rows)), replace=False)):
                yield {
                    "source": "NeuSight",
                    "device": NEUSIGHT_DEVICES[device],
                    "precision": "fp32",
                    **_neusight_kernel(table, op, rows[i]),
                    "ms": f"{float(rows[i]['Latency']):.6g}",
                }


def _neusight_kernel(table: str, op: str, row: dict[str, str]) -> dict[str, Any]:
    """A product's sizes; of all else m is elements and k how many operands there are."""
    if table in ("bmm", "linear"):
        b, m, n, k = (int(float(row[name] or 1)) if name in row else 1 for name in "BMNK")
        if table == "linear":
            return {"kind": "product", "groups": 1, "m": b * m, "n": n, "k": k}
        return {"kind": "batched_product", "groups": b, "m": m, "n": n, "k": k}
    kind = {"ln": "layer_norm", "softmax": "softmax"}.get(table, "elementwise")
    elements = int(float(row["B"]) * float(row["H"]))
    return {
        "kind": kind,
        "groups": 0,
        "m": elements,
        "n": 0,
        "k": 2 if op in ("add", "mul") else 1,
    }


def _read(path: Path) -> Iterator[dict[str, str]]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    yield from csv.DictReader(text.decode().splitlines())


def _write(name: str, fields: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    lines = [",".join(fields), *(",".join(str(row[field]) for field in fields) for row in rows)]
    data = ("\n".join(lines) + "\n").encode()
    atomic_write(OUT / name, gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    print(f"{OUT / name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
