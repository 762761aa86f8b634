"""The order and the content of batches."""

import numpy as np
import pytest
import torch

from onnxgrid.data import Dataset, Share, batch_count, batches
from onnxgrid.data.columns import FileColumn, StoredColumn


class Numbers:
    """Ten samples without files: sample i is [i]."""

    names = tuple(map(str, range(10)))

    def read(self, index):
        return np.array([index], dtype=np.float32)


def columns():
    reading = FileColumn(Numbers(), lambda values, _: values)  # type: ignore[arg-type]
    return {"in memory": reading.load(), "from files": reading}


@pytest.fixture(params=columns().values(), ids=columns())
def dataset(request):
    targets = StoredColumn(torch.arange(10) * 2)
    return Dataset(request.param, targets, names=Numbers.names, classes=None, kind="samples")


def order(dataset, **how):
    return torch.cat([batch.indices for batch in batches(dataset, 4, **how)]).tolist()


def test_each_sample_comes_once_with_its_target(dataset):
    seen = []
    for batch in batches(dataset, 4, epoch=1, seed=7, shuffle=True):
        assert batch.inputs.shape == (len(batch.indices), 1)
        assert batch.inputs[:, 0].tolist() == batch.indices.tolist()
        assert batch.targets is not None
        assert batch.targets.tolist() == (2 * batch.indices).tolist()
        seen += batch.indices.tolist()
    assert sorted(seen) == list(range(10))


def test_the_last_batch_may_be_smaller(dataset):
    sizes = [len(batch.inputs) for batch in batches(dataset, 4, epoch=1, seed=0, shuffle=False)]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(("samples", "size", "count"), [(10, 4, 3), (8, 4, 2), (1, 64, 1), (469, 1, 469)])
def test_batches_are_counted_with_the_last_one(samples, size, count):
    assert batch_count(samples, size) == count


def test_the_order_is_a_function_of_seed_and_epoch(dataset):
    first = order(dataset, epoch=1, seed=7, shuffle=True)
    assert order(dataset, epoch=1, seed=7, shuffle=True) == first
    assert order(dataset, epoch=2, seed=7, shuffle=True) != first
    assert order(dataset, epoch=1, seed=8, shuffle=True) != first


def test_without_shuffling_the_order_is_that_of_the_data_set(dataset):
    assert order(dataset, epoch=3, seed=7, shuffle=False) == list(range(10))


def test_a_pass_leaves_the_global_generator_alone(dataset):
    before = torch.random.get_rng_state()
    order(dataset, epoch=1, seed=7, shuffle=True)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_targets_may_be_missing():
    dataset = Dataset(StoredColumn(torch.zeros(3, 1)), None, names=("a", "b", "c"), classes=None, kind="samples")
    assert [batch.targets for batch in batches(dataset, 2, epoch=1, seed=0, shuffle=True)] == [None, None]


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5])
def test_processes_share_every_batch_without_leaving_out_or_doubling_a_sample(dataset, processes):
    def of(rank):
        share = Share(rank, processes, accumulated=2)
        return list(batches(dataset, 4, epoch=1, seed=7, shuffle=True, share=share))

    whole = [batch.indices.tolist() for batch in batches(dataset, 8, epoch=1, seed=7, shuffle=True)]
    steps = [[] for _ in whole]
    for parts in zip(*map(of, range(processes)), strict=True):
        for part in parts:
            step = 0 if part.rows.total == 8 else 1
            assert part.rows.total == len(whole[step])
            assert len(part.inputs) == max(1, part.rows.count)
            indices = part.indices[: part.rows.count].tolist()
            steps[step] += zip(range(part.rows.first, part.rows.first + part.rows.count), indices, strict=True)
    assert steps == [list(enumerate(indices)) for indices in whole]
    sizes = [part.rows.count for rank in range(processes) for part in of(rank)]
    assert max(sizes) == -(-4 // processes)
