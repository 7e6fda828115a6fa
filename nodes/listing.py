"""No list of a node ever takes the pack down; `input_folder.py` lists ComfyUI's input folder.

ComfyUI asks for every schema when it imports the pack and at each press of R. What lies on the disk, an unreadable
folder, a link in a circle, a name that is no text, is then logged and left out: a person can act on a shorter list, not
on missing nodes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


def can_be_chosen(name: str) -> bool:
    """Whether a name can travel to the page and back: bytes that are no text on this system cannot."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        log.warning("LaDI-VTON does not offer the file %a: its name is no text here. Rename it.", name)
        return False
    return True


def never_raises(offer: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """A list for a schema: what the function gives, or nothing and the error in ComfyUI's log."""

    @functools.wraps(offer)
    def offered(*given: str) -> list[str]:
        try:
            return offer(*given)
        except Exception:
            log.exception("LaDI-VTON cannot list the files for %s; the list stays empty.", ", ".join(given) or "a node")
            return []

    return offered
