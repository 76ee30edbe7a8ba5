"""How many threads torch uses for a while.

On one, results do not depend on how many a machine has: sums of several differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Torch on `n` threads within the block."""
    import torch  # takes seconds, and not all who ask for threads have it already

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
