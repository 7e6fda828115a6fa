"""The engine on Ray Data: pools of actors for preparation, encoding and sampling, on one machine or a cluster.

Every wave first encodes what it needs and then samples: `base.split_waves` keeps a wave's encodings within the limit.
`ray_actors.py` holds what runs in the pools. A local Ray is started with more logical than real CPUs, because an actor
pool that holds every logical CPU leaves none for the tasks that feed it, and the run hangs; on a cluster actors ask for
fractions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...disk.addresses import require_package
from ...models import weight_bytes
from ...runtime.processor import usable_cores
from ..encodings import key_of, way_of
from ..items import Outcome, RaySizes, Settings
from ..worker import Faults, describe_models, load_pipeline, require_graphs
from .base import GB, Batch, Needs, Spent, Work, count_bytes, split_waves
from .ray_actors import (
    EncodePeopleAndGarments,
    EncodingTask,
    PreparePeopleAndGarments,
    SampleBatches,
    SamplingTask,
    narrow,
)

log = logging.getLogger(__name__)

MOST_BATCHES, MOST_BLOCKS = 20_000, 2000
"""Of one wave. Up to `MOST_BLOCKS` batches each is a block of its own, so that its outcomes are told at once."""

ROOM = 1.5 * GB
"""Memory an actor on the CPU needs beside the weights, at 512 x 384."""
SPARE = 2
"""Logical CPUs of a local Ray that no actor of ours holds."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # actors without a GPU see those there are, as Ray will do by itself
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its notes on every actor pool say nothing here
    "RAY_worker_niceness": "0",  # with Ray's 15 workers starve beside other processes
}
"""Set before Ray starts, unless somebody has set them already."""


