"""The engine on Ray Data: pools of actors for preparation, encoding and sampling, on one machine or a cluster.

Every wave first encodes what it needs and then samples: `plan.waves_of` keeps a wave's encodings within the limit.
`ray_pools.py` starts Ray and sizes the pools, `ray_actors.py` holds what runs in them.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..memory_plan import weight_bytes
from .dressing import facts_of, graphs_missing, load_pipeline, size_of
from .encodings import key_of
from .engine import Batch, Spent, Work
from .items import Garment, Outcome, Person, Settings
from .maker import Faults
from .plan import encoding_bytes, needs_of, waves_of
from .ray_actors import (
    BatchWork,
    EncodePeopleAndGarments,
    PreparePeopleAndGarments,
    SampleBatches,
    outcome_of,
    part_of,
)
from .ray_pools import GB, Asked, Session, pools_of, start_ray

log = logging.getLogger(__name__)

MOST_BATCHES, MOST_BLOCKS = 20_000, 2000
"""Of one wave. Up to `MOST_BLOCKS` batches each is a block of its own, so that its outcomes are told at once."""


class RayEngine:
    """See `engine.Engine`.

    Args:
        folder: of the encodings; on a cluster a folder that its machines share (those that do not encode for
            themselves).
        workers: sampling actors; None takes one a GPU, or one a CPU where the models run on the CPU, as far as the
            memory holds them.
        encoders, preparers: actors for encoding and preparation; None takes as many as `workers` and a quarter of the
            CPUs.
        cpus, gpus: what Ray counts for a sampling or encoding actor; None takes fractions that fit.
        address: of a cluster; None starts a Ray on this machine and stops it at the end.
        memory, disk: most gigabytes of encodings in a sampling actor and in the folder.
        object_store: gigabytes of Ray's object store where it is started here; None takes a tenth of the memory, at
            most 2.
        dashboard: show Ray's dashboard, where it is started here.
    """

    name = "ray"

    def __init__(
        self, folder: Path | str | None = None, workers: int | None = None, encoders: int | None = None,
        preparers: int | None = None, cpus: float | None = None, gpus: float | None = None,
        address: str | None = None, memory: float = 1.0, disk: float = 20.0, object_store: float | None = None,
        dashboard: bool = False,
    ) -> None:  # fmt: skip
        for name, count in (("workers", workers), ("encoders", encoders), ("preparers", preparers)):
            if count is not None and count < 1:
                raise ValueError(f"{name} is {count}; expected 1 or more")
        self._temporary = None
        if folder is None:
            self._temporary = folder = tempfile.mkdtemp(prefix="ladivton-")
        self.folder = Path(folder)
        self.memory, self.disk = int(memory * GB), int(disk * GB)
        self.workers = workers or 1
        self.spent = Spent()
        self._asked = Asked(workers, encoders, preparers, cpus, gpus)
        self._start = lambda: start_ray(address, workers, object_store, dashboard)
        self._session: Session | None = None

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """Start or find Ray, and look at the models on this machine; see `Engine`.

        Raises:
            ImportError: Ray is missing; says how to install it.
            RuntimeError: the cluster cannot be reached, or has fewer GPUs than were asked for.
        """
        self.settings = dataclasses.replace(settings, threads=settings.threads or 1)
        before = torch.get_num_threads()
        pipeline = load_pipeline(dataclasses.replace(self.settings, device="cpu"))
        torch.set_num_threads(before)  # this process is not the one that works
        self.preset, self.size = pipeline.preset, size_of(pipeline, settings)
        parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.vision, pipeline.adapter, pipeline.warper)
        self.facts = {"engine": "core"} | facts_of(pipeline, settings) | {"device": torch.device(settings.device).type}
        self.facts = json.loads(json.dumps(self.facts))
        self._session = self._session or self._start()
        self._pools = pools_of(self._asked, self._session, self.facts["device"], weight_bytes(*parts))
        self.workers = self._pools.workers
        return self.facts

    def run(self, work: Work) -> Iterator[Outcome]:
        """Waves of encoding and sampling; see `Engine`.

        Raises:
            RuntimeError: see `LocalEngine.run`; or an actor cannot start, with the reason.
        """
        manifest, faults = work.manifest, Faults()
        needs = needs_of(work.batches)
        if missing := graphs_missing([manifest.persons[name] for name, _ in needs.persons], self.settings):
            raise RuntimeError(missing)
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes = encoding_bytes(self.preset, self.size, torch.finfo(getattr(torch, self.settings.dtype)).bits // 8)
        waves = [*waves_of(work.batches, *sizes, self.disk, MOST_BATCHES)]
        for place, wave in enumerate(waves):
            later = {self._key(manifest.persons[p], c) for w in waves[place + 1 :] for p, c in needs_of(w).persons}
            self._encode(wave, work, faults)
            yield from self._sample(wave, work, faults)
            for name, category in needs_of(wave).persons:
                if (key := self._key(manifest.persons[name], category)) not in later:
                    (self.folder / f"{key}.safetensors").unlink(missing_ok=True)

    def close(self) -> None:
        """Stop the Ray that was started here; see `Engine`."""
        if self._session is not None:
            self._session.close()
        self._session = None
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary = None

    def _key(self, thing: Person | Garment, category: str) -> str:
        return key_of(thing, category, self.facts)

    def _encode(self, wave: Sequence[Batch], work: Work, faults: Faults) -> None:
        """Everything the wave needs and that is not there into the folder; what cannot be into `faults`."""
        manifest, needs = work.manifest, needs_of(wave)
        things = [(manifest.persons[name], category) for name, category in needs.persons]
        things += [(manifest.garments[name], manifest.garments[name].category) for name in needs.garments]
        rows = [
            {"key": key, "thing": pickle.dumps(thing), "category": category}
            for thing, category in things
            if (key := self._key(thing, category)) not in faults and not (self.folder / f"{key}.safetensors").is_file()
        ]
        if not rows:
            return
        log.info("encoding %d people and garments", len(rows))
        data = self._session.ray.data
        dataset = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
        dataset = dataset.map(
            PreparePeopleAndGarments,
            fn_constructor_kwargs={"settings": self.settings, "size": self.size},
            compute=data.ActorPoolStrategy(size=min(self._pools.preparers, len(rows))),
            num_cpus=self._pools.preparer_cpus,
        ).map(
            EncodePeopleAndGarments,
            fn_constructor_kwargs={
                "settings": self.settings,
                "facts": self.facts,
                "folder": str(self.folder),
                "disk": self.disk,
            },
            compute=data.ActorPoolStrategy(size=min(self._pools.encoders, len(rows))),
            num_cpus=self._pools.cpus,
            **({"num_gpus": self._pools.gpus} if self._pools.gpus else {}),
        )
        for row in self._rows(dataset):
            self._spend(json.loads(row["spent"]))
            if row["fault"]:
                faults[row["key"]] = tuple(json.loads(row["fault"]))

    def _sample(self, wave: Sequence[Batch], work: Work, faults: Faults) -> Iterator[Outcome]:
        data, rows = self._session.ray.data, []
        for batch in wave:
            part = part_of(work.manifest, batch)
            keys = [self._key(part.persons[item.person], item.category) for item in batch.items[:1]]
            keys += [self._key(part.garments[item.garment], item.category) for item in batch.items]
            known = {key: faults[key] for key in keys if key in faults}
            rows.append({"work": pickle.dumps(BatchWork(batch, part, known))})
        dataset = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            SampleBatches,
            fn_constructor_kwargs={
                "settings": self.settings, "facts": self.facts, "folder": str(self.folder),
                "delivery": work.delivery, "memory": self.memory, "disk": self.disk,
            },
            compute=data.ActorPoolStrategy(size=min(self._pools.workers, len(rows))),
            num_cpus=self._pools.cpus,
            **({"num_gpus": self._pools.gpus} if self._pools.gpus else {}),
        )  # fmt: skip
        for row in self._rows(dataset):
            told = json.loads(row["told"])
            self._spend(told["spent"])
            yield from map(outcome_of, told["outcomes"])

    def _rows(self, dataset: Any) -> Iterator[dict[str, Any]]:
        """Rows as they come.

        Raises:
            RuntimeError: an actor or task failed for good; its own message, without Ray's pages.
        """
        try:
            yield from dataset.iter_rows()
        except self._session.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, OSError | ImportError):
                raise cause from error
            raise RuntimeError(f"a worker of Ray failed: {cause}") from error

    def _spend(self, stages: dict[str, Any]) -> None:
        for stage, (count, seconds) in stages.items():
            self.spent.add(stage, seconds, count)
