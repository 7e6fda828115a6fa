"""The engine of ComfyUI servers: one thread a server, a prompt an item, the workflow's own models.

An item gives files and values by the names of slots. It is made by the first workflow that has a place for all of them
and loads no further file of a person or garment. `pool.py` shares items out. Nothing of the pictures is computed here:
`batch=`, models, device and number format are the servers' and the workflow's, and saying them is an error.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...disk.addresses import read_bytes
from ...disk.names import hide_secrets
from ..delivery import resolve_options
from ..engines.base import Spent, Work
from ..items import Item, Outcome, ServerOptions, Settings
from .pool import NoServer, ServerPool
from .server import InputFile, Made, Order, Server, ServerGone, parse_host
from .workflow import Workflow, WorkflowError, read_nodes, with_cores_fitting

log = logging.getLogger(__name__)

OF_THE_SERVERS = ("models", "weights", "preset", "device", "dtype", "batch", "pose", "threads", "detail")
"""Settings that a workflow and its server decide."""

SHIPPED = ("tryon_embedded.json", "tryon_photo_pose_nodes.json", "tryon_photo.json")
"""Taken, `with_cores_fitting`, when none is named: for people with joints and parse map, with joints, with a photo
alone."""

COORDINATES = {"picture": "picture", "vitonhd": "768 x 1024 (VITON-HD)", "dresscode": "384 x 512 (Dress Code)"}
"""What the node Load Keypoints calls the pixels that joints count in."""


class ComfyEngine:
    """Pictures from ComfyUI servers; an `engines.base.Engine`.

    Args:
        hosts, workflow, ...: see `ServerOptions`.

    Raises:
        ValueError: no host, one twice, or none; a workflow that cannot be a catalogue's.
    """

    name = "comfyui"

    def __init__(self, hosts: str | Sequence[str] = (), workflow: Any = None, **options: Any):
        files = (workflow,) if isinstance(workflow, str | Path) else tuple(workflow or ())
        asked = ServerOptions(hosts=hosts, workflow=files, **options)
        listed = hosts.split(",") if isinstance(hosts, str) else hosts
        addresses = [parse_host(host) for host in listed if host.strip()]
        if not addresses:
            raise ValueError("--engine comfyui needs --hosts: addresses of ComfyUI servers, joined by commas")
        shown = [hide_secrets(address) for address in addresses]
        if twice := sorted({address for address in shown if shown.count(address) > 1}):
            raise ValueError(f"--hosts names {', '.join(twice)} twice; a server has one worker, --queue is its prompts")
        if asked.queue < 1:
            raise ValueError(f"--queue must be at least 1, got {asked.queue}")
        self.workflows = load_workflows(files)
        self.drawn_only = any(workflow.drawn_only for workflow in self.workflows)
        self._choose = functools.cache(functools.partial(choose_workflow, self.workflows))
        headers = {}
        for place, header in enumerate(asked.header, start=1):
            name, colon, value = header.partition(":")
            if not colon or not name.strip():
                raise ValueError(f"--header number {place} is none; write 'Name: value'")
            headers[name.strip()] = value.strip()
        self.servers = [
            Server(address, self.workflows, most=asked.queue, patience=asked.patience, headers=headers)
            for address in addresses
        ]
        self.give_up, self.workers, self.spent = asked.give_up, len(self.servers), Spent()

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """See `Engine.prepare`; also says in the log which servers are put aside.

        Raises:
            NoServer: none can be used.
            ValueError: a setting is given that the servers decide.
        """
        if given := [name for name in OF_THE_SERVERS if getattr(settings, name) != getattr(Settings(), name)]:
            raise ValueError(
                f"--engine comfyui: {', '.join(given)} cannot be said here: the models, their device and their number "
                "format are the workflow's and its server's, and so is Garment Detail. "
                "Change the workflow (--workflow), or leave it out."
            )

        def check(server: Server) -> str:
            try:
                server.check()
            except ServerGone as gone:
                return str(gone)
            return ""

        with ThreadPoolExecutor(len(self.servers)) as threads:
            told = zip(self.servers, threads.map(check, self.servers), strict=True)
            reasons = {server.address: reason for server, reason in told if reason}
        if len(reasons) == len(self.servers):
            raise NoServer(reasons)
        for address, reason in reasons.items():
            log.warning("%s cannot be used now and is tried again: %s", address, reason)
        return {"engine": self.name} | note_workflows(self.workflows)

    def run(self, work: Work) -> Iterator[Outcome]:
        """See `Engine.run`.

        Raises:
            WorkflowError: no item fits any workflow.
            NoServer: none can be used, at the start or for `give_up` seconds.
        """
        known = {item.id: item for item in work.items}
        unfit = self.find_unfit(work)
        if unfit and len(unfit) == len(known):
            raise WorkflowError(f"no item can be made: {next(iter(unfit.values()))}")
        for item, reason in unfit.items():
            yield Outcome(item, error=reason)
        orders = (self.make_order(work, item) for name, item in known.items() if name not in unfit)
        outcomes = ServerPool(self.servers, give_up=self.give_up).run(orders)
        try:
            for made in outcomes:
                if not made.error:
                    self.spent.add("sample", made.seconds)
                outcome = _deliver(work, known[made.order.item], made)
                yield outcome
                if outcome.stop:
                    return
        finally:
            outcomes.close()

    def close(self) -> None:
        """See `Engine.close`; what servers were given they finish, and a next run takes it from them."""

    def find_unfit(self, work: Work) -> dict[str, str]:
        """Items that no workflow can make, and why, in the work's order."""
        fitting = ((item.id, self._choose(_slots_of(work, item), item.category)) for item in work.items)
        return {name: chosen for name, chosen in fitting if isinstance(chosen, str)}

    def make_order(self, work: Work, item: Item) -> Order:
        """An item that is not unfit as an order."""
        files, values = list_files(work, item), list_values(work, item)
        workflow = self._choose(_slots_of(work, item), item.category)
        if isinstance(workflow, str):
            raise WorkflowError(workflow)
        read = {slot: InputFile(file, functools.partial(read_bytes, file)) for slot, file in files.items()}
        return Order(item.id, workflow, read, values)


