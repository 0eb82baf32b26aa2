"""Single entitlement checks from Redis, when ENTITLEMENTS_SOURCE is `redis`: the same answers, without the database.

A snapshot is dropped before a change of the customer or the configuration is committed, cannot come back before, and is
filled by the next check after it (metering/gateways/snapshot_store.py). It carries its own end: what time itself
changes, and ENTITLEMENTS_CACHE_SECONDS in any case. Debits never look at it.

A writer that cannot reach Redis must not leave a stale snapshot behind either. It has the database refuse new ones for
a while, and, once, waits until those that are there have ended. See docs/entitlements.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction

from billing.services.catch_up import answer_caught_up
from customers.errors import CustomerNotFound
from customers.kernel.changes import unwatch, watch
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import call_function, call_one
from customers.kernel.ids import uuid7, uuid_parse
from customers.kernel.memory import ConfigMoved
from metering.gateways.snapshot_store import Looked, SnapshotStore, StoreAway
from metering.selectors.config import EnvironmentConfig, MetricConfig

Name = tuple[UUID, str, str]

_NAMES_MAX: Final = 100_000
_PAUSE: Final = timedelta(seconds=60)
_PAUSE_RENEW_SECONDS: Final = 25.0
_FIND: Final = "SELECT customers_customer_find_v1($1, $2, $3)"
#: Functions that are called with a customer and change nothing. Whatever is not here counts as a change.
_READS: Final = frozenset(
    {
        "billing_credits_read_v1",
        "billing_credits_as_of_v1",
        "metering_entitlement_v1",
        "metering_entitlements_v1",
        "metering_snapshot_v1",
        "metering_usage_compute_v1",
        "metering_usage_find_v1",
        "metering_reserve_find_v1",
        "metering_counter_lock_v1",
        "metering_counters_read_v1",
    }
)
_CUSTOMER: Final = re.compile(r'\["([0-9a-f-]{36})"')


class Snapshot(msgspec.Struct, array_like=True):
    """What checks need to know, until `until_ms` by Redis's clock and `valid_before` by the environment's."""

    kept_ms: int
    until_ms: int
    config_token: bytes
    config_version: int
    valid_before: datetime | None
    customer_id: UUID
    public_id: str
    external_id: str | None
    external_key: str | None
    policy: str
    overage_limit: int | None
    balance: int
    reserved: int
    plan_variant_id: UUID | None
    usage_suspended: str | None
    #: Free credits and the metrics they are for; None when all are for all.
    free: list[tuple[int, list[str] | None]] | None


class Counted(msgspec.Struct, array_like=True):
    """Where the customer stands in a metric's cycle."""

    kept_ms: int
    until_ms: int
    valid_before: datetime | None
    units: str
    charged_mc: int


class CachedState(msgspec.Struct):
    """As metering_entitlement_v1 answers."""

    customer_id: UUID
    public_id: str
    external_id: str | None
    policy: str
    overage_limit: int | None
    balance: int
    reserved: int
    usable: int | None
    plan_variant_id: UUID | None
    usage_suspended: str | None
    cycle_units: Decimal | None
    cycle_charged: int | None
    source: str


_encode: Final = msgspec.msgpack.Encoder().encode
_snapshot_of: Final = msgspec.msgpack.Decoder(Snapshot).decode
_counted_of: Final = msgspec.msgpack.Decoder(Counted).decode
_free_of: Final = msgspec.json.Decoder(list[tuple[int, list[str] | None]]).decode


