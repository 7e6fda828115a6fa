"""LaDI-VTON's own networks are whole on the device while they run, in every memory state of ComfyUI.

No GPU is here: torch's fake tensors stand in for one (mixed devices raise), and on the CPU ComfyUI's memory manager is
told that it has a device without room for weights, as `--novram` tells it.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

ROOM = 64 * 2**30


@pytest.fixture
def memory(models, monkeypatch):
    """`memory(state)`: ComfyUI's memory manager in a memory state of a GPU."""
    import comfy.model_management as memory

    def enter(state: str):
        monkeypatch.setattr(memory, "vram_state", memory.VRAMState[state])
        monkeypatch.setattr(memory, "is_device_cpu", lambda device: False)
        monkeypatch.setattr(memory, "get_free_memory", lambda *_, **asked: (ROOM, ROOM) if asked else ROOM)
        return memory

    yield enter
    for part in (models.warper, models.adapter, models.emasc):
        part.patcher.detach()


@pytest.mark.parametrize("state", ["NO_VRAM", "LOW_VRAM", "NORMAL_VRAM", "HIGH_VRAM"])
def test_a_plain_torch_network_runs_on_the_device_it_was_loaded_to(memory, module, monkeypatch, state):
    manager, cuda = memory(state), torch.device("cuda", 0)
    monkeypatch.setattr(manager, "get_torch_device", lambda: cuda)
    monkeypatch.setattr(manager, "unet_offload_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(manager, "soft_empty_cache", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)  # newer hosts wait for a device they loaded to
    with FakeTensorMode():
        network = nn.Sequential(Convolution(3, 8, 3), Norm(8), nn.Sequential(Convolution(8, 4, 1)))
        part = module("nodes.host.types").TorchPart(network, "a test")
        with part.loaded() as loaded:
            assert loaded(torch.empty(1, 3, 16, 12, device=part.device)).device == cuda
        left = {tensor.device for tensor in (*network.parameters(), *network.buffers())}
        assert left == ({torch.device("cpu")} if state == "NO_VRAM" else {cuda})
        part.patcher.detach()
        manager.cleanup_models()


@pytest.mark.parametrize("state", ["NO_VRAM", "NORMAL_VRAM"])
def test_the_nodes_run_their_networks_whole_and_leave_nothing_behind_where_there_is_no_room(
    memory, run, models, scene, prepared, condition, state
):
    _, _, latent, skips = condition(0)
    asked = {
        "warper": lambda: run(
            "GarmentWarper", warper=models.warper, garment=scene.garment[:1], agnostic=prepared.agnostic[:1],
            pose_map=prepared.pose_map[:1],
        ),
        "adapter": lambda: run(
            "TextualInversionEncoder", clip=models.clip, clip_vision=models.clip_vision, adapter=models.adapter,
            garment=scene.garment[:1],
        ),
        "emasc": lambda: run(
            "EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=latent, skip_features=skips,
        ),
    }  # fmt: skip
    for name in asked:
        getattr(models, name).patcher.detach()
    memory(state)
    for name, ask in asked.items():
        part = getattr(models, name)
        with loaded_bytes(part) as seen:
            ask()
        size = part.patcher.model_size()
        assert seen and set(seen) == {size}, f"{name} ran with {seen} of {size} bytes on the device"
        assert part.patcher.loaded_size() == (0 if state == "NO_VRAM" else size), name


def test_a_network_is_never_taken_away_in_pieces(memory, models):
    """What a piece left on the device would be, a plain torch network cannot use."""
    manager, part = memory("NORMAL_VRAM"), models.warper
    with part.loaded():
        pass
    entry = next(loaded for loaded in manager.current_loaded_models if loaded.model is part.patcher)
    manager.current_loaded_models.remove(entry)  # as `free_memory` does with what is unloaded
    assert entry.model_unload(memory_to_free=1), "the whole network is taken away"
    assert part.patcher.loaded_size() == 0


class _Moved:
    """A layer whose tensors are replaced when it moves: torch swaps them in place, which fake ones do not allow."""

    def _apply(self, fn, recurse=True):
        self._parameters = {name: nn.Parameter(fn(value.data), False) for name, value in self._parameters.items()}
        self._buffers = {name: fn(value) for name, value in self._buffers.items()}
        return self


class Convolution(_Moved, nn.Conv2d):
    pass


class Norm(_Moved, nn.BatchNorm2d):
    pass


@contextmanager
def loaded_bytes(part):
    """Bytes of a part that ComfyUI has on the device, at every convolution and every linear layer that runs."""
    seen: list[int] = []
    leaves = [layer for layer in part.module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(lambda *_: seen.append(part.patcher.loaded_size())) for layer in leaves]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
