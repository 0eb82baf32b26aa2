"""Reserve credits for usage that is still going on; commit what it really was, release it, extend it.

Each is one call of the database (metering/reservations/*.sql). Prices are made here, beforehand, from what this process
remembers; when the database knows better it says so and nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from django.db import connection, transaction
from msgspec.structs import replace

from billing.errors import InsufficientCredits, ReservationEnded, ReservationExpired, ReservationNotFound
from billing.services.catch_up import answer_caught_up
from customers.errors import CustomerNotFound, DomainError, IdempotencyKeyReused
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import uuid7
from customers.kernel.json import json_bytes
from customers.kernel.memory import ConfigMoved
from metering.errors import UsageSuspended
from metering.selectors.rule_versions import rule_pinned, rule_remember
from metering.services.quotes import (
    MOVED,
    GuessKey,
    Number,
    Quote,
    Standing,
    cost_at,
    guess_key,
    quote_make,
    standing_after,
    standing_guess,
    standing_remember,
    standing_told,
)

#: How often one call is priced anew because something else moved the counter.
_ATTEMPTS: Final = 6
_KNOWN_MAX: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveInput:
    """What is asked for. `key` is its identity for ever; `by` says what `reference` is: `id` or `external`."""

    by: str
    reference: str
    metric_key: str
    estimated_units: Number
    ttl_seconds: int
    key: str
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class ReservationState(msgspec.Struct, frozen=True):
    """A reservation and its customer's account at one instant, as the database tells them. Amounts in mc."""

    id: UUID
    customer_id: str
    external_customer_id: str | None
    metric_key: str
    rule_id: UUID
    dimension: str
    value: str
    is_counted: bool
    estimated_units: Decimal
    reserved_mc: int
    state: str
    expires_at: datetime
    created_at: datetime
    ended_at: datetime | None
    actual_units: Decimal | None
    cost_mc: int | None
    event_id: UUID | None
    entry_id: UUID | None
    properties: msgspec.Raw
    metadata: msgspec.Raw
    balance_mc: int
    account_reserved_mc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What a call found or made, and whether an earlier call with this key had made it."""

    reservation: ReservationState
    duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a process that made a reservation remembers of it, to price its commit without asking."""

    rule_id: UUID
    dimension: str
    value: str
    is_counted: bool
    estimated_units: Decimal
    guess: GuessKey


@dataclass(frozen=True, slots=True, kw_only=True)
class _Price:
    rule_id: UUID | None = None
    cost_mc: int | None = None
    standing: Standing | None = None


_known: Final[dict[UUID, _Known]] = {}
_decode: Final = msgspec.json.Decoder(ReservationState).decode


def reservation_create(*, caller: Caller, config_version: int, wish: ReserveInput, now: datetime) -> Reserved:
    """Hold the price of the estimated units until `now` + ttl, exactly once for the key.

    Raises what usage raises. `config_version` is what the caller's clock and key were read with.
    """
    try:
        return _taken_together(lambda: _create(caller, config_version, wish, now))
    except DomainError:
        # The metric may be inactive, or without a price, by now: what its key reserved before still stands.
        reserved = _reserved_before(caller, wish, now)
        if reserved is None:
            raise
        return reserved


def _create(caller: Caller, config_version: int, wish: ReserveInput, now: datetime) -> Reserved:
    guess = guess_key(caller.environment_id, wish)
    standing = standing_guess(guess)
    for _ in range(2):
        quote = _quote(caller.environment_id, wish, standing, now)
        answer = _reserve(caller, config_version, wish, standing, quote, now)
        if answer.status not in MOVED:
            return _held(answer, quote, guess)
        standing = standing_told(answer)
    with transaction.atomic():
        for _ in range(_ATTEMPTS):
            quote = _quote(caller.environment_id, wish, standing, now)
            standing = _standing_locked(caller, quote, standing, now)
            quote = _quote(caller.environment_id, wish, standing, now)
            answer = _reserve(caller, config_version, wish, standing, quote, now)
            if answer.status not in MOVED:
                return _held(answer, quote, guess)
            standing = standing_told(answer)
    raise RuntimeError("a locked account moved")