class Snapshots:
    """The snapshots as this process sees them."""

    def __init__(self, *, store: SnapshotStore, cache_seconds: float) -> None:
        self._store = store
        self._cache_seconds = cache_seconds
        #: Whom names lead to. A snapshot says whether the name still is the customer's.
        self._names: dict[Name, UUID] = {}
        #: Until when the database refuses snapshots because of us.
        self._paused_until: dict[UUID, float] = {}

    # Reading

    def state(
        self,
        config: EnvironmentConfig,
        metric: MetricConfig,
        rule_id: UUID | None,
        name: tuple[str, str],
        now: datetime,
    ) -> CachedState:
        """What decides a check; `rule_id` when its price depends on the cycle."""
        known = self._names.get((config.environment_id, *name))
        looked = self._looked(config.environment_id, known, metric, rule_id)
        if looked is not None:
            found = _read(looked, config, metric, rule_id, name, now)
            if found is not None:
                return found
        return self._from_database(config, metric, rule_id, name, looked, known, now)

    def _looked(
        self, environment_id: UUID, customer_id: UUID | None, metric: MetricConfig, rule_id: UUID | None
    ) -> Looked | None:
        if customer_id is None:
            return None
        fields = ["snapshot"] if rule_id is None else ["snapshot", _counter_field(metric, rule_id)]
        try:
            return self._store.look(environment_id, customer_id, fields)
        except StoreAway:
            return None

    def _from_database(
        self,
        config: EnvironmentConfig,
        metric: MetricConfig,
        rule_id: UUID | None,
        name: tuple[str, str],
        looked: Looked | None,
        known: UUID | None,
        now: datetime,
    ) -> CachedState:
        row = answer_caught_up(
            lambda: call_function(
                "metering_snapshot_v1",
                environment=config.environment_id,
                config_version=config.version,
                by=name[0],
                reference=name[1],
                metric=metric.id,
                rule=rule_id,
                now=now,
                wall_now=system_now(),
            ),
            environment_id=config.environment_id,
            now=now,
        )
        if row.status == "stale-config":
            raise ConfigMoved
        if row.status == "customer-not-found":
            self._names.pop((config.environment_id, *name), None)
            raise CustomerNotFound
        if row.customer_id != known:
            self._remember((config.environment_id, *name), row.customer_id)
        elif looked is not None and row.may_keep:
            self._fill(config, metric, rule_id, row, looked)
        free = None if row.free is None else _free_of(row.free)
        return CachedState(
            customer_id=row.customer_id,
            public_id=row.public_id,
            external_id=row.external_id,
            policy=row.policy,
            overage_limit=row.overage_limit,
            balance=row.balance,
            reserved=row.reserved,
            usable=_usable(free, metric.key),
            plan_variant_id=row.plan_variant_id,
            usage_suspended=row.usage_suspended,
            cycle_units=row.cycle_units,
            cycle_charged=row.cycle_charged,
            source="database",
        )

    def _remember(self, name: Name, customer_id: UUID) -> None:
        if len(self._names) >= _NAMES_MAX:
            self._names.clear()
        self._names[name] = customer_id

    def _fill(
        self, config: EnvironmentConfig, metric: MetricConfig, rule_id: UUID | None, row: Any, looked: Looked
    ) -> None:
        until_ms = looked.now_ms + int(self._cache_seconds * 1000)
        snapshot = Snapshot(
            kept_ms=looked.now_ms,
            until_ms=until_ms,
            config_token=looked.config_token,
            config_version=config.version,
            valid_before=row.valid_before,
            customer_id=row.customer_id,
            public_id=row.public_id,
            external_id=row.external_id,
            external_key=row.external_key,
            policy=row.policy,
            overage_limit=row.overage_limit,
            balance=row.balance,
            reserved=row.reserved,
            plan_variant_id=row.plan_variant_id,
            usage_suspended=row.usage_suspended,
            free=None if row.free is None else _free_of(row.free),
        )
        fields = {"snapshot": _encode(snapshot)}
        if rule_id is not None:
            counted = Counted(
                kept_ms=looked.now_ms,
                until_ms=until_ms,
                valid_before=row.counter_valid_before,
                units=str(row.cycle_units),
                charged_mc=row.cycle_charged,
            )
            fields[_counter_field(metric, rule_id)] = _encode(counted)
        try:
            self._store.keep(
                config.environment_id, row.customer_id, looked=looked, version=row.version, fields=fields
            )
        except StoreAway:
            return

    # Writing: what customers.kernel.changes asks of a watcher

    def around(self, name: str, arguments: Mapping[str, Any], call: Callable[[], list[Any]]) -> list[Any]:
        """Mark the customers a function may change before it is called, and drop what was kept once it is committed."""
        if name in _READS:
            return call()
        environment_id = arguments.get("environment")
        if environment_id is None:
            return call()
        before = self._customers_of(environment_id, arguments)
        mark = _Mark(self, environment_id)
        mark.begin(before)
        try:
            rows = call()
            # Inside a transaction this still is before the commit.
            mark.begin(_customers_in(rows) - before)
        finally:
            if connection.in_atomic_block:
                transaction.on_commit(mark.finish)
            else:
                mark.finish()
        return rows

    def changing(self, environment_id: UUID, customer_ids: Collection[UUID] | None) -> None:
        mark = _Mark(self, environment_id)
        mark.begin({None} if customer_ids is None else set(customer_ids))
        transaction.on_commit(mark.finish)

    def changed(self, environment_id: UUID, customer_ids: Collection[UUID] | None) -> None:
        """Told by the mark itself."""

    def _customers_of(self, environment_id: UUID, arguments: Mapping[str, Any]) -> set[UUID | None]:
        named = {arguments.get("account"), arguments.get("customer"), *(arguments.get("customers") or ())}
        found = {each for each in named if isinstance(each, UUID)}
        names = list(zip(arguments.get("bys") or (), arguments.get("references") or (), strict=True))
        if "reference" in arguments:
            names.append((arguments["by"], arguments["reference"]))
        return set(found | {each for name in names if (each := self._named(environment_id, *name))})

    def _named(self, environment_id: UUID, by: str, reference: str) -> UUID | None:
        known = self._names.get((environment_id, by, reference))
        if known is not None:
            return known
        row = call_one(_FIND, [environment_id, by, reference])
        if row is None or row[0] is None:
            return None  # nothing can be kept of a customer that does not exist yet
        self._remember((environment_id, by, reference), row[0])
        return UUID(str(row[0]))

    # Without Redis

    def pause(self, environment_id: UUID) -> None:
        """After a commit that Redis may not know of: nothing is kept for a while, and what is kept has ended."""
        left = self._paused_until.get(environment_id, 0.0) - elapsed_seconds()
        if left > _PAUSE_RENEW_SECONDS:
            return
        until = system_now() + _PAUSE
        call_function("metering_snapshots_pause_v1", environment=environment_id, until=until)
        if left <= 0:
            time.sleep(self._cache_seconds)
        self._paused_until[environment_id] = elapsed_seconds() + _PAUSE.total_seconds() / 2


