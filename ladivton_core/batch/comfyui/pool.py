"""Several ComfyUI servers, one catalogue: who does what, and what happens when one of them goes away.

One thread a server. Jobs are taken one by one as servers have room, so that a slow one gets few. A job is at one server
at a time and is given out again only when that one has lost it; its result is taken once.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from .jobs import Job, Made, Waiting
from .server import Server
from .worker import Worker

FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0
"""Seconds until a server that was put aside is tried again: the first time, and at most (it doubles)."""
GIVE_UP = 600.0
"""Seconds without any server until a run stops."""


class NoServer(RuntimeError):
    """No server can be used; the message names each with its reason. What was not done stays undone."""


class Pool:
    """The servers of a run.

    Args:
        servers: each at an address of its own.
        first_wait, longest_wait, give_up: see `FIRST_WAIT`, `LONGEST_WAIT` and `GIVE_UP`.

    Attributes:
        aside: address -> why a server is not used now.
        made: address -> how many pictures came from there.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        first_wait: float = FIRST_WAIT,
        longest_wait: float = LONGEST_WAIT,
        give_up: float = GIVE_UP,
    ):
        if not servers:
            raise ValueError("a pool needs at least one server")
        self.servers = list(servers)
        self.first_wait, self.longest_wait, self.give_up = first_wait, longest_wait, give_up
        self.aside: dict[str, str] = {}
        self.made = {server.address: 0 for server in servers}
        self._lock = threading.Condition()
        self._back: deque[Waiting] = deque()
        self._kept: deque[Waiting] = deque()  # for the servers that hold them
        self._out = 0  # jobs that were taken and not answered: at a server, in `_back` or in `_kept`
        self._over = threading.Event()
        self._answers: queue.Queue[Made | BaseException | None] = queue.Queue()  # None: a thread ended

    def run(self, jobs: Iterable[Job]) -> Iterator[Made]:
        """Every job's outcome, in the order they come; a pool runs once.

        Args:
            jobs: taken as servers have room for them, from one thread at a time.

        Raises:
            NoServer: none can be used, at the start or for `give_up` seconds.
        """
        self._jobs: Iterator[Job] | None = iter(jobs)
        threads = [
            threading.Thread(target=self._serve, args=(server,), name=server.address, daemon=True)
            for server in self.servers
        ]
        for thread in threads:
            thread.start()
        try:
            yield from self._answered(threads)
        finally:
            self._over.set()
            with self._lock:
                self._lock.notify_all()
            deadline = time.monotonic() + 2  # one that waits for an answer ends by itself
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _answered(self, threads: Sequence[threading.Thread]) -> Iterator[Made]:
        without_since, running = None, len(threads)
        while running:
            try:
                answer = self._answers.get(timeout=0.1)
            except queue.Empty:
                with self._lock:
                    none = len(self.aside) == len(self.servers)
                    reasons = dict(self.aside)
                if not none:
                    without_since = None
                    continue
                without_since = without_since or time.monotonic()
                never = not any(self.made.values())
                if never or time.monotonic() - without_since > self.give_up:
                    told = "\n".join(f"  {address}: {reason}" for address, reason in reasons.items())
                    raise NoServer(f"none of the {len(reasons)} ComfyUI servers can be used:\n{told}") from None
                continue
            if answer is None:
                running -= 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                yield answer

    def _serve(self, server: Server) -> None:
        """A thread: keep a server at work until there is nothing to do."""
        try:
            Worker(self, server).work()
        except BaseException as error:  # a fault of the program, or of whoever gives the jobs: the run ends with it
            self._answers.put(error)
        finally:
            self._answers.put(None)

    def take(self, address: str, busy: bool) -> Waiting | None:
        """A job for a server; None when there is none for it now.

        What went away with a server is given to one that has nothing else (not `busy`): if that is lost too, it is
        clear over what.
        """
        with self._lock:
            usable = {server.address for server in self.servers} - self.aside.keys()
            for place, waiting in enumerate(self._back):
                if address not in waiting.servers or usable <= waiting.servers:
                    if waiting.told and busy:
                        return None
                    del self._back[place]
                    return waiting
            for place, waiting in enumerate(self._kept):
                if self._holder(waiting.job) in (None, address):
                    del self._kept[place]
                    return waiting
            while self._jobs is not None and not self._over.is_set():
                try:
                    job = next(self._jobs)
                except StopIteration:
                    self._jobs = None
                    self._lock.notify_all()
                    break
                self._out += 1
                if self._holder(job) in (None, address):
                    return Waiting(job)
                self._kept.append(Waiting(job))
            return None

    def _holder(self, job: Job) -> str | None:
        """The server in use that has a job from a driver that is gone, or its picture."""
        holders = (server.address for server in self.servers if job.item in server.held)
        return next((address for address in holders if address not in self.aside), None)

    def give_back(self, waiting: Waiting) -> None:
        """A job for another try, before all that was not taken yet."""
        with self._lock:
            self._back.append(waiting)
            self._lock.notify_all()

    def answer(self, made: Made) -> None:
        """The end of a job."""
        self._answers.put(made)
        with self._lock:
            self._out -= 1
            if not made.error:
                self.made[made.server] += 1
            self._lock.notify_all()

    def others(self, address: str) -> bool:
        """Whether another server is in use."""
        with self._lock:
            return any(other.address != address and other.address not in self.aside for other in self.servers)

    def put_aside(self, address: str, reason: str | None) -> None:
        """Note why a server is not used; None when it is again."""
        with self._lock:
            if reason is None:
                self.aside.pop(address, None)
            else:
                self.aside[address] = reason

    def rest(self, seconds: float, *, until_over: bool = False) -> None:
        """Wait; less when the run is over and, unless `until_over`, when anything happens."""
        with self._lock:
            self._lock.wait_for(lambda: self.over, seconds) if until_over or self.over else self._lock.wait(seconds)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, or nobody waits for it any more."""
        return self._over.is_set() or (self._jobs is None and self._out == 0)
