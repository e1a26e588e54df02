"""The sequence model: two faces that agree, vocabularies that grow, weights that follow the seed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError
from retrograd.models.encoder_decoder import OUTPUT_ROW, EncoderDecoder
from retrograd.models.token_input import TokenInput
from tests.catalogues import WIDTH, random_inputs, random_model, tables

CONFIG = EncoderDecoder(encoder=TokenInput(width=16, layers=1, heads=2, vocab_size=50), layers=1, heads=2)
TABLE = DocidTable.from_keys([[0, 4], [1, 3], [2, 0]], [0, 1, 2], ["a", "b", "c"], level_sizes=(3, 5))


@given(tables(), st.integers(0, 99), st.booleans(), st.sampled_from([2, 30]))
def test_cached_steps_give_the_teacher_forced_logits(table, seed, tied, slots):
    model, inputs = random_model(table, seed, tied=tied), random_inputs(2, seed, slots)
    keys = torch.randint(0, 4, (2, table.depth))
    with torch.no_grad():
        expected = model.logits(inputs, keys)
        cache = model.start(model.encode(inputs))
        for level in range(table.depth):
            token = None if level == 0 else keys[:, level - 1]
            logits, cache = model.step(cache, token)
            torch.testing.assert_close(logits, expected[:, level], atol=1e-4, rtol=1e-4)


@given(tables(), st.integers(0, 99))
def test_what_follows_a_token_and_padding_behind_a_key_do_not_change_its_logits(table, seed):
    model, inputs = random_model(table, seed), random_inputs(1, seed)
    keys = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        whole = model.logits(inputs, keys)
        torch.testing.assert_close(model.logits(inputs, torch.tensor([[1, 2, -1]])), whole)
        torch.testing.assert_close(model.logits(inputs, keys[:, :2]), whole[:, :2])


def test_tokens_a_level_does_not_have_score_minus_infinity():
    model = CONFIG.build(CONFIG.fit(["a text"]), TABLE)
    batch = model.encoder.collate(model.encoder.prepare(["a text"]), np.array([0]))
    logits = model.logits(batch, torch.tensor([[0, 4]]))
    assert logits.shape == (1, 2, 5)
    assert logits[0, 0].isinf().tolist() == [False, False, False, True, True]
    assert logits[0, 1].isfinite().all()


@given(tables(), st.integers(0, 99), st.integers(0, 3), st.booleans())
def test_growing_keeps_every_old_logit_and_makes_new_tokens_neither_preferred_nor_ruled_out(
    table, seed, more, tied
):
    model, inputs = random_model(table, seed, tied=tied), random_inputs(2, seed)
    keys = torch.randint(0, 4, (2, table.depth))
    with torch.no_grad():
        before = model.logits(inputs, keys)
        longer = (4 + more,) if table.shared_vocabulary else (2,)
        model.resize((4 + more,) * table.depth + longer)
        after = model.logits(inputs, keys)
        deeper = model.logits(inputs, torch.cat([keys, keys[:, :1] % 2], dim=1))
    torch.testing.assert_close(after[..., :4], before)
    torch.testing.assert_close(after[..., 4:], before.mean(-1, keepdim=True).expand_as(after[..., 4:]))
    assert deeper.shape[1] == table.depth + 1
    assert model.level_sizes == (4 + more,) * table.depth + longer


def test_a_vocabulary_does_not_shrink():
    model = CONFIG.build(CONFIG.fit(["a text"]), TABLE)
    with pytest.raises(ValueError, match="cannot shrink"):
        model.resize((3, 4))
    with pytest.raises(ValueError, match="cannot shrink"):
        model.resize((3,))


def test_weights_follow_the_seed_and_leave_the_global_generator_alone():
    state = CONFIG.fit(["a text of words"])
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, two, other = (CONFIG.build(state, TABLE, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["embedding"], other["embedding"])


def test_search_before_training_does_not_spoil_training():
    model = CONFIG.build(CONFIG.fit(["a text"]), TABLE)
    batch = model.encoder.collate(model.encoder.prepare(["a text"]), np.array([0]))
    with torch.inference_mode():
        model.step(model.start(model.encode(batch)))
    model.train()
    model.logits(batch, torch.tensor([[0, 4]]))[:, 1].logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("options", [{"layers": 0}, {"activation": "tanh"}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(ValueError):
        EncoderDecoder(**options)


def test_blanking_the_prefix_changes_training_and_nothing_else():
    config = EncoderDecoder(encoder=CONFIG.encoder, layers=1, heads=2, dropout=0.0, prefix_dropout=0.9)
    table = DocidTable.from_keys([[0, 1], [1, 0], [1, 1]], [0, 1, 2], ["a", "b", "c"], level_sizes=(2, 2))
    state = config.fit(["red boat", "blue house"] * 3)
    model = config.build(state, table)
    inputs = model.collate(model.prepare(["red boat"] * 2), np.arange(2))
    keys = torch.tensor([[0, 1], [1, 0]])
    model.eval()
    memory = model.encode(inputs)
    plain = model.decode(memory, keys)
    torch.testing.assert_close(model.decode(memory, keys), plain)
    model.train()
    torch.manual_seed(0)
    draws = torch.stack([model.decode(memory, keys) for _ in range(20)])
    torch.testing.assert_close(draws[:, :, 0], plain[None, :, 0].expand(20, -1, -1))  # no prefix yet
    assert (draws[:, :, 1] - plain[None, :, 1]).abs().amax() > 0


def test_a_grown_twin_shares_all_but_the_token_tables_and_holds_learnt_rows():
    table = DocidTable.from_keys([[0], [1], [2]], [0, 1, 2], ["a", "b", "c"], level_sizes=(3,))
    model = random_model(table, seed=0)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    row = np.arange(WIDTH, dtype=np.float32)
    twin = model.grown((5,), [((4,), {OUTPUT_ROW: row})])
    assert (model.level_sizes, twin.level_sizes) == ((3,), (5,))
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    np.testing.assert_array_equal(twin.output_rows(0)[4].detach().numpy(), row)
    assert torch.equal(twin.output_rows(0)[:3], model.output_rows(0))
    assert twin.begin is model.begin
    smaller = twin.grown((3,))
    assert torch.equal(smaller.output_rows(0), model.output_rows(0))
    with pytest.raises(ArtifactError, match="shape"):
        model.grown((4,), [((3,), {OUTPUT_ROW: row[:2]})])
