"""Correcting a prediction by about ten measured networks (few-shot).

    ms(x) = sum over k of  c_k f_k(x),     log c ~ Normal(m, L L'),     log ms has noise s

    f   terms of a network: milliseconds on a reference device (host time, time of each class of
        launch, ...) or counts; none negative, (networks, k)
    c   how the measured device differs in each term, positive, (k,); 1 is the reference itself
    u   the same, whitened: log c = m + L u

The fit takes the most probable u, see `least_squares.py`. The noise s, and how far this device
strays from the prior, are those of the greatest evidence (Laplace's approximation). The 90 %
interval is conformal on the errors of the measured networks, each predicted by a fit to the
others. Without even a rough idea of the terms use `whole_networks.py`.

Papers: MacKay 1992, Bayesian interpolation (evidence), https://doi.org/10.1162/neco.1992.4.3.415;
Barber et al. 2021, Predictive inference with the jackknife+, https://arxiv.org/abs/1905.02928
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.errors import SettingsError
from nas.latency.prediction import Prediction, conformal_half_width
from nas.latency.profiles.held_out import leave_one_out
from nas.latency.profiles.least_squares import PriorFit, fit_around_prior

Floats = NDArray[np.float64]
NOISES = (0.003, 0.01, 0.03, 0.1)
"""Standard deviations of log ms that are tried."""
STRAYS = (1.0, 3.0)
"""Factors on the prior's standard deviations that are tried."""


@dataclass(frozen=True)
class Prior:
    """What is known of log c before anything is measured: a normal distribution."""

    mean: Floats
    """(k,)"""
    covariance: Floats
    """(k, k)"""

    @classmethod
    def around(cls, coefficients: Floats, spread: float = 0.5, common: float = 0.5) -> Prior:
        """Around known coefficients.

        Args:
            spread: Each c is off by a factor of about exp(spread) on its own.
            common: All c are off together by a factor of about exp(common).
        """
        log = np.log(_positive("Coefficients", coefficients, 1))
        return cls(log, spread**2 * np.eye(len(log)) + common**2)

    def root(self) -> Floats:
        """L, (k, rank)."""
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > 1e-10 * values[-1]
        return np.asarray(vectors[:, kept] * np.sqrt(values[kept]), dtype=np.float64)


@dataclass(frozen=True)
class FewShot:
    """Predicts one device; made by `fit`."""

    coefficients: Floats
    """c, (k,)."""
    noise: float
    """s: estimated noise of log milliseconds."""
    held_out_ms: Floats
    """Each measured network, predicted by a fit to the others, (n,)."""
    log_half_width: float
    """The 90 % interval is a factor of exp(this) to either side."""

    def predict(self, features: Floats) -> Prediction:
        """Latency and 90 % interval of networks with these terms, (networks, k)."""
        features = checked_terms(features, len(self.coefficients))
        return Prediction.around(features @ self.coefficients, self.log_half_width)


def fit(features: Floats, measured_ms: Floats, prior: Prior | None = None) -> FewShot:
    """Fit the coefficients of a device to a few networks measured on it.

    With fewer than nine networks the interval is the largest error seen and covers n / (n + 1) of
    all networks.

    Args:
        features: Terms of the measured networks, (n, k).
        measured_ms: Their latencies, (n,).
        prior: Of the coefficients; by default around 1.

    Raises:
        SettingsError: shapes that do not match, fewer than three networks, or wrong numbers.
    """
    measured = _positive("Measured latencies", measured_ms, 1)
    prior = prior or near_one(features)
    features = checked_terms(features, len(prior.mean))
    if len(features) != len(measured) or len(measured) < 3:
        raise SettingsError(
            f"Got {len(measured)} latencies and the terms of {len(features)} networks: "
            "give as many of both, and three at least."
        )
    held_out = leave_one_out(
        features, measured, lambda f, ms: _most_probable(f, ms, prior).coefficients
    )
    found = _most_probable(features, measured, prior)
    return FewShot(
        coefficients=found.coefficients,
        noise=found.noise,
        held_out_ms=held_out,
        log_half_width=conformal_half_width(held_out, measured),
    )


def checked_terms(features: Floats, k: int) -> Floats:
    """Terms of networks as an array (networks, k).

    Raises:
        SettingsError: another shape, negative or infinite terms, or a network without any.
    """
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != k:
        raise SettingsError(
            f"Terms of networks have the shape {values.shape}: give (networks, {k})."
        )
    if not np.isfinite(values).all() or (values < 0).any() or (values.sum(axis=1) <= 0).any():
        raise SettingsError(
            "Terms of a network have to be finite, none negative, and not all of them zero."
        )
    return values


def near_one(features: Floats) -> Prior:
    """The prior of a device that is about as fast as the reference."""
    return Prior.around(np.ones(np.shape(features)[-1] if np.ndim(features) else 1))


def _most_probable(features: Floats, measured: Floats, prior: Prior) -> PriorFit:
    """The fit with the noise and the stray of the greatest evidence."""
    root, log_ms = prior.root(), np.log(measured)
    fits = (
        fit_around_prior(features, log_ms, prior.mean, stray * root, noise)
        for stray in STRAYS
        for noise in NOISES
    )
    return max(fits, key=lambda one: one.log_evidence)


def _positive(what: str, values: Floats, dimensions: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or not np.isfinite(array).all() or (array <= 0).any():
        raise SettingsError(
            f"{what} have to be positive numbers in {dimensions} dimension(s), "
            f"got {np.array2string(array, threshold=5, precision=4)}."
        )
    return array
