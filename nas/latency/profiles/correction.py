"""A device from ten measured networks: a few terms per network, a prior, and what was measured.

    ms(x) = sum over k of  c_k f_k(x),     log c ~ Normal(m, L L'),     log ms has noise s

    f   terms of a network in milliseconds on some reference (host time, time of each class of
        kernel, ...) or counts; none negative, (networks, k)
    c   what the device makes of each term, positive, (k,); 1 is the reference itself
    u   the same, whitened: log c = m + L u
    J   d log ms / d u of the measured networks, (n, rank)

Where no term is known, not even roughly, what a kernel takes is found by `whole_networks.py`.

Fitted is the most probable u. The noise s, and how far this device strays from the prior, are
those of the greatest evidence (Laplace's approximation). The 90 % interval is conformal on the
error of each measured network when all else is fitted to the others.

Papers: MacKay 1992, Bayesian interpolation (evidence), https://doi.org/10.1162/neco.1992.4.3.415;
Barber et al. 2021, Predictive inference with the jackknife+, https://arxiv.org/abs/1905.02928
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.errors import SettingsError
from nas.latency.prediction import Prediction, conformal_half_width

Floats = NDArray[np.float64]
NOISES = (0.003, 0.01, 0.03, 0.1)
"""Standard deviations of log ms that are tried."""
STRAYS = (1.0, 3.0)
"""Factors on the prior's standard deviations that are tried."""
EXPECTED_NOISE = 0.02
"""Standard deviation of log ms that choosing assumes, before anything is measured."""
POOL = 2000
"""Networks among which the ones to measure are chosen."""


@dataclass(frozen=True)
class Prior:
    """What is believed of log c before anything is measured."""

    mean: Floats
    """(k,)"""
    covariance: Floats
    """(k, k)"""

    @classmethod
    def around(cls, coefficients: Floats, spread: float = 0.5, common: float = 0.5) -> Prior:
        """Each c within a factor exp(spread) of its own, and all together within exp(common)."""
        log = np.log(_positive("Coefficients", coefficients, 1))
        return cls(log, spread**2 * np.eye(len(log)) + common**2)

    @classmethod
    def of_devices(cls, coefficients: Floats, spread: float = 0.05, common: float = 1.0) -> Prior:
        """Like other devices, as far as these agree with each other.

        Args:
            coefficients: Of each other device, (devices, k).
            spread: Relative, of each c beyond what the other devices show.
            common: Of all c together: a device is slower or faster by about exp(common).
        """
        log = np.log(_positive("Coefficients of devices", coefficients, 2))
        if len(log) < 2:
            raise SettingsError(
                f"A prior from other devices needs at least two, got {len(log)}. "
                "Use `Prior.around` where one is known."
            )
        differences = np.cov(log - log.mean(axis=1, keepdims=True), rowvar=False)
        own = spread**2 * np.eye(log.shape[1]) + common**2
        return cls(log.mean(axis=0), np.atleast_2d(differences) + own)

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
    """s: what the fit takes the networks' own scatter to be."""
    held_out_ms: Floats
    """Each measured network, predicted by a fit to the others, (n,)."""
    log_half_width: float
    """Of the 90 % interval of log ms."""

    def predict(self, features: Floats) -> Prediction:
        """Latency and 90 % interval of networks with these terms, (networks, k)."""
        features = _terms(features, len(self.coefficients))
        ms, factor = features @ self.coefficients, math.exp(self.log_half_width)
        return Prediction(ms, ms / factor, ms * factor)


def choose(
    features: Floats, n: int, rng: np.random.Generator, prior: Prior | None = None
) -> NDArray[np.int64]:
    """Which networks to measure: each next one makes all others the most certain.

    Greedy on the summed variance of log ms around the prior's mean. It depends on the terms
    alone: nothing has to be measured to choose.

    Args:
        features: Terms of the candidates, (candidates, k).
        n: How many.
        rng: Draws the candidates that are looked at, where there are more than `POOL`.
        prior: What `fit` will be given.

    Returns:
        Rows of `features`, (n,), the most telling first.

    Raises:
        SettingsError: wrong terms, or not that many candidates.
    """
    prior = prior or _near_one(features)
    features = _terms(features, len(prior.mean))
    if not 1 <= n <= len(features):
        raise SettingsError(f"Cannot choose {n} of {len(features)} networks.")
    pool = rng.permutation(len(features))[: max(POOL, n)]
    rows = _log_sum(features[pool], prior.mean)[1] @ prior.root()
    chosen: list[int] = []
    for _ in range(n):
        shared = ((rows @ (rows.T @ rows)) * rows).sum(axis=1)
        gains = shared / ((rows**2).sum(axis=1) + EXPECTED_NOISE**2)
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
        row = rows[chosen[-1]]
        norm = max(float(row @ row), 1e-300)
        left = EXPECTED_NOISE / math.sqrt(EXPECTED_NOISE**2 + norm)
        # rows @ rows.T is the covariance that is left: a rank-one update of its root.
        rows = rows - np.outer(rows @ row, row) * ((1.0 - left) / norm)
    return pool[chosen].astype(np.int64)


