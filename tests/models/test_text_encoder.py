import copy
import json
import shutil
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
import torch

from retrograd.errors import ArtifactError
from retrograd.models.pretrained import WHEEL
from retrograd.models.text_encoder import MiniLM, SentenceEncoder, encode_as, mean_pool
from tests.models.tiny_bert import TEXTS


def directly(encoder: SentenceEncoder, text: str) -> np.ndarray:
    """One text, one forward pass, no padding: the definition."""
    ids = torch.tensor([encoder._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids])
    with torch.inference_mode():
        mean = encoder._network(input_ids=ids).last_hidden_state[0].mean(0)
    return (mean / mean.norm()).numpy()


def test_batches_change_no_vector(tiny):
    encoder = tiny.build({})
    vectors = encoder.encode_document(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [directly(encoder, text) for text in TEXTS], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(encode_as(encoder, TEXTS, "query"), encode_as(encoder, TEXTS, "document"))


def test_the_real_encoder_equals_direct_computation():
    try:
        metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{WHEEL} is not installed")
    encoder = MiniLM().build({})
    texts = ["What is dense retrieval?", "Retrieval by vectors. " * 80, ""]
    vectors = encoder.encode_query(texts)
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(vectors, [directly(encoder, text) for text in texts], atol=1e-5)
    near = encoder.encode_query(["A man is eating food.", "A man eats something.", "The cat chases a mouse."])
    assert near[0] @ near[1] > 0.7 > 0.3 > near[0] @ near[2]


def test_nothing_in_gives_nothing_out(tiny):
    encoder = tiny.build(tiny.fit([]))
    assert encoder.encode_query([]).shape == (0, 16)
    assert len(encoder.token_states([])) == len(encoder.tokenize([])) == 0


def test_long_texts_are_cut_and_very_long_ones_harmless(tiny):
    tokens = tiny.build({}).tokenize(["fox " * 25_000, "fox"])
    assert tokens.lengths.tolist() == [32, 3]


def test_token_states_are_those_whose_mean_is_the_vector(tiny):
    encoder = tiny.build({})
    states, where = encoder.token_states(TEXTS).padded(np.arange(len(TEXTS)))
    np.testing.assert_allclose(mean_pool(states.float(), where), encoder.encode_query(TEXTS), atol=2e-3)


def test_whatever_changes_vectors_changes_the_fingerprint(tiny, tmp_path):
    fingerprints = {tiny.build({}).fingerprint}
    fingerprints.add(replace(tiny, max_tokens=16).build({}).fingerprint)
    fingerprints.add(replace(tiny, precision="bf16").build({}).fingerprint)
    assert len(fingerprints) == 3
    assert tiny.build({}).fingerprint in fingerprints


def test_half_precision_is_near(tiny):
    half = replace(tiny, precision="bf16").build({}).encode_query(TEXTS)
    assert half.dtype == np.float32
    assert (half * tiny.build({}).encode_query(TEXTS)).sum(1).min() > 0.99


def test_loading_leaves_the_callers_random_numbers_alone(tiny):
    torch.manual_seed(5)
    tiny.build({}).trainable_copy(0.0)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))


def test_one_process_loads_once_and_copies_share(tiny):
    encoder = tiny.build({})
    assert tiny.build({}) is encoder
    assert copy.deepcopy(encoder) is encoder
    assert not any(parameter.requires_grad for parameter in encoder._network.parameters())


def test_weights_of_other_sizes_than_the_configuration_are_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny.source, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 8}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"does not fit config\.json"):
        replace(tiny, source=str(folder)).build({}).encode_query(["fox"])


@pytest.mark.parametrize("wrong", [{"max_tokens": 1}, {"max_tokens": 513}, {"precision": "fp8"}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MiniLM(**wrong)
