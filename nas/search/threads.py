"""NumPy's linear algebra on one thread.

The last bits of a matrix product depend on the number of threads, and a searcher's choices must
not. For the small matrices of a search one thread is also the fastest.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import threadpoolctl


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which NumPy and SciPy use a single thread for matrix products and solvers."""
    limits: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limits


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    """Made once: looking through the loaded libraries takes 10 ms."""
    import scipy.linalg  # noqa: F401  (brings a BLAS library of its own, found only once loaded)

    return threadpoolctl.ThreadpoolController()