class RayEngine:
    """See `base.Engine`.

    Args:
        folder: of the encodings; on a cluster a folder that its machines share (those that do not encode for
            themselves).
        sizes: of `RaySizes`; 1 GB of encodings in a sampling actor where nothing is said.
    """

    name = "ray"

    def __init__(self, folder: Path | str | None = None, **sizes: Any) -> None:
        self.sizes = RaySizes(**sizes)
        self._open = contextlib.ExitStack()
        if folder is None:
            folder = tempfile.mkdtemp(prefix="ladivton-")
            self._open.callback(shutil.rmtree, folder, ignore_errors=True)
        self.folder = Path(folder)
        self.memory = int((1.0 if self.sizes.memory is None else self.sizes.memory) * GB)
        self.disk = int(self.sizes.disk * GB)
        self.workers = self.sizes.workers or 1
        self.spent = Spent()
        self._ray: Any = None

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
        weights = weight_bytes(*(module for module in pipeline.parts.values() if module is not None))
        device = torch.device(settings.device).type
        self.preset = pipeline.preset
        self.facts = json.loads(json.dumps(describe_models(pipeline, settings) | {"device": device}))
        self.size = tuple(self.facts["size"])
        if self._ray is None:
            self._ray, self._local = start_ray(self.sizes, self._open)
        self._pools = size_pools(self.sizes, self._ray.cluster_resources(), self._local, device, weights)
        self.workers = self._pools.workers
        return self.facts

    def run(self, work: Work) -> Iterator[Outcome]:
        """Waves of encoding and sampling; see `Engine`.

        Raises:
            RuntimeError: see `LocalEngine.run`; or an actor cannot start, with the reason.
        """
        people, faults = work.manifest.persons, Faults()
        require_graphs([people[name] for name, _ in Needs.of(work.batches).persons], self.settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes = count_bytes(self.preset, self.size, torch.finfo(getattr(torch, self.settings.dtype)).bits // 8)
        waves = [*split_waves(work.batches, *sizes, self.disk, MOST_BATCHES)]
        for place, wave in enumerate(waves):
            later = {key_of(people[p], c, self.facts) for w in waves[place + 1 :] for p, c in Needs.of(w).persons}
            self._encode(wave, work, faults)
            yield from self._sample(wave, work, faults)
            for name, category in Needs.of(wave).persons:
                if (key := key_of(people[name], category, self.facts)) not in later:
                    (self.folder / f"{key}.safetensors").unlink(missing_ok=True)

    def close(self) -> None:
        """Stop the Ray that was started here; see `Engine`."""
        self._open.close()
        self._ray = None

    def _encode(self, wave: Sequence[Batch], work: Work, faults: Faults) -> None:
        """Everything the wave needs and that is not there into the folder; what cannot be into `faults`."""
        people, garments = work.manifest.persons, work.manifest.garments
        needs = Needs.of(wave, lambda item: way_of(people[item.person], item.category, self.facts))
        things = [(people[name], category) for name, category in needs.persons]
        things += [(garments[name], way) for name, way in needs.garments]
        tasks = [EncodingTask(key_of(thing, way, self.facts), thing, way) for thing, way in things]
        tasks = [
            task for task in tasks
            if task.key not in faults and not (self.folder / f"{task.key}.safetensors").is_file()
        ]  # fmt: skip
        if not tasks:
            return
        log.info("encoding %d people and garments", len(tasks))
        pools = self._pools
        prepared = self._map(
            self._ray.data.from_items(tasks, override_num_blocks=min(len(tasks), MOST_BLOCKS)),
            PreparePeopleAndGarments, min(pools.preparers, len(tasks)), {"num_cpus": pools.preparer_cpus},
            settings=self.settings, size=self.size,
        )  # fmt: skip
        encoded = self._map(
            prepared, EncodePeopleAndGarments, min(pools.encoders, len(tasks)), pools.each,
            settings=self.settings, facts=self.facts, folder=str(self.folder), disk=self.disk,
        )  # fmt: skip
        for task in self._results(encoded):
            self.spent.add_all(task.spent)
            if task.fault:
                faults[task.key] = task.fault

    def _sample(self, wave: Sequence[Batch], work: Work, faults: Faults) -> Iterator[Outcome]:
        tasks = []
        for batch in wave:
            part = narrow(work.manifest, batch)
            person = part.persons[batch.items[0].person]
            way = way_of(person, batch.items[0].category, self.facts)
            keys = [key_of(person, batch.items[0].category, self.facts)]
            keys += [key_of(part.garments[item.garment], way, self.facts) for item in batch.items]
            tasks.append(SamplingTask(batch, part, {key: faults[key] for key in keys if key in faults}))
        sampled = self._map(
            self._ray.data.from_items(tasks, override_num_blocks=min(len(tasks), MOST_BLOCKS)),
            SampleBatches, min(self._pools.workers, len(tasks)), self._pools.each,
            settings=self.settings, facts=self.facts, folder=str(self.folder), disk=self.disk,
            delivery=work.delivery, memory=self.memory,
        )  # fmt: skip
        for task in self._results(sampled):
            self.spent.add_all(task.spent)
            yield from task.outcomes

    def _map(self, dataset: Any, actor: type, count: int, resources: dict[str, float], **made_of: Any) -> Any:
        pool = self._ray.data.ActorPoolStrategy(size=count)
        return dataset.map(actor, fn_constructor_kwargs=made_of, compute=pool, **resources)

    def _results(self, dataset: Any) -> Iterator[Any]:
        """What comes out, as it comes.

        Raises:
            RuntimeError: an actor or task failed for good; its own message, without Ray's pages.
        """
        try:
            for row in dataset.iter_rows():
                yield row["item"]
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, OSError | ImportError):
                raise cause from error
            raise RuntimeError(f"a worker of Ray failed: {cause}") from error


def start_ray(sizes: RaySizes, closing: contextlib.ExitStack) -> tuple[Any, bool]:
    """The Ray that runs in this process already, that of an address, or a new one on this machine.

    Args:
        closing: gets what is to be done in the end: to stop what was started here.

    Returns:
        The module, and whether that Ray is ours and of this machine alone.

    Raises:
        ImportError: Ray is missing; says how to install it.
        RuntimeError: nothing answers at the address.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("pyarrow", "ray", "ray.data"):
        require_package(name, "the engine ray (--engine local does without)", '"ray[data]" pyarrow')
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    package = Path(__file__).resolve().parents[2]
    local = not ray.is_initialized() and sizes.address is None
    if local:
        # sockets have short names: not every temporary folder will do
        folder = tempfile.mkdtemp(prefix="lvr", dir="/tmp" if os.path.isdir("/tmp") else None)
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
    if not ray.is_initialized():
        closing.callback(ray.shutdown)
    if local:
        store = sizes.object_store or min(2.0, max(0.3, free_memory() / 10 / GB))
        paths = [str(package.parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        ray.init(
            num_cpus=max(usable_cores(), sizes.workers or 0) + SPARE,
            object_store_memory=int(store * GB),
            include_dashboard=sizes.dashboard,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}},
            _temp_dir=folder,
            **quiet,
        )
    elif not ray.is_initialized():
        try:
            ray.init(sizes.address, runtime_env={"py_modules": [str(package)]}, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RuntimeError(f"no Ray cluster answers at {sizes.address}: {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray, local


@dataclass(frozen=True)
class Pools:
    """Numbers of sampling, encoding and preparing actors, and what Ray counts for one of them.

    Attributes:
        each: CPUs and GPUs of a sampling or encoding actor.
        preparer_cpus: of a preparing one.
    """

    workers: int
    encoders: int
    preparers: int
    each: dict[str, float]
    preparer_cpus: float


def size_pools(asked: RaySizes, there: dict[str, float], local: bool, device: str, weights: int) -> Pools:
    """Sizes that follow from the machine or cluster, where nobody gave them.

    Args:
        there: what Ray has, in all.
        local: it runs on this machine alone and is ours.
        device: kind of the models' device, `cpu` or another.
        weights: bytes of all models.

    Raises:
        RuntimeError: the models are to run on a GPU, and Ray sees none.
    """
    gpus, cpus = there.get("GPU", 0.0), there.get("CPU", 1.0)
    if device != "cpu" and not gpus:
        raise RuntimeError(f"the models are to run on {device!r}, and Ray sees no GPU; take --device cpu")
    own = cpus - (SPARE if local else 0)
    fitting = own if device == "cpu" else gpus
    if device == "cpu" and local:  # each holds the models and works in some room
        fitting = min(fitting, free_memory() // (1.5 * weights + ROOM))
    workers = asked.workers or max(1, int(fitting))
    encoders, preparers = asked.encoders or workers, asked.preparers or max(1, int(own / 4))
    # One logical CPU stays free, whatever happens. Preparing and encoding run side by side, sampling alone.
    free = cpus - 1
    each = {"num_cpus": asked.cpus if asked.cpus is not None else round(min(1.0, free / (workers + 1)), 3)}
    rest = (free - encoders * each["num_cpus"]) / (preparers + 1)
    if device != "cpu" and (share := asked.gpus if asked.gpus is not None else min(1.0, gpus / workers)):
        each["num_gpus"] = share
    return Pools(workers, encoders, preparers, each, round(min(1.0, max(0.1, rest)), 3))


def free_memory() -> float:
    """Bytes of memory that are free on this machine; 8 GB where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # Windows, macOS
        return 8.0 * GB
