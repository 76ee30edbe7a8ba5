"""The supernet: one set of shared weights for every architecture of a space."""

from __future__ import annotations

from supernet.supernet import Supernet

__all__ = ["Supernet"]
