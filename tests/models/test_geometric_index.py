"""The network whose index learns: ties, gradient paths, and two faces of its decoder that agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from retrograd.docids.inputs import DocidInputs
from retrograd.docids.learned import LearnedCodes
from retrograd.models.dual_encoder import DualEncoder
from retrograd.models.geometric_decoder import CausalTransformer, LevelNetworks
from retrograd.models.geometric_index import GeometricIndex
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.token_input import TokenInput
from retrograd.quantizers.learned_tokens import LearnedTokens
from retrograd.quantizers.soft_residual import Scoring, SoftResidual
from retrograd.training.batches import Batch
from retrograd.training.objectives.indexing import JointIndexing
from retrograd.types import Corpus, Document
from tests.models.tiny_bert import TEXTS

CORPUS = Corpus(Document(str(row), text or "nothing") for row, text in enumerate(TEXTS))
DECODERS = [LevelNetworks(hidden=8), CausalTransformer(layers=2, heads=2)]
CONFIGS = {
    "networks": GeometricIndex(decoder=DECODERS[0]),
    "transformer": GeometricIndex(decoder=DECODERS[1]),
    "transformer over the query": GeometricIndex(decoder=replace(DECODERS[1], memory="query")),
    "transformer over nothing": GeometricIndex(decoder=replace(DECODERS[1], memory="none"), skip="none"),
    "codes as inputs": GeometricIndex(decoder=DECODERS[1], inputs="codes"),
    "codes as inputs of networks": GeometricIndex(decoder=DECODERS[0], inputs="codes", skip="none"),
    "fresh heads": GeometricIndex(decoder=DECODERS[0], heads="fresh"),
    "learnt tokens": GeometricIndex(decoder=DECODERS[0], quantizer=LearnedTokens()),
    "one scale": GeometricIndex(decoder=DECODERS[0], shared_scale=True),
    "no cosine": GeometricIndex(decoder=DECODERS[0], scoring=Scoring(cosine=False, scale="none")),
}
SPACES = {
    "heads": lambda tiny: DualEncoder(encoder=tiny),
    "one head": lambda tiny: DualEncoder(encoder=tiny, shared=True),
    "fine-tuned": lambda tiny: DualEncoder(encoder=tiny, trainable_encoder=True),
    "own transformer": lambda tiny: DualEncoder(encoder=TokenInput(width=16, layers=1, heads=2)),
    "attentive": lambda tiny: DualEncoder(encoder=tiny, trainable_encoder=True, pool="attention"),
}


def over(encoder, name, **choices):
    return replace(CONFIGS[name], space=DualEncoder(encoder=encoder, **choices))


def inputs(encoder):
    built = encoder.build(encoder.fit(CORPUS.contents))
    return DocidInputs(
        corpus=CORPUS, seed=0, vectors=lambda config, of: built.encode_document(CORPUS.contents)
    )


def build(config, encoder, *, moved=True, seed=3):
    table = LearnedCodes(encoder=encoder, codes=(4, 3, 2)).assign(inputs(encoder))
    model = config.build(config.fit(CORPUS.contents), table, seed).eval()
    if moved:
        torch.manual_seed(1)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
    return model


@pytest.fixture(params=CONFIGS)
def model(request, tiny):
    return build(over(tiny, request.param), tiny)


def batch_of(model, rows=(0, 1, 3, 6)):
    rows = torch.tensor(rows)
    queries = model.prepare(CORPUS.contents)
    documents = model.prepare(CORPUS.contents, "document")
    return Batch(
        model.collate(queries, rows.numpy()),
        rows,
        keys=torch.tensor(model.document_codes(model.document_vectors(CORPUS.contents))[rows]),
        document_inputs=lambda wanted: model.collate(documents, wanted.numpy()),
        num_documents=len(CORPUS),
        progress=0.5,
    )


@torch.no_grad()
def test_steps_give_the_scores_that_training_sees(model):
    memory = model.encode(batch_of(model).inputs)
    codes = torch.tensor([[3, 0, 1], [0, 2, 0], [1, 1, 1], [2, 0, 0]])
    whole = model.code_scores(memory, model.quantizer.lookup(codes).cumsum(dim=1))
    cache, token, parent = model.start(memory), None, None
    for level in range(model.depth):
        scores, cache = model.step(cache, token, parent)
        torch.testing.assert_close(scores, whole[level], atol=1e-5, rtol=1e-4)
        token, parent = codes[:, level], torch.arange(4)


@torch.no_grad()
def test_beams_follow_their_parents(model):
    memory = model.encode(batch_of(model).inputs)
    _, cache = model.step(model.start(memory))
    token, parent = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3]), torch.arange(4).repeat_interleave(2)
    both, _ = model.step(cache, token, parent)
    for row in range(8):
        query = row // 2
        alone = replace(memory, states=memory.states[[query]], where=memory.where[[query]])
        _, single = model.step(model.start(alone))
        scores, _ = model.step(single, token[[row]], torch.zeros(1, dtype=torch.int64))
        torch.testing.assert_close(both[[row]], scores, atol=1e-5, rtol=1e-4)


def test_tied_heads_are_the_codebooks_and_cost_nothing(tiny):
    tied = build(over(tiny, "networks"), tiny)
    assert all(tied.head(at).data_ptr() == tied.quantizer.codebooks[at].data_ptr() for at in range(3))
    fresh = build(over(tiny, "fresh heads"), tiny)
    assert fresh.head(0).data_ptr() != fresh.quantizer.codebooks[0].data_ptr()
    extra = sum(p.numel() for p in fresh.parameters()) - sum(p.numel() for p in tied.parameters())
    assert extra == sum(size * 16 for size in tied.level_sizes)


def test_an_untrained_decoder_points_at_what_is_left_to_say(tiny):
    model = build(over(tiny, "networks"), tiny, moved=False)
    memory = model.encode(batch_of(model).inputs)
    first = model.code_scores(memory, torch.zeros(4, 3, 16))[0]
    expected = model.scores(memory.states[:, 0], model.head(0), 0)
    torch.testing.assert_close(first, expected)


@pytest.mark.parametrize("gradient", ["gumbel", "ste", "detached"])
@pytest.mark.parametrize("skip", ["remaining", "none"])
def test_retrieval_gradients_reach_the_item_encoder_unless_detached(tiny, gradient, skip):
    config = GeometricIndex(
        space=DualEncoder(encoder=tiny, dropout=0.0),
        quantizer=SoftResidual(gradient=gradient),
        decoder=DECODERS[0],
        skip=skip,
    )
    model = build(config, tiny).train()
    only = JointIndexing(reconstruction=0, commitment=0, contrastive=0, diversity=0)
    terms = only(model, batch_of(model))
    assert set(terms) == {"next_code"}
    terms["next_code"].backward()
    reached = model.space.towers.document_head.change[-1].weight.grad
    if gradient == "detached":
        assert reached is None or not reached.any()
    else:
        assert reached.abs().max() > 0
    assert model.space.towers.query_head.change[-1].weight.grad.abs().max() > 0


def test_a_fixed_index_sends_no_retrieval_gradient_to_documents(tiny):
    model = build(over(tiny, "networks", dropout=0.0), tiny).train()
    terms = JointIndexing(targets="table", contrastive=0)(model, batch_of(model))
    terms["next_code"].backward()
    assert model.space.towers.document_head.change[-1].weight.grad is None


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
@pytest.mark.parametrize("decoder", DECODERS, ids=["networks", "transformer"])
def test_every_encoder_trains_and_finds_its_own_codes(tiny, space, decoder):
    config = GeometricIndex(space=space(tiny), decoder=decoder)
    model = build(config, tiny, moved=False).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for step in range(12):
        torch.manual_seed(step)
        loss = sum(JointIndexing(noise=0.0)(model, batch_of(model)).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses) < losses[0]  # how it goes on is the processor's business at this rate
    vectors = model.document_vectors(CORPUS.contents)
    assert model.document_codes(vectors).shape == (len(CORPUS), 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_one_scale_is_the_quantisers_and_follows_it(tiny):
    shared, apart = build(over(tiny, "one scale"), tiny), build(over(tiny, "networks"), tiny)
    names = set(apart.state_dict()) - set(shared.state_dict())
    assert names == {"scores.log_scale"}
    memory = shared.encode(batch_of(shared).inputs)
    before = shared.code_scores(memory, torch.zeros(4, 3, 16))[0]
    with torch.no_grad():
        shared.quantizer.scores.log_scale.sub_(np.log(2.0))
    torch.testing.assert_close(shared.code_scores(memory, torch.zeros(4, 3, 16))[0], before / 2)
    with pytest.raises(ValueError, match="shared_scale"):
        GeometricIndex(shared_scale=True, scoring=Scoring(scale="fixed"))


def test_running_shares_are_kept_and_saved_only_where_wanted(tiny):
    plain = build(over(tiny, "networks"), tiny)
    keeps = build(replace(over(tiny, "networks"), usage_decay=0.9), tiny)
    assert plain.wanted is None
    assert plain.used is None
    extra = set(keeps.state_dict()) - set(plain.state_dict())
    assert extra == {f"{name}.level_{level}" for name in ("wanted", "used") for level in range(3)}
    with pytest.raises(ValueError, match="usage_decay"):
        GeometricIndex(usage_decay=1.0)


@pytest.mark.parametrize("hidden", [0, 5])
def test_learnt_tokens_restart_as_clusters_of_themselves(tiny, hidden):
    config = replace(over(tiny, "learnt tokens"), quantizer=LearnedTokens(hidden=hidden), heads="copied")
    model = build(config, tiny)
    vectors = model.document_vectors(CORPUS.contents)
    model.restart_codes(vectors, seed=0)
    tokens = model.quantizer.tokens(torch.tensor(vectors)).detach()
    found = model.quantizer.lookup(torch.tensor(model.document_codes(vectors))).detach()
    assert torch.nn.functional.cosine_similarity(tokens, found, dim=-1).mean() > 0.8
    for level, book in enumerate(model.codebooks):
        np.testing.assert_allclose(model.head(level).detach().numpy(), book, atol=1e-6)


def test_codes_restart_as_clusters_of_the_present_vectors(tiny):
    model = build(over(tiny, "networks"), tiny)
    before = model.codebooks
    model.restart_codes(model.document_vectors(CORPUS.contents), seed=0)
    after = model.codebooks
    assert [book.shape for book in after] == [book.shape for book in before]
    assert all(not np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    vectors = model.document_vectors(CORPUS.contents)
    rebuilt = model.reconstruct(model.document_codes(vectors))
    assert (vectors * rebuilt).sum() / np.linalg.norm(rebuilt, axis=1).sum() > 0.8


def test_a_space_of_another_width_starts_its_codes_at_random(tiny):
    model = build(GeometricIndex(space=DualEncoder(encoder=TokenInput(width=12, heads=2))), tiny)
    assert model.codebooks[0].shape == (4, 12)


def test_a_scheme_without_codebooks_is_refused():
    from retrograd.docids.atomic import Atomic

    encoder = TfidfSvd(dimensions=4)
    with pytest.raises(ValueError, match="codebooks"):
        GeometricIndex(space=DualEncoder(encoder=encoder)).build(
            encoder.fit(CORPUS.contents), Atomic().assign(inputs(encoder))
        )
    with pytest.raises(ValueError, match="heads"):
        GeometricIndex(heads="loose")
