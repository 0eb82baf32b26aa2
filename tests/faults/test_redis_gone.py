"""Redis forgets, stops, or hangs: calls pass, their answers are right, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import redis

from tests.conftest import Character
from tests.faults.deeds import DEEDS, Case, done
from tests.faults.house import Backend, House

#: The limiter waits a tenth of a second, then asks nobody for a second. The rest is for a busy machine.
_SLOWEST_SECONDS: Final = 5.0


@contextmanager
def _flushed(house: House) -> Iterator[None]:
    redis.Redis.from_url(house.environment()["REDIS_URL"]).flushall()
    yield


@contextmanager
def _dead(house: House) -> Iterator[None]:
    house.valkey_kill()
    try:
        yield
    finally:
        house.valkey_start()


@contextmanager
def _hanging(house: House) -> Iterator[None]:
    os.kill(house.valkey_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(house.valkey_pid, signal.SIGCONT)


@contextmanager
def _wrong(house: House) -> Iterator[None]:
    """Somebody has written nonsense where the limiter keeps its buckets."""
    client = redis.Redis.from_url(house.environment()["REDIS_URL"])
    for key in client.keys("purser:rate:*"):
        client.set(key, "nonsense")
    yield
    client.flushall()


@pytest.mark.usefixtures("in_order")
@pytest.mark.parametrize("trouble", [_flushed, _dead, _hanging, _wrong])
def test_without_redis_every_call_is_answered_rightly_and_at_once(
    web: House, tenant: Character, afterwards: dict[str, object], trouble: Callable[[House], object]
) -> None:
    cases = [Case(deed=deed, backend=Backend(web.port, tenant.test.secret)) for deed in DEEDS]
    for case in cases:
        case.prepare()
    slowest = 0.0
    with trouble(web):  # type: ignore[attr-defined]
        time.sleep(1.1)  # the limiter's leases run out
        for case in cases:
            began = time.monotonic()
            done(case.send())
            slowest = max(slowest, time.monotonic() - began)
            assert case.looks() == afterwards[case.deed.name], case.deed.name
        assert Backend(web.port, "").get("/readyz").status == 200
    assert slowest < _SLOWEST_SECONDS