def load_workflows(files: Sequence[str | Path] = ()) -> list[Workflow]:
    """The workflows of a run, in the order they are tried; the shipped ones where none is named.

    Raises:
        FileNotFoundError, ValueError: a file is not there or not a workflow in API format.
        WorkflowError: one cannot be a catalogue's.
    """
    if files:
        named = [Workflow(read_nodes(file), Path(file).name) for file in files]
        for workflow in named:
            for name in workflow.without:
                log.warning(
                    "%s has no place for the %s: its items' own are not used. Title a node slot:%s.input where one is "
                    "wanted.", workflow.name, name, name,
                )  # fmt: skip
        return named
    folder = Path(__file__).resolve().parents[3] / "workflows" / "api"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the pack's workflows are not in {folder}: name one in API format with --workflow, "
            "or run from the pack's own folder"
        )
    return [Workflow(with_cores_fitting(read_nodes(folder / name)), name) for name in SHIPPED]


def note_workflows(workflows: Sequence[Workflow]) -> dict[str, str]:
    """What of the workflows decides pictures: each one's SHA-256, by its place in the list."""
    documents = [json.dumps(workflow.document, sort_keys=True) for workflow in workflows]
    digests = [hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest() for document in documents]
    return {f"workflow {place}": digest for place, digest in enumerate(digests, start=1)}


def choose_workflow(workflows: Sequence[Workflow], slots: frozenset[str], category: str) -> Workflow | str:
    """The first workflow that takes these slots, or why none does."""
    reasons = []
    for workflow in workflows:
        try:
            workflow.check(sorted(slots), category)
        except WorkflowError as error:
            reasons.append(str(error))
        else:
            return workflow
    return "\n".join(reasons)


def list_files(work: Work, item: Item) -> dict[str, str]:
    """Slot -> address of every file that the item gives."""
    person, garment = work.manifest.persons[item.person], work.manifest.garments[item.garment]
    files = {
        "person": person.photo,
        "garment": garment.picture,
        "keypoints": person.keypoints,
        "parse_map": person.parse_map,
        "mask": person.mask,
        "garment_mask": garment.mask,
        "reference": garment.reference,
    }
    return {slot: address for slot, address in files.items() if address}


def list_values(work: Work, item: Item) -> dict[str, Any]:
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
    options = dataclasses.asdict(resolve_options(item, work.settings))
    return values | {name: value for name, value in options.items() if value is not None}


def _slots_of(work: Work, item: Item) -> frozenset[str]:
    return frozenset(list_files(work, item)) | frozenset(list_values(work, item))


def _deliver(work: Work, item: Item, made: Made) -> Outcome:
    """The outcome of one answer; the picture is written."""
    if made.error:
        blamed = made.order.files.get(made.slot)
        return Outcome(item.id, error=made.error, error_file=blamed.address if blamed else None, worker=made.server)
    import numpy as np

    from ...disk.pictures import decoded

    try:
        picture = decoded(io.BytesIO(made.picture), f"the result from {made.server}")
    except ValueError as error:
        return Outcome(item.id, error=str(error), worker=made.server)
    pixels = np.asarray(picture.convert("RGB"))
    return work.delivery.picture(item, pixels, seconds=made.seconds, worker=made.server)
