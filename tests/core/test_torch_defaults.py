"""What another library sets as torch's default number format changes nothing here, and stays as it is."""

import pytest
import torch

from ladivton_core.checkpoints.build import BUILDERS
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import TINY


@pytest.fixture(params=["float64", "float16", "bfloat16"])
def another_default(request):
    torch.set_default_dtype(getattr(torch, request.param))
    yield getattr(torch, request.param)
    torch.set_default_dtype(torch.float32)


def _random(seed, channels):
    return torch.rand(1, channels, 64, 48, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def _worn():
    mask = torch.zeros(1, 1, 64, 48, dtype=torch.float32)
    mask[..., 16:48, 12:36] = 1
    person, garment = (_random(seed, 3) * 2 - 1 for seed in (1, 2))
    pipeline = TryOnPipeline.from_embedded()
    return pipeline(person, garment, mask=mask, pose_map=_random(3, 18), seeds=3, steps=1).images


@pytest.fixture(scope="module")
def right():
    assert torch.get_default_dtype() == torch.float32
    return _worn()


def test_a_try_on_is_the_same_to_the_bit_whatever_the_default_format(right, another_default):
    assert torch.equal(_worn(), right)
    assert torch.get_default_dtype() == another_default


@pytest.mark.parametrize("part", BUILDERS)
def test_a_part_is_drawn_alike_whatever_the_default_format(part):
    def drawn():
        torch.manual_seed(0)
        return BUILDERS[part](TINY).state_dict()

    plain = drawn()
    torch.set_default_dtype(torch.float64)
    try:
        beside = drawn()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(beside[key], value) and beside[key].dtype == value.dtype for key, value in plain.items())
