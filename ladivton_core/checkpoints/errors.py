"""What is raised for a weight file that cannot be used."""

from __future__ import annotations

from ..disk.names import printable


class CheckpointError(ValueError):
    """A weight file that cannot be used; the message says what it is and what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))  # names of files and tensors come from anywhere
