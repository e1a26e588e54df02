"""Parts: together they are the whole, in one process and in four, and a lost one is not hidden."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file

from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Uniform, Union
from retrograd.indexes.retrieve import retrieve
from retrograd.indexes.sharded import Sharded, split
from retrograd.ops.labels import Label

N, D, B, PROCESSES = 26, 5, 3, 4
CUTS = (0, 10, 10, 13, N)  # the second process has nothing


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case() -> list[torch.Tensor]:
    return [drawn(B, D, seed=1), drawn(N, D), drawn(N, 2, seed=2)]


def whole(temperature: torch.Tensor) -> list[torch.Tensor]:
    leaves = [leaf.requires_grad_() for leaf in (*case(), temperature)]
    mixed = retrieve(leaves[0], Memory(leaves[1], leaves[2]), TopK(N), temperature=leaves[3])
    mixed.square().sum().backward()
    return [mixed.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_parts_merge_to_the_whole_forward_and_backward(parts):
    tau = torch.tensor(0.6, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (*case(), tau.clone())]
    sharded = split(Memory(leaves[1], leaves[2]), parts)
    assert len(sharded.parts) == parts
    mixed = retrieve(leaves[0], sharded, TopK(N), temperature=leaves[3])
    mixed.square().sum().backward()
    found = [mixed.detach(), *(leaf.grad for leaf in leaves)]
    torch.testing.assert_close(found, whole(tau), atol=1e-12, rtol=0)
    hits = sharded.search(leaves[0], TopK(N))
    assert hits.label is Label.EXACT
    torch.testing.assert_close(hits.mix(hits.weights(temperature=0.6)), mixed, atol=1e-12, rtol=0)


def test_parts_of_parts_know_their_own_rows():
    queries, keys, values = case()
    sharded = split(Memory(keys, values), 2)
    where = torch.arange(N) % 3 > 0
    hits = sharded.search(queries, TopK(N), where=where)
    assert torch.equal(hits.ids[0][hits.where[0]].sort().values, where.nonzero().squeeze(1))
    tail = sharded.search(queries, Union(TopK(3), Uniform(3)))
    assert tail.label is Label.CONSISTENT
    assert ((tail.mass() > 0) & (tail.mass() < 1)).all()
    assert sharded.search(queries, TopK(3)).label is Label.BIASED


def test_values_of_any_shape_come_back_in_theirs():
    queries, keys, _ = case()
    values = drawn(N, 2, 3)
    found = retrieve(queries, split(Memory(keys, values), 2), TopK(N))
    torch.testing.assert_close(found, retrieve(queries, Memory(keys, values), TopK(N)))


def test_a_lost_part_makes_it_biased_and_its_mass_unknown():
    queries, keys, _ = case()
    hits = Sharded([Memory(keys), None]).search(queries, TopK(N))
    assert hits.label is Label.BIASED
    assert hits.mass().isnan().all()
    assert not hits.head.any()
    assert "1 parts lost" in hits.explain()
    with pytest.raises(ValueError, match="at least one"):
        Sharded([None])


def test_only_softmax_mixtures_merge():
    queries, keys, _ = case()
    with pytest.raises(ValueError, match="softmax"):
        retrieve(queries, split(Memory(keys), 2), TopK(3), how="sparsemax")


def one_process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    own = slice(CUTS[rank], CUTS[rank + 1])
    queries, keys, values = case()
    tau = torch.tensor(0.6, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (queries, keys[own].clone(), values[own].clone(), tau)]
    memory = Memory(leaves[1], leaves[2], ids=torch.arange(N)[own])
    sharded = Sharded([memory], group=True)
    mixed = retrieve(leaves[0], sharded, TopK(N), temperature=leaves[3])
    mixed.square().sum().backward()
    found = {"mixed": mixed.detach()} | {str(at): leaf.grad for at, leaf in enumerate(leaves)}
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, f"{folder}/{rank}.safetensors")
    dist.destroy_process_group()


def test_four_processes_agree_with_one(tmp_path: Path):
    mp.spawn(one_process, (str(tmp_path),), nprocs=PROCESSES)
    mixed, *gradients = whole(torch.tensor(0.6, dtype=torch.float64))
    found = [load_file(tmp_path / f"{rank}.safetensors") for rank in range(PROCESSES)]
    for one in found:
        torch.testing.assert_close(one["mixed"], mixed, atol=1e-12, rtol=0)
        for name in ("0", "3"):
            torch.testing.assert_close(one[name], gradients[int(name)], atol=1e-12, rtol=0)
    for name in ("1", "2"):
        together = torch.cat([one[name] for one in found])
        torch.testing.assert_close(together, gradients[int(name)], atol=1e-12, rtol=0)


def test_rows_of_other_processes_cannot_be_listed():
    queries, keys, _ = case()
    with pytest.raises(ValueError, match="other processes"):
        Sharded([Memory(keys)], group=True).search(queries, TopK(3))
