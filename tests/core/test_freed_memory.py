"""Freed memory kept on a processor: fewer new pages while a picture is made, and all of it given back afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.runtime import freed_memory
from ladivton_core.runtime.freed_memory import freed_memory_kept

ROOT = Path(__file__).resolve().parents[2]
EFFECT = """
import resource, torch
from ladivton_core.runtime.freed_memory import MIB, _resident, freed_memory_kept

block = 48 * MIB  # beyond where glibc's own adjustment ends, and none too large to be kept

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.empty(block, dtype=torch.uint8).fill_(1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / block

new_pages()
at_first, before = new_pages(), _resident()
with freed_memory_kept():
    new_pages()
    # a small block may have taken a part of a large one in one pass or another
    inside, held = min(new_pages() for _ in range(5)), _resident()
print(at_first, inside, (held - before) / MIB, (_resident() - before) / MIB)
"""


class Library:
    """Stands in for the C library."""

    def __init__(self) -> None:
        self.set: dict[int, int] = {}
        self.trims = 0
        self.largest = 2**40

    def mallopt(self, what: int, value: int) -> int:
        if what == freed_memory._MMAP_THRESHOLD and value > self.largest:
            return 0
        self.set[what] = value
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.trims += 1
        return 1


@pytest.fixture
def library(monkeypatch):
    made = Library()
    monkeypatch.setattr(freed_memory, "_glibc", lambda: made)
    monkeypatch.setattr(freed_memory, "_resident", iter(range(0, 10**12, 2**30)).__next__)  # growing with every look
    return made


@pytest.mark.skip(reason="counts page faults, which are the machine's affair too; this allocator leaves the library")
def test_the_next_tensor_takes_a_freed_block_and_afterwards_the_system_has_it():
    """In a process of its own, where nothing else lies between the blocks."""
    usual = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", EFFECT]
    done = subprocess.run(command, cwd=ROOT, env=usual, capture_output=True, text=True, check=True)
    at_first, inside, held, left = map(float, done.stdout.split())
    if at_first < 5:
        pytest.skip("memory comes in large pages here")
    assert at_first > 9  # every one of ten tensors lay on new pages
    assert inside < 1
    assert held > 40
    assert left < 10


def test_the_outermost_use_sets_and_gives_back(library):
    with freed_memory_kept():
        assert library.set == freed_memory._KEPT
        with pytest.raises(KeyError), freed_memory_kept():
            raise KeyError
        assert library.set == freed_memory._KEPT
        assert library.trims == 0
    assert library.set == freed_memory._USUAL
    assert library.trims == 1


def test_an_older_library_is_set_to_the_largest_it_takes(library):
    library.largest = freed_memory._USUAL[freed_memory._MMAP_THRESHOLD]
    with freed_memory_kept():
        assert library.set == freed_memory._KEPT | {freed_memory._MMAP_THRESHOLD: library.largest}
    assert library.set == freed_memory._USUAL


def test_another_threads_use_is_inside_too(library):
    def use() -> None:
        with freed_memory_kept():
            pass

    with freed_memory_kept():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(use).result()
        assert library.set == freed_memory._KEPT
    assert library.set == freed_memory._USUAL


def test_a_use_that_kept_little_tidies_nothing(library, monkeypatch):
    monkeypatch.setattr(freed_memory, "_resident", lambda: 2**30)
    with freed_memory_kept():
        pass
    assert library.set == freed_memory._USUAL
    assert library.trims == 0


@pytest.mark.parametrize("name", freed_memory._OWN)
def test_the_environments_own_settings_are_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert freed_memory._glibc.__wrapped__() is None


def test_where_a_process_cannot_tell_its_size_nothing_is_done(monkeypatch, tmp_path):
    monkeypatch.setattr(freed_memory, "_SIZE", tmp_path / "statm")
    assert freed_memory._glibc.__wrapped__() is None


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(freed_memory.sys, "platform", "win32")
    monkeypatch.setattr(freed_memory, "_glibc", freed_memory._glibc.__wrapped__)
    with freed_memory_kept():
        assert freed_memory._inside == 0


def test_a_command_asks_for_large_pages_unless_it_was_told(monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    freed_memory.ask_for_large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    freed_memory.ask_for_large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


@pytest.mark.parametrize("speed", ["exact", "fast"])
def test_a_pipeline_keeps_it_while_it_works(library, monkeypatch, speed):
    pipeline, seen = TryOnPipeline.from_embedded(speed=speed), []
    monkeypatch.setattr(pipeline, "_numbers", lambda tensor, stage: seen.append(dict(library.set)) or tensor)
    pipeline.decode(torch.zeros(1, pipeline.vae.config.latent_channels, 8, 6))
    assert seen == [freed_memory._KEPT]
    assert library.set == freed_memory._USUAL
