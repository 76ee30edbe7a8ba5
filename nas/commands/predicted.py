"""The parts of `nas predict`'s answer that are the same for every kind of prediction."""

from __future__ import annotations

from typing import Any

from nas.latency.prediction import Prediction
from nas.latency.target import Target
from nas.units import format_ms


def document_of(
    network: str, id: str | None, target: Target, found: Prediction, confidence: float
) -> dict[str, Any]:
    """For `--json`."""
    ms = float(found.ms[0])
    return {
        "network": network,
        **({} if id is None else {"id": id}),
        "target": target.to_dict(),
        "latency_ms": ms,
        "low_ms": float(found.low_ms[0]),
        "high_ms": float(found.high_ms[0]),
        "confidence": confidence,
        "throughput_img_s": 1000.0 * target.images / ms,
    }


def headline(document: dict[str, Any]) -> str:
    """The prediction in one line."""
    ms, low, high = (format_ms(document[f]) for f in ("latency_ms", "low_ms", "high_ms"))
    name = document.get("id", document["network"])
    interval = f"{low} to {high}, {document['confidence'] * 100:g} % interval"
    return f"{name}: predicted {ms} ({interval}), {document['throughput_img_s']:,.0f} images/s"
