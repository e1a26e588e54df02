"""Vectors to codes and back. Knows arrays only: neither documents nor keys.

numpy at the door; the same seed on the same machine gives the same bytes.
"""

from retrograd.quantizers.kmeans import assign_nearest, kmeans, squared_distances
from retrograd.quantizers.product import ProductQuantizer
from retrograd.quantizers.residual import ResidualQuantizer

QUANTIZERS: dict[str, type[ProductQuantizer] | type[ResidualQuantizer]] = {
    "product": ProductQuantizer,
    "residual": ResidualQuantizer,
}
"""Quantisers by the name a config uses."""

__all__ = [
    "QUANTIZERS",
    "ProductQuantizer",
    "ResidualQuantizer",
    "assign_nearest",
    "kmeans",
    "squared_distances",
]
