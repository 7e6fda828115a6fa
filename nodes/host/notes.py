"""What a node tells the person beside its outputs: which settings it took, and what looks wrong.

The one way for it: a line in ComfyUI's log, and a line in the node's `ui` output, which the page shows on the node
(`web/js/notes.js`) and which `/history` keeps for whoever uses the API. What cannot go on at all is an exception.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

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