def _quote(environment_id: UUID, wish: ReserveInput, standing: Standing, now: datetime) -> Quote:
    return quote_make(
        environment_id=environment_id,
        metric_key=wish.metric_key,
        units=wish.estimated_units,
        properties=wish.properties,
        standing=standing,
        field="estimated_units",
        now=now,
    )


def _standing_locked(caller: Caller, quote: Quote, standing: Standing, now: datetime) -> Standing:
    counter = call_function(
        "metering_counter_lock_v1",
        environment=caller.environment_id,
        customer=standing.customer_id,
        metric=quote.metric.id,
        rule=quote.rule.id,
        dimension=quote.dimension,
        value=quote.value,
        now=now,
    )
    return replace(standing, cycle_units=counter.units, cycle_charged_mc=counter.charged)


def _reserve(
    caller: Caller, config_version: int, wish: ReserveInput, standing: Standing, quote: Quote, now: datetime
) -> Any:
    counted = quote.rate.depends_on_cycle
    return _called(
        lambda: call_function(
            "metering_reserve_v1",
            environment=caller.environment_id,
            config_version=min(config_version, quote.config_version),
            by=wish.by,
            reference=wish.reference,
            new_customer=uuid7(),
            reservation=uuid7(),
            metric=quote.metric.id,
            metric_key=quote.metric.key,
            rule=quote.rule.id,
            scoped=quote.metric.is_scoped,
            priced_customer=standing.customer_id if quote.metric.is_scoped else None,
            priced_variant=standing.plan_variant_id if quote.metric.is_scoped else None,
            dimension=quote.dimension,
            value=quote.value,
            cycle_units=Decimal(standing.cycle_units) if counted else None,
            cycle_charged=standing.cycle_charged_mc if counted else None,
            units=Decimal(wish.estimated_units),
            cost=quote.cost_mc,
            ttl_seconds=wish.ttl_seconds,
            key=wish.key,
            fingerprint=_fingerprint_of(wish),
            properties=wish.properties,
            metadata=wish.metadata,
            actor=caller.actor,
            request=caller.request_id,
            now=now,
        ),
        environment_id=caller.environment_id,
        now=now,
    )


def _held(answer: Any, quote: Quote, guess: GuessKey) -> Reserved:
    reserved = _reserved(answer)
    if reserved.duplicate:
        return reserved
    if quote.metric.is_scoped or quote.rate.depends_on_cycle:
        standing_remember(guess, standing_told(answer))
    rule_remember(quote.rule)
    _remember(reserved.reservation, guess)
    return reserved


def _remember(reservation: ReservationState, guess: GuessKey) -> None:
    if len(_known) >= _KNOWN_MAX:
        _known.clear()
    _known[reservation.id] = _Known(
        rule_id=reservation.rule_id,
        dimension=reservation.dimension,
        value=reservation.value,
        is_counted=reservation.is_counted,
        estimated_units=reservation.estimated_units,
        guess=guess,
    )


def _reserved_before(caller: Caller, wish: ReserveInput, now: datetime) -> Reserved | None:
    answer = _called(
        lambda: call_function(
            "metering_reserve_find_v1",
            environment=caller.environment_id,
            by=wish.by,
            reference=wish.reference,
            key=wish.key,
            fingerprint=_fingerprint_of(wish),
            now=now,
        ),
        environment_id=caller.environment_id,
        now=now,
    )
    return _reserved(answer) if answer.status == "duplicate" else None


