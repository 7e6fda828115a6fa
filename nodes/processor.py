"""Where ComfyUI computes on the processor, a node keeps freed memory for its next tensor.

`ladivton_core/runtime/freed_memory.py` says why. `extension.py` puts this around every node's `execute`.
"""

from __future__ import annotations

import functools
from typing import Any

from .types import io


def on_the_processor(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, whose `execute` runs with `freed_memory_kept` where there is no GPU."""
    execute = node.execute.__func__

    @functools.wraps(execute)
    def run(cls, *args: Any, **given: Any) -> io.NodeOutput:
        from comfy.model_management import get_torch_device

        from ..ladivton_core.runtime.freed_memory import freed_memory_kept

        if get_torch_device().type != "cpu":
            return execute(cls, *args, **given)
        with freed_memory_kept():
            return execute(cls, *args, **given)

    node.execute = classmethod(run)
    return node
