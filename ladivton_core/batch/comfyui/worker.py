"""The thread that keeps one ComfyUI server at work: it fills the server's queue and takes what is done.

`pool.py` gives it jobs and hears what became of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .jobs import JobFailed, Lost, Made, ServerGone, Waiting
from .server import Flight, Server

if TYPE_CHECKING:
    from .pool import Pool

log = logging.getLogger(__name__)

CHANCES = 3
"""How often a job may be given out again before it is taken for what ails the servers."""
IN_A_ROW = 3
"""Runs that fail one after another, other than over their inputs, until a server is put aside."""
_SHORTEST_LOOK, _LONGEST_LOOK = 0.02, 0.5


class Worker:
    """What one server has, and its luck so far."""

    def __init__(self, pool: Pool, server: Server):
        self.pool, self.server = pool, server
        self.flights: list[tuple[Flight, Waiting]] = []
        self.failures: list[str] = []

    def work(self) -> None:
        wait, look, ready = self.pool.first_wait, _SHORTEST_LOOK, False
        while not self.pool.over:
            try:
                if not ready:
                    self.server.check()
                    self.pool.put_aside(self.server.address, None)
                    ready = True
                moved = self._collect() + self._fill()
            except ServerGone as gone:
                self._leave(str(gone), wait)
                self.pool.rest(wait, until_over=True)
                wait, ready = min(2 * wait, self.pool.longest_wait), False
                continue
            if moved:
                wait, look = self.pool.first_wait, _SHORTEST_LOOK
            else:
                look = min(1.5 * look, _LONGEST_LOOK)
                self.pool.rest(look)

    def _fill(self) -> int:
        """Queue what the server has room for."""
        moved = 0
        while len(self.flights) < self.server.most and self.server.has_room():
            if any(waiting.told for _, waiting in self.flights):
                break
            waiting = self.pool.take(self.server.address, busy=bool(self.flights))
            if waiting is None:
                break
            try:
                self.flights.append((self.server.start(waiting.job), waiting))
            except JobFailed as failed:
                self._fail(waiting, failed)
            except BaseException:
                self.pool.give_back(waiting)
                raise
            moved += 1
        return moved

    def _collect(self) -> int:
        """Take what the server has done."""
        moved = 0
        for entry in list(self.flights):
            flight, waiting = entry
            try:
                made = self.server.look(flight)
                if made is None:
                    continue
                self.flights.remove(entry)
                self.failures.clear()
                self.pool.answer(made)
            except JobFailed as failed:
                self.flights.remove(entry)
                self._fail(waiting, failed)
            except Lost as lost:
                self.flights.remove(entry)
                self._again(waiting, str(lost))
            moved += 1
        return moved

    def _fail(self, waiting: Waiting, failed: JobFailed) -> None:
        """A job's error, or another server for it, once."""
        reason, address = str(failed), self.server.address
        if failed.elsewhere and not waiting.servers and self.pool.others(address):
            log.warning("%s failed at %s and goes to another server: %s", waiting.job.item, address, reason)
            waiting.servers.add(address)
            self.pool.give_back(waiting)
        else:
            self._end(waiting, reason, failed.slot)
        if failed.elsewhere:
            self.failures.append(reason)
        if len(self.failures) >= IN_A_ROW:
            self.failures.clear()
            raise ServerGone(f"{IN_A_ROW} runs in a row failed there; the last: {reason}")

    def _end(self, waiting: Waiting, reason: str, slot: str = "") -> None:
        self.pool.answer(Made(waiting.job, error=reason, slot=slot, server=self.server.address))

    def _again(self, waiting: Waiting, reason: str) -> None:
        """A job that a server lost goes back, unless it happens to this one too often."""
        waiting.told.append(f"{self.server.address}: {reason}")
        if len(waiting.told) >= CHANCES:
            self._end(waiting, f"{CHANCES} times a server was lost with it ({'; '.join(waiting.told)})")
        else:
            self.pool.give_back(waiting)

    def _leave(self, reason: str, wait: float) -> None:
        """Put the server aside and give its jobs back."""
        address = self.server.address
        log.warning("%s is put aside and tried again in %.0f s: %s", address, wait, reason)
        self.pool.put_aside(address, reason)
        for _, waiting in self.flights:
            self._again(waiting, reason)
        self.flights.clear()
