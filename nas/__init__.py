"""Neural architecture search for vision: from a space to a network that fits the hardware.

The flow is `search_spaces` -> `supernet` -> `nas`; `nas/pipeline.py` is all of it in one function.
"""

from __future__ import annotations

__version__ = "0.1.0"
