"""Token buckets in Redis, leased in blocks; and requests that pass when Redis is away."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from uuid import uuid4

import pytest
from django.conf import settings

from customers.api import rate_limits
from customers.kernel.rate_limit import RateLimiter


def limiter(rate=5, burst_seconds=2, url=None):
    return RateLimiter(
        redis_url=url or settings.REDIS_URL, rates={"other": rate, "usage": rate}, burst_seconds=burst_seconds
    )


@pytest.fixture
def key():
    return uuid4().hex


def test_a_burst_passes_and_then_the_limit_holds(key):
    bucket = limiter(rate=5, burst_seconds=2)

    taken = [bucket.take(key, "other") for _ in range(14)]

    allowed = [each.allowed for each in taken]
    assert allowed[:10] == [True] * 10
    assert allowed[-1] is False
    assert sum(allowed) <= 11
    assert [each.remaining for each in taken[:10]] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert taken[0].limit == 10
    refused = taken[-1]
    assert (refused.remaining, refused.retry_after_seconds) == (0, 1)


def test_tokens_come_back_with_time(key):
    bucket = limiter(rate=20, burst_seconds=1)
    while bucket.take(key, "other").allowed:
        pass

    time.sleep(0.3)

    came_back = 0
    while bucket.take(key, "other").allowed:
        came_back += 1
    assert 5 <= came_back <= 9


def test_processes_share_one_bucket(key):
    """Two limiters are two processes: what one has leased, the other cannot take."""
    one, two = limiter(rate=100, burst_seconds=1), limiter(rate=100, burst_seconds=1)

    allowed = sum(each.take(key, "other").allowed for _ in range(100) for each in (one, two))

    assert 100 <= allowed <= 115


def test_keys_and_buckets_are_apart(key):
    bucket = limiter(rate=1, burst_seconds=1)
    assert bucket.take(key, "other").allowed
    assert not bucket.take(key, "other").allowed

    assert bucket.take(key, "usage").allowed
    assert bucket.take(uuid4().hex, "other").allowed


def test_most_requests_ask_nobody(key, monkeypatch):
    bucket = limiter(rate=1000, burst_seconds=10)
    asked = []
    script = bucket._script

    def counted(**options):
        asked.append(options)
        return script(**options)

    monkeypatch.setattr(bucket, "_script", counted)

    for _ in range(500):
        assert bucket.take(key, "other").allowed

    assert len(asked) <= 11


def test_threads_together_get_no_more_than_there_is(key, together):
    bucket = limiter(rate=50, burst_seconds=1)

    results = together(8, lambda _: sum(bucket.take(key, "other").allowed for _ in range(20)))

    assert 50 <= sum(results) <= 60


def test_the_headers_say_how_much_is_left(api):
    answer = api.get("/v1/customers")

    assert answer.headers["RateLimit-Limit"] == "1000"
    assert 900 <= int(answer.headers["RateLimit-Remaining"]) <= 999
    assert 0 <= int(answer.headers["RateLimit-Reset"]) <= 10


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/customers/nobody/credits"])
def test_too_fast_is_429_with_retry_after(api, monkeypatch, path):
    monkeypatch.setattr(rate_limits, "limiter", limiter(rate=1, burst_seconds=2))

    answers = [api.get(path) for _ in range(4)]

    refused = answers[-1]
    assert refused.refusal() == (429, "rate-limited")
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit-Limit"] == "2"
    assert refused.headers["RateLimit-Remaining"] == "0"


def test_without_redis_requests_pass_and_the_fault_is_counted_and_logged(api, monkeypatch, caplog):
    away = limiter(rate=1, burst_seconds=1, url="redis://127.0.0.1:1/0")
    monkeypatch.setattr(rate_limits, "limiter", away)

    answers = [api.get("/v1/customers") for _ in range(5)]

    assert [answer.status for answer in answers] == [200] * 5
    assert away.unchecked == 5
    assert len([record for record in caplog.records if "Redis is away" in record.message]) == 1


def test_nobody_waits_for_redis_longer_than_a_tenth_of_a_second_nor_twice():
    waits = limiter()._script.registered_client.get_connection_kwargs()

    assert waits["socket_timeout"] == 0.1
    assert waits["socket_connect_timeout"] == 0.1
    assert waits["retry"].get_retries() == 0


def connections_to(listening):
    """Who came, whether or not anybody spoke to them; nobody else comes any more."""
    with listening:
        listening.setblocking(False)
        found = []
        with suppress(BlockingIOError):
            while True:
                came, _ = listening.accept()
                came.close()
                found.append(came)
        return found


def test_a_redis_that_does_not_answer_delays_one_request_and_no_more(key):
    listening = socket.create_server(("127.0.0.1", 0))
    bucket = limiter(url=f"redis://127.0.0.1:{listening.getsockname()[1]}/0")

    for _ in range(100):
        assert bucket.take(key, "other").allowed

    assert bucket.unchecked == 100
    assert len(connections_to(listening)) == 1
