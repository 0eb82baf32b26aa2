"""The limits of this installation, and how they are shown."""

from __future__ import annotations

from typing import Protocol

from django.conf import settings

from customers.errors import RateLimited
from customers.kernel.rate_limit import RateLimiter, Taken
from customers.services.authentication import KnownKey

limiter = RateLimiter(
    redis_url=settings.REDIS_URL,
    rates=settings.RATE_LIMITS_PER_SECOND,
    burst_seconds=settings.RATE_LIMIT_BURST_SECONDS,
)


def rate_check(key: KnownKey, bucket: str) -> Taken:
    """Takes one request's token. The refusal carries the headers' numbers in `rate`."""
    taken = limiter.take(key.public_id, bucket)
    if not taken.allowed:
        raise TooFast(taken)
    return taken


class Headers(Protocol):
    def __setitem__(self, name: str, value: str, /) -> None: ...


def rate_headers(headers: Headers, taken: Taken) -> None:
    headers["RateLimit-Limit"] = str(taken.limit)
    headers["RateLimit-Remaining"] = str(taken.remaining)
    headers["RateLimit-Reset"] = str(taken.reset_seconds)


class TooFast(RateLimited):
    """The key sends requests faster than its limit. Wait as `Retry-After` says."""

    def __init__(self, taken: Taken) -> None:
        super().__init__(retry_after_seconds=taken.retry_after_seconds)
        self.taken = taken
