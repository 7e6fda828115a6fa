"""Several ComfyUI servers, one catalogue: who does what, and what happens when one of them goes away.

One thread a server keeps the server's queue filled and takes what is done. Orders are taken one by one as servers have
room, so that a slow one gets few. An order is at one server at a time and is given out again only when that one has
lost it; its result is taken once.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .server import Flight, Lost, Made, Order, OrderFailed, Server, ServerGone

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0
"""Seconds until a server that was put aside is tried again: the first time, and at most (it doubles)."""
CHANCES = 3
"""How often an order may be given out again before it is taken for what ails the servers."""
IN_A_ROW = 3
"""Runs that fail one after another, other than over their inputs, until a server is put aside."""
_SHORTEST_LOOK, _LONGEST_LOOK = 0.02, 0.5


class NoServer(RuntimeError):
    """No server can be used; the message names each with its reason. What was not done stays undone."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        told = "\n".join(f"  {address}: {reason}" for address, reason in reasons.items())
        super().__init__(f"none of the {len(reasons)} ComfyUI servers can be used:\n{told}")


class ServerPool:
    """The servers of a run.

    Args:
        servers: each at an address of its own.
        first_wait, longest_wait: see `FIRST_WAIT` and `LONGEST_WAIT`.
        give_up: seconds without any server until a run stops.

    Attributes:
        aside: address -> why a server is not used now.
        made: address -> how many pictures came from there.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        give_up: float,
        first_wait: float = FIRST_WAIT,
        longest_wait: float = LONGEST_WAIT,
    ):
        if not servers:
            raise ValueError("a pool needs at least one server")
        self.servers = list(servers)
        self.first_wait, self.longest_wait, self.give_up = first_wait, longest_wait, give_up
        self.aside: dict[str, str] = {}
        self.made = {server.address: 0 for server in servers}
        self._lock = threading.Condition()
        self._back: deque[Order] = deque()
        self._kept: deque[Order] = deque()  # for the servers that hold them
        self._out = 0  # orders that were taken and not answered: at a server, in `_back` or in `_kept`
        self._over = threading.Event()
        self._answers: queue.Queue[Made | BaseException | None] = queue.Queue()  # None: a thread ended

    def run(self, orders: Iterable[Order]) -> Iterator[Made]:
        """Every order's outcome, in the order they come; a pool runs once.

        Args:
            orders: taken as servers have room for them, from one thread at a time.

        Raises:
            NoServer: none can be used, at the start or for `give_up` seconds.
        """
        self._orders: Iterator[Order] | None = iter(orders)
        threads = [
            threading.Thread(target=self._serve, args=(server,), name=server.address, daemon=True)
            for server in self.servers
        ]
        for thread in threads:
            thread.start()
        try:
            yield from self._answered(len(threads))
        finally:
            self._over.set()
            with self._lock:
                self._lock.notify_all()
            deadline = time.monotonic() + 2  # one that waits for an answer ends by itself
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _answered(self, running: int) -> Iterator[Made]:
        without_since = None
        while running:
            try:
                answer = self._answers.get(timeout=0.1)
            except queue.Empty:
                with self._lock:
                    reasons = dict(self.aside)
                if len(reasons) < len(self.servers):
                    without_since = None
                    continue
                without_since = without_since or time.monotonic()
                if not any(self.made.values()) or time.monotonic() - without_since > self.give_up:
                    raise NoServer(reasons) from None
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
            _ServerThread(self, server).work()
        except BaseException as error:  # a fault of the program, or of whoever gives the orders: the run ends with it
            self._answers.put(error)
        finally:
            self._answers.put(None)

    def take(self, address: str, busy: bool) -> Order | None:
        """An order for a server; None when there is none for it now.

        What went away with a server is given to one that has nothing else (not `busy`): if that is lost too, it is
        clear over what.
        """
        with self._lock:
            usable = {server.address for server in self.servers} - self.aside.keys()
            for place, order in enumerate(self._back):
                if address not in order.servers or usable <= order.servers:
                    if order.told and busy:
                        return None
                    del self._back[place]
                    return order
            for place, order in enumerate(self._kept):
                if self._holder(order) in (None, address):
                    del self._kept[place]
                    return order
            while self._orders is not None and not self._over.is_set():
                try:
                    order = next(self._orders)
                except StopIteration:
                    self._orders = None
                    self._lock.notify_all()
                    break
                self._out += 1
                if self._holder(order) in (None, address):
                    return order
                self._kept.append(order)
            return None

    def _holder(self, order: Order) -> str | None:
        """The server in use that has an order from a driver that is gone, or its picture."""
        holders = (server.address for server in self.servers if order.item in server.held)
        return next((address for address in holders if address not in self.aside), None)

    def give_back(self, order: Order) -> None:
        """An order for another try, before all that was not taken yet."""
        with self._lock:
            self._back.append(order)
            self._lock.notify_all()

    def answer(self, made: Made) -> None:
        """The end of an order."""
        self._answers.put(made)
        with self._lock:
            self._out -= 1
            if not made.error:
                self.made[made.server] += 1
            self._lock.notify_all()

    def has_others(self, address: str) -> bool:
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
        return self._over.is_set() or (self._orders is None and self._out == 0)


class _ServerThread:
    """What one server has, and its luck so far."""

    def __init__(self, pool: ServerPool, server: Server):
        self.pool, self.server = pool, server
        self.flights: list[Flight] = []
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
                log.warning("%s is put aside and tried again in %.0f s: %s", self.server.address, wait, gone)
                self.pool.put_aside(self.server.address, str(gone))
                for flight in self.flights:
                    self._try_again(flight.order, str(gone))
                self.flights.clear()
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
            if any(flight.order.told for flight in self.flights):
                break
            order = self.pool.take(self.server.address, busy=bool(self.flights))
            if order is None:
                break
            try:
                self.flights.append(self.server.start(order))
            except OrderFailed as failed:
                self._fail(order, failed)
            except BaseException:
                self.pool.give_back(order)
                raise
            moved += 1
        return moved

    def _collect(self) -> int:
        """Take what the server has done."""
        moved = 0
        for flight in list(self.flights):
            try:
                made = self.server.look(flight)
                if made is None:
                    continue
                self.flights.remove(flight)
                self.failures.clear()
                self.pool.answer(made)
            except OrderFailed as failed:
                self.flights.remove(flight)
                self._fail(flight.order, failed)
            except Lost as lost:
                self.flights.remove(flight)
                self._try_again(flight.order, str(lost))
            moved += 1
        return moved

    def _fail(self, order: Order, failed: OrderFailed) -> None:
        """An order's error, or another server for it, once."""
        reason, address = str(failed), self.server.address
        if failed.elsewhere and not order.servers and self.pool.has_others(address):
            log.warning("%s failed at %s and goes to another server: %s", order.item, address, reason)
            order.servers.add(address)
            self.pool.give_back(order)
        else:
            self.pool.answer(Made(order, error=reason, slot=failed.slot, server=address))
        if failed.elsewhere:
            self.failures.append(reason)
        if len(self.failures) >= IN_A_ROW:
            self.failures.clear()
            raise ServerGone(f"{IN_A_ROW} runs in a row failed there; the last: {reason}")

    def _try_again(self, order: Order, reason: str) -> None:
        """An order that a server lost goes back, unless it happens to this one too often."""
        order.told.append(f"{self.server.address}: {reason}")
        if len(order.told) < CHANCES:
            self.pool.give_back(order)
            return
        words = f"{CHANCES} times a server was lost with it ({'; '.join(order.told)})"
        self.pool.answer(Made(order, error=words, server=self.server.address))
