"""Starting or finding Ray, and how many actors there are and what Ray counts for each.

A local Ray is started with more logical than real CPUs, because an actor pool that holds every logical CPU leaves none
for the tasks that feed it, and the run hangs; on a cluster actors ask for fractions. `ray_engine.py` fills the pools.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GB = 10**9
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


@dataclass(frozen=True)
class Asked:
    """Sizes as somebody gave them; None is for us to say. See `RayEngine`."""

    workers: int | None = None
    encoders: int | None = None
    preparers: int | None = None
    cpus: float | None = None
    gpus: float | None = None


@dataclass(frozen=True)
class Pools:
    """Numbers of sampling, encoding and preparing actors, and what Ray counts for one of them.

    Attributes:
        cpus, gpus: of a sampling or encoding actor.
        preparer_cpus: of a preparing one.
    """

    workers: int
    encoders: int
    preparers: int
    cpus: float
    gpus: float
    preparer_cpus: float


@dataclass
class Session:
    """A Ray to work with.

    Attributes:
        ray: the module.
        started: it was started, or connected to, by us.
        local: it runs on this machine alone and is ours.
        folder: of its logs and sockets, where it is ours.
    """

    ray: Any
    started: bool
    local: bool
    folder: str | None = None

    def close(self) -> None:
        """Stop what we started; let go of what we connected to."""
        if self.started:
            self.ray.shutdown()
        self.started = False
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def start_ray(address: str | None, workers: int | None, object_store: float | None, dashboard: bool) -> Session:
    """The Ray that runs in this process already, that of an address, or a new one on this machine.

    Raises:
        ImportError: Ray is missing; says how to install it.
        RuntimeError: nothing answers at the address.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            f"the engine ray needs Ray Data ({error}; extra `batch`). Install it with the Python that runs this: "
            f'"{sys.executable}" -m pip install "ray[data]" pyarrow. Or take --engine local'
        ) from error
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    package = Path(__file__).resolve().parents[1]
    session = Session(ray, started=not ray.is_initialized(), local=False)
    if session.started and address is not None:
        try:
            ray.init(address, runtime_env={"py_modules": [str(package)]}, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RuntimeError(f"no Ray cluster answers at {address}: {error}") from error
    elif session.started:
        store = object_store or min(2.0, max(0.3, free_memory() / 10 / GB))
        # sockets have short names: not every temporary folder will do
        session.folder = tempfile.mkdtemp(prefix="lvr", dir="/tmp" if os.path.isdir("/tmp") else None)
        session.local = True
        paths = [str(package.parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        ray.init(
            num_cpus=max(cores(), workers or 0) + SPARE,
            object_store_memory=int(store * GB),
            include_dashboard=dashboard,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}},
            _temp_dir=session.folder,
            **quiet,
        )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray").setLevel(logging.ERROR)
    return session


def pools_of(asked: Asked, session: Session, device: str, weights: int) -> Pools:
    """Sizes that follow from the machine or cluster, where nobody gave them.

    Args:
        device: kind of the models' device, `cpu` or another.
        weights: bytes of all models.

    Raises:
        RuntimeError: the models are to run on a GPU, and Ray sees none.
    """
    there = session.ray.cluster_resources()
    gpus, cpus = there.get("GPU", 0.0), there.get("CPU", 1.0)
    if device != "cpu" and not gpus:
        raise RuntimeError(f"the models are to run on {device!r}, and Ray sees no GPU; take --device cpu")
    own = cpus - (SPARE if session.local else 0)
    fitting = own if device == "cpu" else gpus
    if device == "cpu" and session.local:  # each holds the models and works in some room
        fitting = min(fitting, free_memory() // (1.5 * weights + ROOM))
    workers = asked.workers or max(1, int(fitting))
    encoders, preparers = asked.encoders or workers, asked.preparers or max(1, int(own / 4))
    # One logical CPU stays free, whatever happens. Preparing and encoding run side by side, sampling alone.
    free = cpus - 1
    each = asked.cpus if asked.cpus is not None else round(min(1.0, free / (workers + 1)), 3)
    share = asked.gpus if asked.gpus is not None else min(1.0, gpus / workers)
    rest = (free - encoders * each) / (preparers + 1)
    return Pools(
        workers, encoders, preparers, each, 0.0 if device == "cpu" else share, round(min(1.0, max(0.1, rest)), 3)
    )


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> float:
    """Bytes of memory that are free on this machine; 8 GB where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # Windows, macOS
        return 8.0 * GB
