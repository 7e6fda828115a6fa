"""Which workflow makes an item, and what it is filled in with.

An item gives files and values by the names of slots. It is made by the first workflow that has a place for all of them
and loads no further file of a person or garment. `workflow.py` knows a single one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..addresses import read_bytes
from ..engine import Work
from ..items import Item
from .core_way import as_the_core
from .jobs import File, Job
from .workflow import Workflow, WorkflowError, read_nodes

SHIPPED = ("tryon_embedded.json", "tryon_photo_pose_nodes.json", "tryon_photo.json")
"""Taken, `as_the_core`, when none is named: for people with joints and parse map, with joints, with a photo alone."""

COORDINATES = {"picture": "picture", "vitonhd": "768 x 1024 (VITON-HD)", "dresscode": "384 x 512 (Dress Code)"}
"""What the node Load Keypoints calls the pixels that joints count in."""


class Choice:
    """The workflows of a run, in the order they are tried.

    Args:
        files: see `ComfyEngine`.

    Raises:
        FileNotFoundError, ValueError: a file is not there or not a workflow in API format.
        WorkflowError: one cannot be a catalogue's.
    """

    def __init__(self, files: str | Path | Sequence[str | Path] | None = None):
        if files is None or (not isinstance(files, str | Path) and not files):
            self.workflows = [Workflow(as_the_core(read_nodes(file)), file.name) for file in _shipped()]
        else:
            named = [files] if isinstance(files, str | Path) else files
            self.workflows = [Workflow(read_nodes(file), Path(file).name) for file in named]
        self._fits: dict[tuple, Workflow | str] = {}

    def note(self) -> dict[str, Any]:
        """What of the workflows decides pictures: each one's SHA-256, by its place in the list."""
        documents = [json.dumps(workflow.document, sort_keys=True) for workflow in self.workflows]
        digests = [hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest() for document in documents]
        return {f"workflow {place}": digest for place, digest in enumerate(digests, start=1)}

    def unfit(self, work: Work) -> dict[str, str]:
        """Items that no workflow can make, and why, in the work's order."""
        reasons = {}
        for item in work.items:
            fitting = self._fitting(files_of(work, item).keys() | _values(work, item).keys(), item.category)
            if isinstance(fitting, str):
                reasons[item.id] = fitting
        return reasons

    def job(self, work: Work, item: Item) -> Job:
        """An item that is not `unfit` as a job."""
        files, values = files_of(work, item), _values(work, item)
        workflow = self._fitting(files.keys() | values.keys(), item.category)
        if isinstance(workflow, str):
            raise WorkflowError(workflow)
        placed = {slot: File(address, lambda address=address: read_bytes(address)) for slot, address in files.items()}
        return Job(item.id, workflow, placed, values)

    def _fitting(self, names: set[str], category: str) -> Workflow | str:
        key = (frozenset(names), category)
        if key not in self._fits:
            reasons = []
            for workflow in self.workflows:
                try:
                    workflow.check(sorted(names), category)
                except WorkflowError as error:
                    reasons.append(str(error))
                else:
                    self._fits[key] = workflow
                    break
            else:
                self._fits[key] = "\n".join(reasons)
        return self._fits[key]


def files_of(work: Work, item: Item) -> dict[str, str]:
    """Slot -> address of every file that the item gives."""
    person, garment = work.manifest.persons[item.person], work.manifest.garments[item.garment]
    files = {
        "person": person.photo,
        "garment": garment.picture,
        "keypoints": person.keypoints,
        "parse_map": person.parse_map,
        "mask": person.mask,
        "garment_mask": garment.mask,
    }
    return {slot: address for slot, address in files.items() if address}


def _values(work: Work, item: Item) -> dict[str, Any]:
    """Slot -> value of everything else that the item or the run's settings say."""
    person, garment = work.manifest.persons[item.person], work.manifest.garments[item.garment]
    values: dict[str, Any] = {"category": item.category, "seed": item.seed}
    if person.keypoints:
        values["coordinates"] = COORDINATES[person.coordinates]
    if person.parse_map:
        values["label_set"] = person.label_set
    if garment.prompt:
        values["prompt"] = garment.prompt
    if work.settings.size:
        values["height"], values["width"] = work.settings.size
    if work.settings.paste_back and person.parse_map:
        values["paste_back"] = True
    for name in ("steps", "guidance_scale"):
        said = getattr(item.options, name)
        said = getattr(work.settings.options, name) if said is None else said
        if said is not None:
            values[name] = said
    return values


def _shipped() -> list[Path]:
    folder = Path(__file__).resolve().parents[3] / "workflows" / "api"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the pack's workflows are not in {folder}: name one in API format with --workflow, "
            "or run from the pack's own folder"
        )
    return [folder / name for name in SHIPPED]
