"""The snapshots in Redis, and the three things done with them, each at once: look, keep, mark.

A customer has a hash with a token, which every mark replaces, and a set of the writers that have not finished. Whoever
reads the database to fill a snapshot takes the token first; it is kept only if the token is still the same and nobody
is writing. So what was read before a change can never be kept after it. The environment's configuration has a token and
writers of its own, and a snapshot carries the token of the configuration it was made under.

A Redis that restarts may come back as it was a second before, marks forgotten. But its restart breaks every connection:
each process trusts only what was kept since it last connected.

Ends of validity are by Redis's own clock.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

import redis
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.retry import Retry

from customers.kernel.clock import elapsed_seconds

_log = logging.getLogger(__name__)
_failures = Counter("purser_entitlement_snapshot_failures", "Times that the snapshots' Redis did not answer")

_TIMEOUT_SECONDS: Final = 0.05
#: After a failure nobody asks for so long: a slow Redis delays one call a second and not all.
_PAUSE_SECONDS: Final = 1.0
#: A writer that has died is waited for so long; it is longer than any transaction of ours takes.
WRITER_MS: Final = 60_000

# A token lives ten minutes: it outlives every read of the database that began with it.
_NAMING: Final = """
local function token_of(key)
  local token = redis.call('HGET', key, 'token')
  if not token then
    token = ARGV[1] .. key
    redis.call('HSET', key, 'token', token)
  end
  redis.call('PEXPIRE', key, 600000)
  return token
end
"""
_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# KEYS: customer, configuration. ARGV: fresh token, the fields wanted.
_LOOK: Final = f"""{_NAMING}{_NOW}
local answer = {{now, token_of(KEYS[1]), token_of(KEYS[2])}}
for index = 2, #ARGV do answer[index + 2] = redis.call('HGET', KEYS[1], ARGV[index]) end
return answer
"""
# KEYS: customer, its writers, configuration, its writers. ARGV: token, configuration's token, version, field, value, …
_KEEP: Final = f"""{_NOW}
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] or redis.call('HGET', KEYS[3], 'token') ~= ARGV[2] then return 0 end
for _, writers in ipairs({{KEYS[2], KEYS[4]}}) do
  redis.call('ZREMRANGEBYSCORE', writers, '-inf', now)
  if redis.call('ZCARD', writers) > 0 then return 0 end
end
if tonumber(redis.call('HGET', KEYS[1], 'version') or '0') > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[3])
for index = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
return 1
"""
# KEYS: pairs of a hash and its writers. ARGV: fresh token, writer, 1 when it begins (0: has finished), ms to wait for.
_MARK: Final = f"""{_NAMING}{_NOW}
for index = 1, #KEYS, 2 do
  redis.call('DEL', KEYS[index])
  token_of(KEYS[index])
  if ARGV[3] == '1' then
    redis.call('ZADD', KEYS[index + 1], now + ARGV[4], ARGV[2])
    redis.call('PEXPIRE', KEYS[index + 1], ARGV[4])
  else
    redis.call('ZREM', KEYS[index + 1], ARGV[2])
  end
end
return 1
"""


class StoreAway(Exception):
    """Redis did not answer, or not in time: what was asked for may have been done or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What is kept, and the tokens under which something else may be kept instead."""

    now_ms: int
    #: What was kept before this instant may be from before a restart.
    since_ms: int
    token: bytes
    config_token: bytes
    fields: list[bytes | None]


class SnapshotStore:
    def __init__(self, *, redis_url: str) -> None:
        client = redis.Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._connected,
        )
        self._look, self._keep, self._mark = map(client.register_script, (_LOOK, _KEEP, _MARK))
        self._paused_until = 0.0
        self._since_ms = 0

    def _connected(self, connection: Any) -> None:
        connection.on_connect()
        connection.send_command("TIME")
        seconds, microseconds = connection.read_response()
        self._since_ms = int(seconds) * 1000 + int(microseconds) // 1000

    def look(self, environment_id: UUID, customer_id: UUID, fields: list[str]) -> Looked:
        key, _, config, _ = _keys(environment_id, customer_id)
        now_ms, token, config_token, *found = self._ask(self._look, [key, config], [token_hex(8), *fields])
        return Looked(
            now_ms=now_ms, since_ms=self._since_ms, token=token, config_token=config_token, fields=found
        )

    def keep(
        self,
        environment_id: UUID,
        customer_id: UUID,
        *,
        looked: Looked,
        version: int,
        fields: Mapping[str, bytes],
    ) -> None:
        flat = [part for pair in fields.items() for part in pair]
        arguments = [looked.token, looked.config_token, version, *flat]
        self._ask(self._keep, _keys(environment_id, customer_id), arguments)

    def mark(
        self, environment_id: UUID, customer_ids: list[UUID | None], *, writer: str, begins: bool
    ) -> None:
        """Nothing is kept of these customers (None: of anybody) while a writer has begun and not finished."""
        keys: list[str] = []
        for customer_id in customer_ids:
            keys += _keys(environment_id, customer_id)[:2]
        self._ask(self._mark, keys, [token_hex(8), writer, int(begins), WRITER_MS])

    def _ask(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        if elapsed_seconds() < self._paused_until:
            raise StoreAway
        try:
            return script(keys=keys, args=arguments)
        except (redis.RedisError, OSError) as error:
            self._paused_until = elapsed_seconds() + _PAUSE_SECONDS
            _failures.inc()
            _log.warning("entitlement snapshots are not used: Redis is away (%s)", error)
            raise StoreAway from error


def _keys(environment_id: UUID, customer_id: UUID | None) -> list[str]:
    """Hash and writers of the customer (None: of the configuration), then of the configuration; in one cluster slot."""
    start = f"purser:entitlements:{{{environment_id}}}:"
    config = f"{start}config"
    key = config if customer_id is None else f"{start}{customer_id}"
    return [key, f"{key}:writers", config, f"{config}:writers"]
