"""What an architecture's objective probably is, and how sure: models fitted to what was told."""

from nas.search.surrogates.adaptive import AdaptiveSurrogate
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.protocol import Surrogate
from nas.search.surrogates.ridge import RidgeEnsemble

__all__ = [
    "AdaptiveSurrogate",
    "GaussianProcess",
    "RidgeEnsemble",
    "Surrogate",
]
