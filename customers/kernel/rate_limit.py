"""How fast a key may call: token buckets in Redis, taken from in blocks.

A process leases a block of tokens at a time, so that most requests cost no round trip; near the end of a bucket the
blocks shrink to one token, so that the limit stays exact. If Redis is away, requests pass: a limiter must not be the
reason for an outage.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple

import redis
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.retry import Retry

from customers.kernel.clock import elapsed_seconds

_log = logging.getLogger(__name__)
_unchecked = Counter(
    "purser_rate_limit_unchecked", "Requests that passed because the rate limiter's Redis was away"
)

_TIMEOUT_SECONDS: Final = 0.1
#: After a failure nobody asks Redis for this long, so that a slow one delays one request a second and not all.
_PAUSE_SECONDS: Final = 1.0
_LEASE_SECONDS: Final = 1.0
_LEASES_MAX: Final = 50_000

# A block is never more than a quarter of what is left. Redis's own clock: the processes' may differ.
_TAKE: Final = """
local rate, capacity, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(state[1]) or capacity
tokens = math.min(capacity, tokens + math.max(0, now - (tonumber(state[2]) or now)) * rate / 1000000)
local granted = 0
if tokens >= 1 then granted = math.min(want, math.max(1, math.floor(tokens / 4))) end
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000) + 1000)
local wait = 0
if granted == 0 then wait = math.ceil((1 - tokens) / rate * 1000) end
return {granted, math.floor(tokens), wait}
"""


class Taken(NamedTuple):
    """What became of one request's wish for a token; the numbers go into the `RateLimit-*` headers."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int = 0


@dataclass(slots=True)
class _Lease:
    tokens: int = 0
    # What Redis had left when it was last asked.
    left: int = 0
    until: float = 0.0
    refused_until: float = 0.0
    lock: Lock = field(default_factory=Lock)


class RateLimiter:
    """The buckets of all keys, as one process sees them."""

    def __init__(self, *, redis_url: str, rates: Mapping[str, int], burst_seconds: int) -> None:
        self.unchecked = 0
        self._rates = dict(rates)
        self._burst_seconds = burst_seconds
        self._capacities = {bucket: rate * burst_seconds for bucket, rate in rates.items()}
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._paused_until = 0.0
        client = redis.Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = client.register_script(_TAKE)

    def take(self, key: str, bucket: str) -> Taken:
        """One token of the key's bucket, from this process's lease if it has one."""
        lease = self._lease_of(key, bucket)
        now = elapsed_seconds()
        with lease.lock:
            if lease.tokens > 0 and now < lease.until:
                lease.tokens -= 1
                return self._taken(bucket, lease)
            if now < lease.refused_until:
                return self._refused(bucket, lease.refused_until - now)
        if now < self._paused_until:
            return self._unchecked(bucket)
        return self._renew(key, bucket, lease, now)

    def _lease_of(self, key: str, bucket: str) -> _Lease:
        lease = self._leases.get((key, bucket))
        if lease is None:
            if len(self._leases) >= _LEASES_MAX:
                self._leases.clear()
            lease = self._leases.setdefault((key, bucket), _Lease())
        return lease

    def _renew(self, key: str, bucket: str, lease: _Lease, now: float) -> Taken:
        rate = self._rates[bucket]
        block = max(1, rate // 20)
        try:
            answer: Any = self._script(
                keys=[f"purser:rate:{key}:{bucket}"], args=[rate, rate * self._burst_seconds, block]
            )
        except (redis.RedisError, OSError) as error:
            return self._away(bucket, error)
        granted, left, wait_ms = answer
        with lease.lock:
            if not granted:
                lease.refused_until = now + wait_ms / 1000
                return self._refused(bucket, wait_ms / 1000)
            lease.tokens, lease.left, lease.until = granted - 1, left, now + _LEASE_SECONDS
            return self._taken(bucket, lease)

    def _away(self, bucket: str, error: Exception) -> Taken:
        self._paused_until = elapsed_seconds() + _PAUSE_SECONDS
        _log.warning("rate limits are not checked: Redis is away (%s)", error)
        return self._unchecked(bucket)

    def _unchecked(self, bucket: str) -> Taken:
        self.unchecked += 1
        _unchecked.inc()
        capacity = self._rates[bucket] * self._burst_seconds
        return Taken(allowed=True, limit=capacity, remaining=capacity, reset_seconds=0)

    def _taken(self, bucket: str, lease: _Lease) -> Taken:
        rate, capacity = self._rates[bucket], self._capacities[bucket]
        remaining = lease.left + lease.tokens
        return Taken(True, capacity, remaining, -((remaining - capacity) // rate))

    def _refused(self, bucket: str, wait_seconds: float) -> Taken:
        rate = self._rates[bucket]
        return Taken(
            False, rate * self._burst_seconds, 0, self._burst_seconds, max(1, math.ceil(wait_seconds))
        )
