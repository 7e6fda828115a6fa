"""Every node keeps freed memory while it runs on a processor, and none where there is a GPU."""

from __future__ import annotations

import importlib
import inspect

import pytest
import torch


@pytest.fixture
def memory(pack):
    """The module under the name ComfyUI gave it."""
    return importlib.import_module(f"{pack.__name__}.ladivton_core.runtime.freed_memory")


@pytest.fixture
def run(module, memory):
    """A node that says how many uses of the memory there are while it runs."""

    class Node:
        @classmethod
        def execute(cls, width: int, *, height: int = 3):
            return cls, width, height, memory._inside

    node = module("nodes.processor").on_the_processor(Node)
    assert list(inspect.signature(node.execute).parameters) == ["width", "height"]
    return node.execute


def test_a_node_runs_with_freed_memory_kept(run, memory, monkeypatch):
    monkeypatch.setattr("comfy.model_management.get_torch_device", lambda: torch.device("cpu"))
    kept = memory._glibc() is not None
    assert run(2, height=5)[1:] == (2, 5, int(kept))
    assert memory._inside == 0


def test_on_a_gpu_nothing_is_changed(run, monkeypatch):
    monkeypatch.setattr("comfy.model_management.get_torch_device", lambda: torch.device("cuda"))
    assert run(2)[1:] == (2, 3, 0)


def test_every_node_does(nodes):
    assert all(node.execute.__func__.__code__.co_filename.endswith("processor.py") for node in nodes.values())
