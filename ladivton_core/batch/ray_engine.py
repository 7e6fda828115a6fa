"""The engine on Ray Data: pools of actors for preparation, encoding and sampling, on one machine or a cluster.

A local Ray is started with more logical than real CPUs, because an actor pool that holds every logical CPU leaves none
for the tasks that feed it, and the run hangs; on a cluster actors ask for fractions. Ray is told not to report usage.
Every wave first encodes what it needs and then samples: `plan.waves_of` keeps a wave's encodings within the limit.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle
import shutil
import sys
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

log = logging.getLogger(__name__)

GB = 10**9
ROOM = 1.5 * GB
"""Memory an actor on the CPU needs beside the weights, at 512 x 384."""
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
        self.folder, self.address = Path(folder), address
        self._given = (workers, encoders, preparers, cpus, gpus)
        self.memory, self.disk, self.object_store, self.dashboard = (
            int(memory * GB),
            int(disk * GB),
            object_store,
            dashboard,
        )
        self.workers = workers or 1
        self.spent = Spent()
        self._ray: Any = None
        self._session: str | None = None

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
        self._weights = weight_bytes(*parts)
        self.facts = {"engine": "core"} | facts_of(pipeline, settings) | {"device": torch.device(settings.device).type}
        self.facts = json.loads(json.dumps(self.facts))
        self._start()
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
        if self._ray is not None and self._started:
            self._ray.shutdown()
        self._ray = None
        for folder in (self._session, self._temporary):
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
        self._session = self._temporary = None

    def _start(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its notes on every actor pool say nothing here
        os.environ.setdefault(
            "RAY_worker_niceness", "0"
        )  # Ray gives way to every other process: beside them it starves
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise ImportError(
                f"the engine ray needs Ray Data ({error}; extra `batch`). Install it with the Python that runs this: "
                f'"{sys.executable}" -m pip install "ray[data]" pyarrow. Or take --engine local'
            ) from error
        self._ray, self._started = ray, not ray.is_initialized()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self._started and self.address is None:
            workers = self._given[0] or cores
            store = self.object_store or min(2.0, max(0.3, _free_memory() / 10 / GB))
            self._session = tempfile.mkdtemp(prefix="lvr", dir="/tmp" if os.path.isdir("/tmp") else None)
            ray.init(
                num_cpus=max(cores, workers) + 2, object_store_memory=int(store * GB), _temp_dir=self._session,
                include_dashboard=self.dashboard, log_to_driver=False, logging_level="ERROR",
                runtime_env=_environment(),
            )  # fmt: skip
        elif self._started:
            try:
                ray.init(
                    self.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"py_modules": [str(Path(__file__).resolve().parents[1])]},
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise RuntimeError(f"no Ray cluster answers at {self.address}: {error}") from error
        self._size_pools(ray.cluster_resources())
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray").setLevel(logging.ERROR)

    def _size_pools(self, there: dict[str, float]) -> None:
        """How many actors, and what Ray counts for each."""
        workers, encoders, preparers, cpus, gpus = self._given
        on_gpu = torch.device(self.settings.device).type != "cpu"
        there_gpus, there_cpus = there.get("GPU", 0.0), there.get("CPU", 1.0)
        if on_gpu and not there_gpus:
            raise RuntimeError(
                f"the models are to run on {self.settings.device!r}, and Ray sees no GPU; take --device cpu"
            )
        local = self.address is None and self._started
        spare = 2 if local else 0
        fitting = there_gpus if on_gpu else there_cpus - spare
        if not on_gpu and local:  # each holds the models and works in some room
            fitting = min(fitting, _free_memory() // (1.5 * self._weights + ROOM))
        self.workers = workers or max(1, int(fitting))
        self.encoders = encoders or self.workers
        self.preparers = preparers or max(1, int((there_cpus - spare) / 4))
        # Preparing and encoding run side by side, sampling alone: the first two share what the third has to itself.
        free = there_cpus - 1
        self.cpus = cpus if cpus is not None else round(min(1.0, free / (self.workers + 1)), 3)
        self.gpus = (gpus if gpus is not None else min(1.0, there_gpus / self.workers)) if on_gpu else 0.0
        self.preparer_cpus = round(min(1.0, max(0.1, (free - self.encoders * self.cpus) / (self.preparers + 1))), 3)

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
        data = self._ray.data
        dataset = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
        dataset = dataset.map(
            PreparePeopleAndGarments,
            fn_constructor_kwargs={"settings": self.settings, "size": self.size},
            compute=data.ActorPoolStrategy(size=min(self.preparers, len(rows))),
            num_cpus=self.preparer_cpus,
        ).map(
            EncodePeopleAndGarments,
            fn_constructor_kwargs={
                "settings": self.settings,
                "facts": self.facts,
                "folder": str(self.folder),
                "disk": self.disk,
            },
            compute=data.ActorPoolStrategy(size=min(self.encoders, len(rows))),
            num_cpus=self.cpus,
            **({"num_gpus": self.gpus} if self.gpus else {}),
        )
        for row in self._rows(dataset):
            self._spend(json.loads(row["spent"]))
            if row["fault"]:
                faults[row["key"]] = tuple(json.loads(row["fault"]))

    def _sample(self, wave: Sequence[Batch], work: Work, faults: Faults) -> Iterator[Outcome]:
        data, rows = self._ray.data, []
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
            compute=data.ActorPoolStrategy(size=min(self.workers, len(rows))),
            num_cpus=self.cpus,
            **({"num_gpus": self.gpus} if self.gpus else {}),
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
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, OSError | ImportError):
                raise cause from error
            raise RuntimeError(f"a worker of Ray failed: {cause}") from error

    def _spend(self, stages: dict[str, Any]) -> None:
        for stage, (count, seconds) in stages.items():
            self.spent.add(stage, seconds, count)


def _environment() -> dict[str, Any]:
    """What a local Ray's processes need to import this package."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {"env_vars": {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}}


def _free_memory() -> float:
    """Bytes of memory that are free on this machine; 8 GB where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # Windows, macOS
        return 8.0 * GB
