"""The supernet: one set of shared weights for every architecture of a space.

`Supernet` is imported when it is first used, so that `supernet.scores` imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supernet.supernet import Supernet

__all__ = ["Supernet"]


def __getattr__(name: str) -> Any:
    """Import `Supernet` when it is first asked for."""
    if name != "Supernet":
        raise AttributeError(f"module 'supernet' has no attribute '{name}'")
    from supernet.supernet import Supernet

    return Supernet
