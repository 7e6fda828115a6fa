"""Processes that render in nobody's way: one thread each, low priority, and gone with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess


def start(work: Callable[..., object], shares: Iterable[tuple]) -> list[BaseProcess]:
    """A process for each share of the work; a share is the arguments of `work`."""
    context = multiprocessing.get_context("spawn")  # a forked process may inherit a lock of torch's thread pool
    processes = [context.Process(target=_modestly, args=(work, share), daemon=True) for share in shares]
    for process in processes:
        process.start()
    return processes


def wait(processes: Sequence[BaseProcess]) -> None:
    """Let them finish.

    Raises:
        RuntimeError: some of them failed.
    """
    for process in processes:
        process.join()
    if failed := sum(process.exitcode != 0 for process in processes):
        raise RuntimeError(f"{failed} of {len(processes)} rendering processes ended with an error; see above.")


def orphaned() -> bool:
    """Whether the process that started this one is gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _modestly(work: Callable[..., object], share: tuple) -> None:
    import torch

    torch.set_num_threads(1)
    with suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
    with suppress(AttributeError, OSError):  # Windows has none
        os.nice(10)
    work(*share)