def fit(features: Floats, measured_ms: Floats, prior: Prior | None = None) -> FewShot:
    """Fit a device to a few networks that were measured on it.

    With fewer than nine of them the interval is the largest error seen, and covers n / (n + 1).

    Args:
        features: Terms of the measured networks, (n, k).
        measured_ms: Their latencies, (n,).
        prior: Of the coefficients; if None, near 1.

    Raises:
        SettingsError: shapes that do not fit, fewer than three networks, or wrong numbers.
    """
    measured = _positive("Measured latencies", measured_ms, 1)
    prior = prior or _near_one(features)
    features = _terms(features, len(prior.mean))
    if len(features) != len(measured) or len(measured) < 3:
        raise SettingsError(
            f"Got {len(measured)} latencies and the terms of {len(features)} networks: "
            "give as many of both, and three at least."
        )
    everyone = np.arange(len(measured))
    held_out = [
        features[i] @ _likeliest(features[everyone != i], measured[everyone != i], prior).c
        for i in everyone
    ]
    all_of_them = _likeliest(features, measured, prior)
    return FewShot(
        coefficients=all_of_them.c,
        noise=all_of_them.noise,
        held_out_ms=np.array(held_out),
        log_half_width=conformal_half_width(np.array(held_out), measured),
    )


class _Fit(NamedTuple):
    log_evidence: float
    noise: float
    c: Floats


def _likeliest(features: Floats, measured: Floats, prior: Prior) -> _Fit:
    """The fit at the noise and stray of the greatest evidence."""
    root, log_ms = prior.root(), np.log(measured)
    fits = (
        _most_probable(features, log_ms, prior.mean, stray * root, noise)
        for stray in STRAYS
        for noise in NOISES
    )
    return max(fits, key=lambda fit: fit.log_evidence)


def _most_probable(
    features: Floats, log_ms: Floats, mean: Floats, root: Floats, noise: float
) -> _Fit:
    """Gauss-Newton on |error / noise|^2 + |u|^2, its steps halved until they help."""

    def loss(u: Floats) -> float:
        error = (log_ms - _log_sum(features, mean + root @ u)[0]) / noise
        return float(error @ error + u @ u)

    u = np.zeros(root.shape[1])
    least = loss(u)
    while True:
        predicted, shares = _log_sum(features, mean + root @ u)
        jacobian = shares @ root
        covariance = jacobian @ jacobian.T + noise**2 * np.eye(len(log_ms))
        residual = log_ms - predicted + jacobian @ u  # at u = 0, linearised here
        weights = np.linalg.solve(covariance, residual)
        step = jacobian.T @ weights - u
        shorter = ((loss(v), v) for v in (u + step * 0.5**i for i in range(12)))
        better = next((pair for pair in shorter if pair[0] < least * (1.0 - 1e-6)), None)
        if better is None:
            evidence = -0.5 * (residual @ weights + np.linalg.slogdet(covariance)[1])
            return _Fit(float(evidence), noise, np.exp(mean + root @ u))
        least, u = better


def _log_sum(features: Floats, log_c: Floats) -> tuple[Floats, Floats]:
    """Log ms, (n,), and its derivatives by log c, which are the terms' shares of ms, (n, k)."""
    terms = features * np.exp(log_c)
    total = terms.sum(axis=1)
    return np.log(total), terms / total[:, None]


def _near_one(features: Floats) -> Prior:
    return Prior.around(np.ones(np.shape(features)[-1] if np.ndim(features) else 1))


def _terms(features: Floats, k: int) -> Floats:
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


def _positive(what: str, values: Floats, dimensions: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or not np.isfinite(array).all() or (array <= 0).any():
        raise SettingsError(
            f"{what} have to be positive numbers in {dimensions} dimension(s), "
            f"got {np.array2string(array, threshold=5, precision=4)}."
        )
    return array
