"""What a section of `make gpu-check` is given, and the page it writes on, line by line: a cut run keeps its lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hosting.installation import Host


@dataclass(frozen=True)
class Setting:
    """Where and on what a section runs.

    Attributes:
        host: ComfyUI and its interpreter.
        work: folder for what sections make and hand to each other.
        models: folder with files of the published layout; filled beside the first sections.
        device: torch's name for the accelerator, `cpu` in a rehearsal.
        rehearse: small sizes and few steps, to prove the section itself.
    """

    host: Host
    work: Path
    models: Path
    device: str
    rehearse: bool

    @property
    def not_written(self) -> Path:
        """Where it is left, in words, what keeps the files in `models` from being written."""
        return self.work / "stand_ins.failed"

    def save(self, file: Path) -> None:
        """Write it for the section's process."""
        known = asdict(self)
        known["host"] = {name: str(path) for name, path in known["host"].items()}
        known |= {"work": str(self.work), "models": str(self.models)}
        file.write_text(json.dumps(known), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Setting:
        """The setting that `save` wrote."""
        known = json.loads(file.read_text(encoding="utf-8"))
        host = Host(Path(known["host"]["comfyui"]), Path(known["host"]["python"]))
        return cls(host, Path(known["work"]), Path(known["models"]), known["device"], known["rehearse"])


class Page:
    """The Markdown of one section.

    Attributes:
        problems: how many things were not as they should be.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.problems = 0
        file.write_text("", encoding="utf-8")

    def say(self, text: str) -> None:
        """Add a line."""
        with self._file.open("a", encoding="utf-8") as page:
            page.write(text + "\n")

    def head(self, *columns: str) -> None:
        """Begin a table."""
        self.say("")
        self.row(columns)
        self.row(["---"] * len(columns))

    def row(self, cells: Iterable[Any]) -> None:
        """Add a row to the table; numbers are given three digits."""
        self.say(f"| {' | '.join(f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in cells)} |")

    def problem(self, text: str) -> None:
        """Add what is wrong; the section then counts as failed."""
        self.problems += 1
        self.say(f"\n**Problem:** {' '.join(text.split())}\n")

    def expect(self, holds: bool, text: str) -> None:
        """A problem unless it holds."""
        if not holds:
            self.problem(text)