def reservation_commit(
    *,
    caller: Caller,
    config_version: int,
    reservation_id: UUID,
    actual_units: Number | None,
    key: str,
    now: datetime,
) -> Reserved:
    """Debit what was really used (None: as estimated) at the price pinned when it was reserved; free the rest.

    Raises InsufficientCredits (the hold stays), ReservationNotFound, ReservationEnded, ReservationExpired.
    """
    commit = _Commit(
        caller=caller,
        config_version=config_version,
        reservation_id=reservation_id,
        actual_units=actual_units,
        key=key,
        now=now,
    )
    return _taken_together(commit.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    caller: Caller
    config_version: int
    reservation_id: UUID
    actual_units: Number | None
    key: str
    now: datetime

    def run(self) -> Reserved:
        known = _known.get(self.reservation_id)
        price = self._guessed(known)
        answer = self._call(price)
        if answer.status in MOVED:
            price = self._priced(answer, standing_told(answer))
            answer = self._call(price)
        if answer.status not in MOVED:
            return self._committed(answer, known, price)
        with transaction.atomic():
            for _ in range(_ATTEMPTS):
                price = self._priced(answer, self._standing_locked(answer))
                answer = self._call(price)
                if answer.status not in MOVED:
                    return self._committed(answer, known, price)
        raise RuntimeError("a locked account moved")

    def _guessed(self, known: _Known | None) -> _Price:
        """A price from memory; without one the database answers what it needs to know."""
        if known is None:
            return _Price()
        standing = standing_guess(known.guess) if known.is_counted else None
        units = known.estimated_units if self.actual_units is None else self.actual_units
        return self._price(known.rule_id, known.dimension, known.value, units, standing)

    def _priced(self, answer: Any, standing: Standing) -> _Price:
        counted = answer.cycle_units is not None
        return self._price(
            answer.rule_id, answer.dimension, answer.value, answer.units, standing if counted else None
        )

    def _price(
        self, rule_id: UUID, dimension: str, value: str, units: Number, standing: Standing | None
    ) -> _Price:
        rule = rule_pinned(environment_id=self.caller.environment_id, rule_id=rule_id)
        found = rule.pricing.rate_of({dimension: value})
        assert found is not None  # noqa: S101 - it had a rate when it was reserved, and rules never change
        cost_mc = cost_at(found[0], units=units, standing=standing or Standing(), field="actual_units")
        return _Price(rule_id=rule_id, cost_mc=cost_mc, standing=standing)

    def _standing_locked(self, answer: Any) -> Standing:
        counter = call_function(
            "metering_counter_lock_v1",
            environment=self.caller.environment_id,
            customer=answer.customer_id,
            metric=answer.metric_id,
            rule=answer.rule_id,
            dimension=answer.dimension,
            value=answer.value,
            now=self.now,
        )
        return replace(standing_told(answer), cycle_units=counter.units, cycle_charged_mc=counter.charged)

    def _call(self, price: _Price) -> Any:
        standing = price.standing
        return _called(
            lambda: call_function(
                "metering_reservation_commit_v1",
                environment=self.caller.environment_id,
                config_version=self.config_version,
                reservation=self.reservation_id,
                units=None if self.actual_units is None else Decimal(self.actual_units),
                rule=price.rule_id,
                cost=price.cost_mc,
                cycle_units=Decimal(standing.cycle_units) if standing else None,
                cycle_charged=standing.cycle_charged_mc if standing else None,
                event=uuid7(),
                step=uuid7(),
                key=self.key,
                fingerprint=_fingerprint("commit", self.reservation_id, _spelled(self.actual_units)),
                actor=self.caller.actor,
                request=self.caller.request_id,
                now=self.now,
            ),
            environment_id=self.caller.environment_id,
            now=self.now,
        )

    def _committed(self, answer: Any, known: _Known | None, price: _Price) -> Reserved:
        reserved = _reserved(answer)
        if known and price.standing and answer.status == "committed":
            after = standing_after(
                replace(standing_guess(known.guess), **_counted(price.standing)),
                units=answer.units,
                cost_mc=price.cost_mc or 0,
            )
            standing_remember(known.guess, after)
        return reserved


def _counted(standing: Standing) -> dict[str, Any]:
    return {"cycle_units": standing.cycle_units, "cycle_charged_mc": standing.cycle_charged_mc}


def reservation_release(
    *, caller: Caller, config_version: int, reservation_id: UUID, key: str, now: datetime
) -> Reserved:
    """Give the held credits back. Raises ReservationNotFound, ReservationEnded, ReservationExpired."""
    return _step(
        "metering_reservation_release_v1",
        caller=caller,
        config_version=config_version,
        reservation_id=reservation_id,
        key=key,
        fingerprint=_fingerprint("release", reservation_id),
        now=now,
    )


def reservation_extend(
    *, caller: Caller, config_version: int, reservation_id: UUID, ttl_seconds: int, key: str, now: datetime
) -> Reserved:
    """Keep the credits until `now` + ttl, or longer if they were. Raises as release does."""
    return _step(
        "metering_reservation_extend_v1",
        caller=caller,
        config_version=config_version,
        reservation_id=reservation_id,
        key=key,
        fingerprint=_fingerprint("extend", reservation_id, ttl_seconds),
        now=now,
        ttl_seconds=ttl_seconds,
    )


def _step(
    function: str,
    *,
    caller: Caller,
    config_version: int,
    reservation_id: UUID,
    key: str,
    fingerprint: bytes,
    now: datetime,
    **more: Any,
) -> Reserved:
    def attempt() -> Any:
        return call_function(
            function,
            environment=caller.environment_id,
            config_version=config_version,
            reservation=reservation_id,
            step=uuid7(),
            key=key,
            fingerprint=fingerprint,
            actor=caller.actor,
            request=caller.request_id,
            now=now,
            **more,
        )

    return _taken_together(lambda: _reserved(_called(attempt, environment_id=caller.environment_id, now=now)))


def reservation_read(*, environment_id: UUID, reservation_id: UUID, now: datetime) -> ReservationState:
    """A reservation as it stands at `now`, whether or not a sweep ran. Raises ReservationNotFound."""
    answer = _called(
        lambda: call_function(
            "metering_reservation_read_v1", environment=environment_id, reservation=reservation_id, now=now
        ),
        environment_id=environment_id,
        now=now,
    )
    if answer.status == "not-found":
        raise ReservationNotFound
    return _decode(answer.shown)


def _taken_together(work: Callable[[], Reserved]) -> Reserved:
    """Two calls with one key for two customers at the same moment: the second finds the key taken, and asks again."""
    try:
        return work()
    except psycopg.errors.UniqueViolation:
        if connection.in_atomic_block:
            raise
        return work()


def _called(attempt: Callable[[], Any], *, environment_id: UUID, now: datetime) -> Any:
    answer = answer_caught_up(attempt, environment_id=environment_id, now=now)
    if answer.status == "stale-config":
        raise ConfigMoved
    return answer


def _reserved(answer: Any) -> Reserved:
    refusal = _REFUSALS.get(answer.status)
    if refusal is not None:
        raise refusal(answer)
    return Reserved(reservation=_decode(answer.shown), duplicate=answer.status == "duplicate")


_REFUSALS: Final[dict[str, Callable[[Any], DomainError]]] = {
    "insufficient": lambda answer: InsufficientCredits(extra={"effective_balance": answer.effective}),
    "suspended": lambda _: UsageSuspended(),
    "customer-not-found": lambda _: CustomerNotFound(),
    "key-reused": lambda _: IdempotencyKeyReused(),
    "not-found": lambda _: ReservationNotFound(),
    "committed-already": lambda _: ReservationEnded("The reservation was committed before."),
    "released-already": lambda _: ReservationEnded("The reservation was released before."),
    "expired-already": lambda _: ReservationExpired(),
}


def _fingerprint_of(wish: ReserveInput) -> bytes:
    """What was asked for, but for the customer, who is compared as the row it resolves to."""
    return _fingerprint(
        wish.metric_key, _spelled(wish.estimated_units), wish.ttl_seconds, wish.properties, wish.metadata
    )


def _fingerprint(*asked: Any) -> bytes:
    return blake2b(json_bytes(asked), digest_size=16).digest()


def _spelled(units: Number | None) -> str | None:
    return None if units is None else f"{Decimal(units).normalize():f}"