class _Mark:
    """One writer's marks, from before its commit until after it."""

    def __init__(self, snapshots: Snapshots, environment_id: UUID) -> None:
        self._snapshots = snapshots
        self._environment_id = environment_id
        self._writer = uuid7().hex
        self._customers: set[UUID | None] = set()
        self._is_known = True

    def begin(self, customers: Collection[UUID | None]) -> None:
        if customers:
            self._customers |= set(customers)
            self._tell(list(customers), begins=True)

    def finish(self) -> None:
        if not self._customers:
            return
        self._tell(list(self._customers), begins=False)
        if not self._is_known:
            self._snapshots.pause(self._environment_id)

    def _tell(self, customers: list[UUID | None], *, begins: bool) -> None:
        try:
            self._snapshots._store.mark(self._environment_id, customers, writer=self._writer, begins=begins)
        except StoreAway:
            self._is_known = False


def _read(
    looked: Looked,
    config: EnvironmentConfig,
    metric: MetricConfig,
    rule_id: UUID | None,
    name: tuple[str, str],
    now: datetime,
) -> CachedState | None:
    """What was kept, if it is whole, of this name, and still holds."""
    if None in looked.fields:
        return None
    try:
        snapshot = _snapshot_of(looked.fields[0] or b"")
        counted = None if rule_id is None else _counted_of(looked.fields[1] or b"")
    except msgspec.MsgspecError:
        return None  # somebody else's writing
    if not _holds(snapshot, looked, config, name, now) or not _counter_holds(counted, looked, now):
        return None
    return CachedState(
        customer_id=snapshot.customer_id,
        public_id=snapshot.public_id,
        external_id=snapshot.external_id,
        policy=snapshot.policy,
        overage_limit=snapshot.overage_limit,
        balance=snapshot.balance,
        reserved=snapshot.reserved,
        usable=_usable(snapshot.free, metric.key),
        plan_variant_id=snapshot.plan_variant_id,
        usage_suspended=snapshot.usage_suspended,
        cycle_units=Decimal(counted.units) if counted else None,
        cycle_charged=counted.charged_mc if counted else None,
        source="cache",
    )


def _holds(
    snapshot: Snapshot, looked: Looked, config: EnvironmentConfig, name: tuple[str, str], now: datetime
) -> bool:
    by, reference = name
    spelled = uuid_parse(reference) if by == "id" else None
    named = snapshot.external_key if by == "external" else snapshot.public_id
    return (
        looked.since_ms <= snapshot.kept_ms
        and looked.now_ms < snapshot.until_ms
        and snapshot.config_token == looked.config_token
        and snapshot.config_version == config.version
        and (snapshot.valid_before is None or now < snapshot.valid_before)
        and named == (str(spelled) if spelled else reference)
    )


def _counter_holds(counted: Counted | None, looked: Looked, now: datetime) -> bool:
    return counted is None or (
        looked.since_ms <= counted.kept_ms
        and looked.now_ms < counted.until_ms
        and (counted.valid_before is None or now < counted.valid_before)
    )


def _usable(free: list[tuple[int, list[str] | None]] | None, metric_key: str) -> int | None:
    if free is None:
        return None
    return sum(mc for mc, keys in free if keys is None or metric_key in keys)


def _counter_field(metric: MetricConfig, rule_id: UUID) -> str:
    return f"counter:{metric.id}:{rule_id}"


def _customers_in(rows: list[Any]) -> set[UUID | None]:
    """The customers that an answer names: in a column, or in the JSON of accounts that were opened."""
    found: set[UUID | None] = {getattr(row, "customer_id", None) for row in rows}
    for row in rows:
        text = getattr(row, "accounts", None)
        if isinstance(text, str):
            found |= {UUID(one) for one in _CUSTOMER.findall(text)}
    return found - {None}


_installed: list[Snapshots] = []


def snapshots_install() -> Snapshots:
    """From now on checks of this process are answered from Redis, and its writes are told to it."""
    snapshots = Snapshots(
        store=SnapshotStore(redis_url=settings.REDIS_URL), cache_seconds=settings.ENTITLEMENTS_CACHE_SECONDS
    )
    watch(snapshots)
    _installed.append(snapshots)
    return snapshots


def snapshots_remove() -> None:
    while _installed:
        unwatch(_installed.pop())


def snapshots_in_use() -> Snapshots | None:
    return _installed[0] if _installed else None


if settings.ENTITLEMENTS_SOURCE == "redis":
    snapshots_install()
