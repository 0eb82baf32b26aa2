"""What `credit.consumed` costs usage, sent singly, in batches and in groups.

Told: an endpoint names the event, and nobody hands out or sends meanwhile: that is other processes' work, done after
each turn and outside of what is counted. Delivering: with a worker that does it all the while, on the same processors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Final

import psycopg

from benchmarks import requests
from benchmarks.http import http
from benchmarks.instance import Instance, settle, with_single
from benchmarks.requests import EVENTS
from benchmarks.rounds import Alternative, Sample
from benchmarks.volume import CROWD, each
from benchmarks.webhooks import endpoint, is_waiting, receiver, ring, worker

#: More often than the schedule does, so that there is something to deliver in a short turn too.
_SWEEP_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 120


@dataclass(frozen=True)
class _Teller:
    instance: Instance

    def turn(self, run: Alternative, *, tells: bool, rings: bool = False) -> Sample:
        self._tell(tells)
        try:
            with self._ringing() if rings else nullcontext():
                return run()
        finally:
            self._tell(False)
            self._drain(is_full=tells and not rings)

    def _drain(self, *, is_full: bool) -> None:
        """Until everything is delivered: what one turn leaves must not be the next one's work."""
        with psycopg.connect(self.instance.superuser_url, autocommit=True) as connection:
            if is_full and not is_waiting(connection):
                raise RuntimeError("no debit was told")
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while is_waiting(connection):
                if time.monotonic() > deadline:
                    raise RuntimeError("the worker did not deliver everything")
                ring(self.instance)
                time.sleep(0.2)

    def _tell(self, tells: bool) -> None:
        with psycopg.connect(self.instance.superuser_url, autocommit=True) as connection:
            connection.execute("UPDATE customers_environment SET tells_consumption = %s", [tells])

    @contextmanager
    def _ringing(self) -> Iterator[None]:
        over = Event()
        sweeper = Thread(target=self._sweep, args=(over,))
        sweeper.start()
        try:
            yield
        finally:
            over.set()
            sweeper.join()

    def _sweep(self, over: Event) -> None:
        while not over.is_set():
            ring(self.instance)
            over.wait(_SWEEP_SECONDS)


@contextmanager
def told(instance: Instance, *, connections: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """`credit.consumed` for each debit, as while an endpoint names it, and none."""
    with with_single(instance) as both:
        yield from _told(both, partial(http, instance=both, seconds=seconds), connections)


def _told(
    instance: Instance, run: Callable[..., Sample], connections: int
) -> Iterator[Mapping[str, Alternative]]:
    secret = instance.facts["secret"]
    usage, batch = requests.usage(secret=secret), requests.batch(secret=secret)
    one = partial(run, server="single", request=usage, connections=connections)
    kinds: Mapping[str, Alternative] = {
        "": one,
        "batches, ": partial(
            each, partial(run, server="purser", request=batch, connections=min(connections, 8)), EVENTS
        ),
        "groups, ": partial(run, server="purser", request=usage, connections=CROWD),
    }
    teller = _Teller(instance)
    with (
        receiver() as port,
        TemporaryDirectory() as folder,
        endpoint(instance, port, "credit.consumed"),
        worker(instance, Path(folder, "log")),
    ):
        for kind in kinds.values():
            # Plans made while nothing was ever told would be kept while the tables fill.
            teller.turn(kind, tells=True)
        settle(instance.superuser_url)
        alternatives = {
            f"{kind}{'told' if tells else 'untold'}": partial(teller.turn, deed, tells=tells)
            for kind, deed in kinds.items()
            for tells in (True, False)
        }
        yield {**alternatives, "delivering": partial(teller.turn, one, tells=True, rings=True)}
