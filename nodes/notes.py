"""What a node tells the person beside its outputs: which settings it took, and what looks wrong.

The one way for it: a line in ComfyUI's log, and a line in the node's `ui` output, which the page shows on the node
(`web/js/notes.js`) and which `/history` keeps for whoever uses the API. What cannot go on at all is an exception.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..ladivton_core.preprocessing.masks.agnostic import nothing_to_repaint

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from torch import Tensor

WARNING = "Warning: "
"""How a line starts that reports something that looks wrong; the page colours it."""


class Notes:
    """Lines of one run of a node.

    Args:
        name: what the log calls the node.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: list[str] = []

    def say(self, text: str) -> None:
        """Something worth knowing."""
        if self._add(text):
            log.info("%s: %s", self._name, text)

    def warn(self, text: str | None) -> None:
        """Something that looks wrong: what, and what to do. None is nothing."""
        if text is not None and self._add(WARNING + text):
            log.warning("%s: %s", self._name, text)

    def _add(self, line: str) -> bool:
        new = line not in self._lines
        if new:
            self._lines.append(line)
        return new

    @property
    def ui(self) -> dict[str, list[str]]:
        """For `NodeOutput(ui=...)`. Also when there is nothing to say: that clears what the page shows of an earlier
        run, and ComfyUI joins the outputs of several runs only if all have the same keys.
        """
        return {"text": list(self._lines)}


def of_empty_masks(mask: Tensor) -> str | None:
    """What to say of the pictures whose mask (B, 1, H, W) has nothing to repaint; None where every one has."""
    empty = nothing_to_repaint(mask)
    if not empty:
        return None
    return (
        f"Nothing is repainted in picture {', '.join(map(str, empty))}: 'mask' is below one half all over. "
        "Check the category of Agnostic Person, and that a painted mask is white over the garment."
    )
