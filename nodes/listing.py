"""No list of a node ever takes the pack down; `input_folder.py` lists ComfyUI's input folder.

ComfyUI asks for every schema when it imports the pack and at each press of R. What lies on the disk, an unreadable
folder, a link in a circle, a name that is no text, is then logged and left out: a person can act on a shorter list, not
on missing nodes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from ..ladivton_core.disk.names import is_text

log = logging.getLogger(__name__)


class Listed(list):
    """The entries of a list that changes with what lies on the disk."""


def can_be_chosen(name: str) -> bool:
    """Whether a name can travel to the page and back: bytes that are no text on this system cannot."""
    if is_text(name):
        return True
    _say_once(name)
    return False


@functools.cache
def _say_once(name: str) -> None:
    """Lists are made at every press of R, by each node, and ComfyUI's go round circles of links forty times."""
    log.warning("LaDI-VTON does not offer %a: its name is no text here. Rename it.", name)


def never_raises(offer: Callable[..., list[str]]) -> Callable[..., Listed]:
    """A list for a schema: what the function gives, or nothing and the error in ComfyUI's log."""

    @functools.wraps(offer)
    def offered(*given: str) -> Listed:
        try:
            return Listed(offer(*given))
        except Exception:
            log.exception("LaDI-VTON cannot list the files for %s; the list stays empty.", ", ".join(given) or "a node")
            return Listed()

    return offered
