"""Redis forgets, stops, or hangs: calls pass, their answers are right, and hardly anybody asks it.

How long one that asks waits is a setting of its client (tests/customers/test_rate_limits.py); here those are counted.
"""

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

#: After a failure the limiter asks nobody for so long, and says once that it failed.
_PAUSE_SECONDS: Final = 1.0
_FAILED: Final = "rate limits are not checked"


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
def test_without_redis_every_call_is_answered_rightly_and_one_a_second_asks_for_it(
    web: House, tenant: Character, afterwards: dict[str, object], trouble: Callable[[House], object]
) -> None:
    cases = [Case(deed=deed, backend=Backend(web.port, tenant.test.secret)) for deed in DEEDS]
    for case in cases:
        case.prepare()
    failed_before = web.log("web").count(_FAILED)
    with trouble(web):  # type: ignore[attr-defined]
        time.sleep(1.1)  # the limiter's leases run out
        began = time.monotonic()
        for case in cases:
            done(case.send())
            assert case.looks() == afterwards[case.deed.name], case.deed.name
        lasted = time.monotonic() - began
        assert Backend(web.port, "").get("/readyz").status == 200
        failed = web.log("web").count(_FAILED) - failed_before
    # However slow the machine, all but the first have a pause before them.
    assert (failed - 1) * _PAUSE_SECONDS <= lasted
    assert (failed > 0) == (trouble is not _flushed)
