"""Memory: live scores, writes, versions, staleness and files."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from retrograd.errors import ArtifactError, InputError
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Uniform, Union
from retrograd.indexes.refresh import Drift, Every, Never
from retrograd.indexes.retrieve import retrieve
from retrograd.models.scores import Cosine
from retrograd.ops.labels import Label

N, D, B = 40, 5, 3


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


KEYS, QUERIES = drawn(N, D), drawn(B, D, seed=1)


def test_ids_are_found_by_the_index_and_scores_are_live():
    memory = Memory(KEYS, drawn(N, 2, seed=2), ids=torch.arange(N) + 100)
    hits = memory.search(QUERIES, TopK(6))
    best = (QUERIES @ KEYS.T).topk(6)
    assert torch.equal(hits.ids, best.indices + 100)
    torch.testing.assert_close(hits.scores, best.values)
    torch.testing.assert_close(hits.values, memory.values[best.indices])
    assert hits.label is Label.BIASED
    assert hits.head.all()
    assert torch.equal(memory.gather(hits.ids), hits.values)


def test_queries_may_have_any_leading_shape():
    memory = Memory(KEYS, drawn(N, 2, 3, seed=2))
    queries = drawn(2, 3, 4, D, seed=3)
    hits = memory.search(queries, TopK(5))
    assert hits.where.shape == (2, 3, 4, 5)
    assert hits.values.shape == (2, 3, 4, 5, 2, 3)
    one = memory.search(queries[1, 2, 3], TopK(5))
    torch.testing.assert_close(one.scores, hits.scores[1, 2, 3])
    assert one.ids.shape == (5,)
    assert memory(queries, TopK(5), temperature=0.5).shape == (2, 3, 4, 2, 3)


def test_by_cosine_the_index_and_the_score_agree():
    memory = Memory(KEYS * torch.linspace(0.1, 5, N).unsqueeze(1), metric="cosine")
    hits = memory.search(QUERIES, TopK(N))
    assert (hits.scores.diff(dim=-1) <= 1e-12).all()
    other = memory.search(QUERIES, TopK(N), score=Cosine())
    torch.testing.assert_close(other.scores, hits.scores)
    assert hits.head.all()
    assert not memory.search(QUERIES, TopK(3), score=Cosine()).head.any()


def test_rows_that_are_not_hit_get_no_gradient():
    memory = Memory(KEYS, drawn(N, 2, seed=2), trainable=True)
    hits = memory.search(QUERIES, TopK(4))
    hits.mix(hits.weights()).square().sum().backward()
    touched = torch.zeros(N, dtype=torch.bool)
    touched[hits.ids.flatten()] = True
    for table in (memory.keys, memory.own_values):
        assert table.grad[touched].any(-1).all()
        assert not table.grad[~touched].any()


def test_sparse_gradients_are_the_dense_ones():
    found = []
    for sparse in (False, True):
        memory = Memory(KEYS, drawn(N, 2, seed=2), trainable=True, sparse=sparse)
        memory(QUERIES, TopK(4)).square().sum().backward()
        assert memory.keys.grad.is_sparse == sparse
        found.append([memory.keys.grad.to_dense(), memory.own_values.grad.to_dense()])
    torch.testing.assert_close(*found)


def test_a_memory_is_a_layer_that_learns():
    torch.manual_seed(0)
    memory = Memory(KEYS.float(), drawn(N, 2, seed=2).float(), trainable=True)
    network = nn.ModuleDict({"into": nn.Linear(3, D), "memory": memory})
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    inputs, wanted = drawn(16, 3, seed=4).float(), drawn(16, 2, seed=5).float()
    losses = []
    for _ in range(60):
        loss = (network["memory"](network["into"](inputs), TopK(8)) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_a_state_dict_carries_the_memory_and_its_index_follows():
    ours, theirs = Memory(KEYS, trainable=True), Memory(KEYS.flip(0), trainable=True, index="Flat")
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs.search(QUERIES, TopK(5)).ids, ours.search(QUERIES, TopK(5)).ids)


@pytest.mark.parametrize("index", ["flat", "Flat"])
def test_added_rows_are_found_and_deleted_ones_never(index):
    memory = Memory(KEYS, drawn(N, 2, seed=2), payload=list(range(N)), index=index)
    before = memory.version
    memory.add(torch.tensor([N + 7]), 9 * QUERIES[:1], torch.ones(1, 2, dtype=torch.float64), payload=["new"])
    assert memory.version > before
    found = memory.search(QUERIES[:1], TopK(3)).ids
    assert found[0, 0] == N + 7
    assert memory.things(found)[0] == "new"
    memory.delete(found[0, :2])
    after = memory.search(QUERIES[:1], TopK(N))
    assert len(memory) == N - 1
    assert memory.staleness(QUERIES).overlap == 1.0
    assert not torch.isin(found[0, :2], after.ids).any()
    drawn_ids = memory.search(QUERIES[:1], Uniform(N)).ids
    assert torch.equal(drawn_ids.sort().values, after.ids.sort().values)
    with pytest.raises(ValueError, match=f"id {N + 7} is not in the memory"):
        memory.gather(torch.tensor([N + 7]))


@pytest.mark.parametrize("index", ["flat", "Flat", "IVF4,Flat", "HNSW16", "PCA4,Flat"])
def test_a_filter_is_a_deletion(index):
    pytest.importorskip("faiss")
    where = torch.arange(N) % 4 != 0
    memory = Memory(KEYS, index=index, parameters="nprobe=4" if "IVF" in index else "")
    deleted = Memory(KEYS, index=index, parameters="nprobe=4" if "IVF" in index else "")
    deleted.delete((~where).nonzero().squeeze(1))
    filtered = memory.search(QUERIES, TopK(6), where=where)
    assert torch.equal(filtered.ids, deleted.search(QUERIES, TopK(6)).ids)
    assert torch.equal(filtered.ids, memory.search(QUERIES, TopK(6), where=where.expand(B, N)).ids)
    if "PCA" not in index:
        best = where.nonzero().squeeze(1)[(QUERIES @ KEYS[where].T).topk(6).indices]
        assert torch.equal(filtered.ids, best)


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "HNSW16", "PQ5x4", "IVF4,PQ5x4"])
def test_ids_are_those_of_faiss(factory):
    faiss = pytest.importorskip("faiss")
    keys, queries = drawn(400, D), drawn(8, D, seed=1)
    index = faiss.index_factory(D, factory, faiss.METRIC_INNER_PRODUCT)
    faiss.omp_set_num_threads(1)
    rows = keys.numpy().astype(np.float32)
    index.train(rows)
    index.add(rows)
    scores, wanted = index.search(queries.numpy().astype(np.float32), 5)
    found = Memory(keys, index=factory).search(queries, TopK(5))
    ties = [len(set(row)) < len(row) for row in scores.tolist()]
    for ours, theirs, tied in zip(found.ids.tolist(), wanted.tolist(), ties, strict=True):
        assert sorted(ours) == sorted(theirs)
        assert tied or ours == theirs
    torch.testing.assert_close(found.scores, (queries.unsqueeze(1) * keys[found.ids]).sum(-1))
    assert not found.head.any()


def test_an_unknown_index_is_an_input_error_in_one_line():
    pytest.importorskip("faiss")
    with pytest.raises(InputError, match="refuses index 'Nonsense'") as error:
        Memory(KEYS, index="Nonsense")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", ["add", "delete", "refresh", "step"])
def test_a_write_between_forward_and_backward_raises(write):
    queries = QUERIES.clone().requires_grad_()
    memory = Memory(KEYS, drawn(N, 2, seed=2), trainable=write == "step")
    loss = memory(queries, TopK(4)).sum()
    if write == "add":
        memory.add(torch.tensor([N]), KEYS[:1], torch.zeros(1, 2, dtype=torch.float64))
    elif write == "delete":
        memory.delete(torch.tensor([0]))
    elif write == "refresh":
        memory.refresh()
    else:
        with torch.no_grad():
            memory.keys.add_(1.0)
    with pytest.raises(RuntimeError, match="between the forward and the backward pass"):
        loss.backward()
    memory(queries, TopK(4)).sum().backward()


def test_a_refused_write_changes_nothing():
    memory = Memory(KEYS)
    for ids, keys in (
        (torch.tensor([0]), KEYS[:1]),
        (torch.tensor([N]), KEYS[:2]),
        (torch.tensor([-1]), KEYS[:1]),
    ):
        with pytest.raises(ValueError, match="ids"):
            memory.add(ids, keys)
    with pytest.raises(ValueError, match="payload"):
        memory.add(torch.tensor([N]), KEYS[:1], payload=["x"])
    assert (memory.version, len(memory), len(memory.ids)) == (0, N, N)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": torch.zeros(2, 2)}, "2 values for 40 keys"),
        ({"ids": torch.zeros(N, dtype=torch.int64)}, "two rows"),
        ({"payload": [1]}, "1 payload"),
        ({"metric": "manhattan"}, "dot, cosine"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Memory(KEYS, **options)
    with pytest.raises(ValueError, match="floats"):
        Memory(torch.zeros(3, dtype=torch.int64))


def encode(things):
    return KEYS[torch.tensor(things)]


def turned(things):
    return KEYS.flip(1)[torch.tensor(things)]


def test_a_refresh_takes_keys_from_the_encoder_and_reports_what_had_drifted():
    memory = Memory(KEYS, payload=list(range(N)), encoder=encode)
    still = memory.refresh(Never(), probes=QUERIES)
    assert (still.overlap, still.refreshed, still.age) == (1.0, False, 1)
    assert still.cosine == pytest.approx(1)
    assert not memory.refresh(Drift(0.9), probes=QUERIES).refreshed
    moved = memory.refresh(Drift(0.9), encoder=turned, probes=QUERIES, k=5)
    assert moved.refreshed
    assert moved.age == 3
    old, new = ((QUERIES @ keys.T).topk(5).indices for keys in (KEYS, KEYS.flip(1)))
    shared = (old.unsqueeze(2) == new.unsqueeze(1)).any(-1).double().mean()
    assert moved.overlap == pytest.approx(float(shared))
    assert torch.equal(memory.search(QUERIES, TopK(5)).ids, new)
    assert memory.staleness(QUERIES, encoder=turned).overlap == 1.0
    assert memory.age == 0


def test_every_few_steps_without_looking():
    memory = Memory(KEYS, payload=list(range(N)), encoder=encode)
    seen = [memory.refresh(Every(3)) for _ in range(6)]
    assert [each.refreshed for each in seen] == [False, False, True] * 2
    assert all(math.isnan(each.overlap) for each in seen)


def test_trained_keys_drift_from_their_index_until_it_is_built_again(tmp_path):
    pytest.importorskip("faiss")
    memory = Memory(KEYS, trainable=True, index="Flat")
    with torch.no_grad():
        memory.keys.copy_(KEYS.flip(1))
    stale = memory.search(QUERIES, TopK(5))
    assert torch.equal(stale.ids, (QUERIES @ KEYS.T).topk(5).indices)
    torch.testing.assert_close(stale.scores, (QUERIES.unsqueeze(1) * KEYS.flip(1)[stale.ids]).sum(-1))
    memory.save(tmp_path / "stale")
    assert memory.staleness(QUERIES) == Memory.load(tmp_path / "stale").staleness(QUERIES)
    report = memory.refresh(Drift(0.9), probes=QUERIES)
    assert report.overlap < 0.9
    assert report.refreshed
    assert torch.equal(memory.search(QUERIES, TopK(5)).ids, (QUERIES @ KEYS.flip(1).T).topk(5).indices)


def test_policies_and_encoders_say_what_they_lack():
    with pytest.raises(ValueError, match="probes"):
        Memory(KEYS).refresh(Drift(0.9))
    with pytest.raises(ValueError, match="payload"):
        Memory(KEYS).refresh(encoder=encode)
    with pytest.raises(ValueError, match="payload"):
        Memory(KEYS).things(torch.tensor([0]))
    for wrong in (lambda: Every(0), lambda: Drift(0.0), lambda: Drift(1.5)):
        with pytest.raises(ValueError, match="must"):
            wrong()


@pytest.mark.parametrize("index", ["flat", "IVF4,Flat"])
def test_a_saved_memory_answers_as_before(index, tmp_path):
    pytest.importorskip("faiss")
    payload = [{"title": f"d{row}"} for row in range(N)]
    memory = Memory(
        KEYS, drawn(N, 2, 3, seed=2), payload=payload, index=index, metric="cosine", trainable=True
    )
    memory.delete(torch.tensor([3]))
    memory.add(torch.tensor([99]), KEYS[:1] + 1, drawn(1, 2, 3), payload=[{"title": "new"}])
    memory.refresh(Never())
    memory.save(tmp_path / "memory")
    loaded = Memory.load(tmp_path / "memory")
    before, after = (each.search(QUERIES, TopK(6)) for each in (memory, loaded))
    for name in ("ids", "scores", "values"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert (loaded.version, loaded.age, loaded.index.index) == (memory.version, memory.age, index)
    assert isinstance(loaded.keys, nn.Parameter)
    assert loaded.things(after.ids) == memory.things(before.ids)
    loaded.save(tmp_path / "memory")
    assert torch.equal(Memory.load(tmp_path / "memory").search(QUERIES, TopK(6)).ids, before.ids)


def test_a_damaged_or_foreign_folder_is_refused(tmp_path):
    with pytest.raises(ArtifactError):
        Memory.load(tmp_path / "nothing")
    Memory(KEYS).save(tmp_path / "memory")
    rows = tmp_path / "memory" / "rows.safetensors"
    content = bytearray(rows.read_bytes())
    content[-1] ^= 1
    rows.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match="damaged"):
        Memory.load(tmp_path / "memory")
    with pytest.raises(ValueError, match="no JSON"):
        Memory(KEYS, payload=[torch.zeros(1)] * N).save(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert json.loads((tmp_path / "memory" / "manifest.json").read_text())["kind"] == "memory"


def test_permuted_rows_and_queries_permute_the_answer():
    order, turn = torch.randperm(N, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1])
    values = drawn(N, 2, seed=2)
    plain = retrieve(QUERIES, Memory(KEYS, values), TopK(7), temperature=0.5)
    shuffled = Memory(KEYS[order], values[order], ids=order)
    torch.testing.assert_close(retrieve(QUERIES[turn], shuffled, TopK(7), temperature=0.5), plain[turn])
    assert torch.equal(shuffled.search(QUERIES, TopK(7)).ids, Memory(KEYS).search(QUERIES, TopK(7)).ids)


def test_an_answer_does_not_depend_on_the_batch():
    keys, queries = drawn(300, 16, dtype=torch.float32), drawn(9, 16, seed=1, dtype=torch.float32)
    memory = Memory(keys)
    together = memory.search(queries, TopK(20))
    for at in range(len(queries)):
        alone = memory.search(queries[at : at + 1], TopK(20))
        assert torch.equal(alone.ids[0], together.ids[at])
        torch.testing.assert_close(alone.scores[0], together.scores[at])


def test_equal_keys_are_found_in_the_order_of_their_rows():
    keys = torch.ones(100, 3)
    assert torch.equal(Memory(keys).search(torch.ones(2, 3), TopK(100)).ids, torch.arange(100).expand(2, 100))


def test_an_empty_memory_gives_nothing():
    memory = Memory(torch.zeros(0, D, dtype=torch.float64), torch.zeros(0, 2, dtype=torch.float64))
    for proposal in (TopK(3), Uniform(3), Union(TopK(2), Uniform(2))):
        assert not memory(QUERIES, proposal).any()
    assert memory.search(QUERIES, TopK(3)).mass().isnan().all()
    memory.add(torch.tensor([5]), KEYS[:1], torch.ones(1, 2, dtype=torch.float64))
    assert (memory(QUERIES, TopK(3)) == 1).all()
