"""The dynamic spectrum equals SciPy's cosine transforms with the weights of its equation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.fft import dctn, idctn

from search_spaces.mixers.spectral.dct import DCT, DCTOptions


@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("filters", [2, 4])
@pytest.mark.parametrize("size", [(14, 14), (6, 5), (1, 1)])
def test_the_dynamic_spectrum_equals_its_equation(
    width: int, filters: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    own = DCT(width, DCTOptions(filters)).double()
    torch.nn.init.normal_(own.spectra)
    x = torch.randn(2, width, *size, dtype=torch.float64)
    spectra = own.spectra
    if size != (14, 14):
        spectra = F.interpolate(spectra[None], size, mode="bilinear", align_corners=True)[0]
    y = own(x)
    for image in range(2):
        mean = x[image].mean((1, 2))
        hidden = F.gelu(own.reduce.weight @ mean + own.reduce.bias)
        scores = torch.stack([layer.weight @ hidden + layer.bias for layer in own.weigh])
        shares = scores.exp() / scores.exp().sum(0)  # (filters, C)
        for channel in range(width):
            weights = sum(shares[f, channel] * spectra[f] for f in range(filters)).detach().numpy()
            spectrum = dctn(x[image, channel].numpy(), norm="ortho")
            expected = torch.tensor(idctn(weights * spectrum, norm="ortho"))
            torch.testing.assert_close(y[image, channel], expected, rtol=0, atol=1e-10)
