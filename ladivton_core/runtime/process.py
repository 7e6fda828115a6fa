"""What a process that this project starts runs in: a command, or a server. Standard library only.

Pipeline and nodes change nothing of the process they run in; docs/performance.md says what somebody with a process of
their own sets. Fresh pages are cleared by the system one after the other, which took more than a third of a picture's
time on a CPU.
"""

from __future__ import annotations

import os

ALLOCATOR = {
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
}
"""Environment in which a CPU clears fewer pages: torch takes pages of 2 MiB for large tensors where the system has
them, and glibc keeps freed blocks for the next tensor (32 MiB is the largest every version takes). torch looks at its
first tensor, glibc when a process starts."""


def prepare_process() -> None:
    """For a command, before its first tensor: large pages, and no more threads than cores, which would wait.

    Processes that it starts keep freed memory as well. What the environment says already goes before.
    """
    import torch

    from .processor import usable_cores

    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
