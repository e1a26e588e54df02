"""Product quantisation: each piece is coded on its own."""

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.quantizers.product import ProductQuantizer


def test_a_piece_that_changes_only_changes_its_own_code():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(100, 9)).astype(np.float32)
    quantizer = ProductQuantizer.fit(vectors, 3, 8, seed=0)
    changed = vectors.copy()
    changed[:, 3:6] = rng.normal(size=(100, 3))
    same = quantizer.encode(vectors) == quantizer.encode(changed)
    assert same[:, [0, 2]].all()
    assert not same[:, 1].all()


@pytest.mark.parametrize("subspaces", range(1, 8))
def test_widths_differ_by_one_at_most_and_cover_all_dimensions(subspaces):
    quantizer = ProductQuantizer.fit(np.random.default_rng(0).normal(size=(30, 7)), subspaces, 4, seed=0)
    widths = [codebook.shape[1] for codebook in quantizer.codebooks]
    assert sum(widths) == 7
    assert max(widths) - min(widths) <= 1


def test_more_pieces_than_dimensions_are_refused():
    with pytest.raises(InputError, match="the 3 dimensions"):
        ProductQuantizer.fit(np.ones((4, 3)), 4, 2, seed=0)
