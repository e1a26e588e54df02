"""Vectors to codes and back. Knows arrays only: neither documents nor keys.

numpy at the door; the same seed on the same machine gives the same bytes.
"""

from retrograd.quantizers.autoencoder import AutoencoderQuantizer, ResidualAutoencoder
from retrograd.quantizers.kmeans import assign_nearest, kmeans, squared_distances
from retrograd.quantizers.product import ProductQuantizer
from retrograd.quantizers.residual import ResidualKMeans, ResidualQuantizer
from retrograd.quantizers.rotation import OptimisedProduct

Quantizer = ProductQuantizer | ResidualQuantizer | AutoencoderQuantizer
"""Codebooks, fitted: all of them `encode`, `decode`, say `last_distances` and keep a `state`."""

QUANTIZERS: dict[str, type[Quantizer]] = {
    "product": ProductQuantizer,
    "residual": ResidualQuantizer,
    "residual_autoencoder": AutoencoderQuantizer,
}
"""Quantisers by the name a config uses."""

CONFIGS = (OptimisedProduct, ResidualAutoencoder, ResidualKMeans)
"""How quantisers are fitted that leave a choice; what a saved recipe may name."""

__all__ = [
    "CONFIGS",
    "QUANTIZERS",
    "AutoencoderQuantizer",
    "OptimisedProduct",
    "ProductQuantizer",
    "Quantizer",
    "ResidualAutoencoder",
    "ResidualKMeans",
    "ResidualQuantizer",
    "assign_nearest",
    "kmeans",
    "squared_distances",
]
