"""Soft selection over processes: 4 of them agree with one, forward and backward, to 1e-12."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file

from retrograd.ops.aggregate import part
from retrograd.ops.shards import merge_shards, replicated

PROCESSES, ENTRIES = 4, 26
CUTS = (0, 10, 10, 13, 26)  # the second process has nothing


def case() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 5), (ENTRIES, 5), (ENTRIES, 2), (3, 2))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def one_process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    queries, keys, values, target = case()
    own = slice(CUTS[rank], CUTS[rank + 1])
    queries, keys, values = (x.requires_grad_() for x in (queries, keys[own].clone(), values[own].clone()))
    logits = 4 * replicated(queries) @ keys.T
    mixture = merge_shards(part(logits, values)).mean()
    (mixture - target).square().sum().backward()
    found = {"mixture": mixture.detach(), "queries": queries.grad, "keys": keys.grad, "values": values.grad}
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, f"{folder}/{rank}.safetensors")
    dist.destroy_process_group()


def test_four_processes_agree_with_one(tmp_path: Path):
    mp.spawn(one_process, (str(tmp_path),), nprocs=PROCESSES)
    queries, keys, values, target = case()
    leaves = [x.requires_grad_() for x in (queries, keys, values)]
    mixture = (4 * queries @ keys.T).softmax(-1) @ values
    (mixture - target).square().sum().backward()
    found = [load_file(tmp_path / f"{rank}.safetensors") for rank in range(PROCESSES)]
    for one in found:
        torch.testing.assert_close(one["mixture"], mixture.detach(), atol=1e-12, rtol=0)
        torch.testing.assert_close(one["queries"], queries.grad, atol=1e-12, rtol=0)
    for name, leaf in zip(("keys", "values"), leaves[1:], strict=True):
        together = torch.cat([one[name] for one in found])
        torch.testing.assert_close(together, leaf.grad, atol=1e-12, rtol=0)


def test_one_process_is_left_as_it_is(tmp_path: Path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        logits = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
        values = torch.randn(5, 3, dtype=torch.float64)
        mixture = merge_shards(part(replicated(logits), values)).mean()
        torch.testing.assert_close(mixture, logits.softmax(-1) @ values)
        mixture.sum().backward()
        assert logits.grad is not None
    finally:
        dist.destroy_process_group()
