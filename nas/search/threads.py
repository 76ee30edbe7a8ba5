"""NumPy's linear algebra on one thread.

The last bits of a matrix product depend on the number of threads, but a searcher's choices must
not. One thread is also the fastest for the small matrices of a search.
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
    """Cached, because looking through the loaded libraries takes 10 ms."""
    import scipy.linalg  # noqa: F401  (brings a BLAS library of its own, found only once loaded)

    return threadpoolctl.ThreadpoolController()
