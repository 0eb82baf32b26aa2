"""Templates fire: once for each interval of a subscription, with what rolls over from the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.models import BlockState, CreditBlock
from billing.services.credits import Cause, credits_grant, credits_rollover
from customers.kernel.caller import Caller
from customers.kernel.database import call_all, call_one
from customers.kernel.ids import uuid7
from subscriptions.engine.calendar import interval_step, interval_steps_containing
from subscriptions.engine.rollover import rolled, rolled_priority
from subscriptions.models import (
    CreditGrantTemplate,
    GrantInterval,
    GrantRun,
    GrantSchedule,
    GrantType,
    PlanVariant,
    Subscription,
)

_CAUSE: Final = "grant_run"
_FIRED: Final = (
    "SELECT 1 FROM subscriptions_grant_run WHERE subscription_id = $1 AND template_id = $2 AND starts_at = $3"
)
_SCHEDULED: Final = "SELECT template_id FROM subscriptions_grant_schedule WHERE subscription_id = $1"


@dataclass(frozen=True, slots=True)
class Interval:
    """`[starts_at, ends_at)`: what a firing is for."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Rolled:
    """What went over; `run_id` is the firing that is to come, and causes both."""

    run_id: UUID
    block_id: UUID
    credits_mc: int


#: Templates with the intervals that they are about to fire for.
Firing = Mapping[CreditGrantTemplate, Interval]
#: By template.
RolledOver = Mapping[UUID, Rolled]
_NOTHING: Final[RolledOver] = {}


def templates_of(variant: PlanVariant) -> list[CreditGrantTemplate]:
    """What a variant gives, the oldest first; from memory, if they were fetched with it."""
    given = (template for template in variant.credit_grants.all() if template.archived_at is None)
    return sorted(given, key=lambda template: template.id)


def cycle_templates(variant: PlanVariant) -> list[CreditGrantTemplate]:
    """Those that fire with each period."""
    return [
        template
        for template in templates_of(variant)
        if template.grant_type == GrantType.RECURRING
        and template.grant_interval == GrantInterval.BILLING_CYCLE
    ]


def scheduled_templates(variant: PlanVariant) -> list[CreditGrantTemplate]:
    """Those that fire at times of their own, each with a schedule."""
    return [
        template
        for template in templates_of(variant)
        if template.grant_type == GrantType.RECURRING
        and template.grant_interval != GrantInterval.BILLING_CYCLE
    ]


def first_grants_fire(*, caller: Caller, subscription: Subscription, now: datetime) -> int:
    """When a subscription starts: what is given once, what is given each period, and the schedules. Returns the mc."""
    given = sum(
        _fire(caller, subscription, template, _period(subscription), now)
        for template in templates_of(subscription.variant)
        if template.grant_type == GrantType.ONE_TIME
    )
    return given + period_grants_fire(caller=caller, subscription=subscription, now=now)


def period_grants_fire(
    *, caller: Caller, subscription: Subscription, rolled_over: RolledOver = _NOTHING, now: datetime
) -> int:
    """When a period begins: its grants, and the schedules that its variant needs and has not. Returns the mc."""
    given = sum(
        _fire(caller, subscription, template, _period(subscription), now, rolled_over.get(template.id))
        for template in cycle_templates(subscription.variant)
    )
    return given + schedules_start(caller=caller, subscription=subscription, now=now)


def schedules_start(*, caller: Caller, subscription: Subscription, now: datetime) -> int:
    """Make the schedules that the variant needs and has not, drop the others, and fire the present intervals."""
    templates = {template.id: template for template in scheduled_templates(subscription.variant)}
    known = {template_id for (template_id,) in call_all(_SCHEDULED, [subscription.id])}
    if not known <= templates.keys():
        others = GrantSchedule.objects.filter(subscription_id=subscription.id)
        others.exclude(template_id__in=templates).delete()
    given = 0
    for template in templates.values():
        if template.id not in known:
            given += _schedule_start(caller, subscription, template, now)
    return given


def schedules_fire(
    *, caller: Caller, subscription: Subscription, rolled_over: RolledOver, now: datetime
) -> int:
    """Fire what is due by `now`, each schedule once. Returns the mc."""
    return sum(
        _schedule_fire(caller, schedule, rolled_over.get(schedule.template_id), now)
        for schedule in due_schedules(subscription, now=now)
    )


def schedules_follow(*, caller: Caller, subscription: Subscription, now: datetime) -> int:
    """After a change of variant: a schedule goes on for a new template of the same interval; others start. The mc."""
    free = {
        (template.grant_interval, template.interval_seconds): template
        for template in scheduled_templates(subscription.variant)
    }
    for schedule in GrantSchedule.objects.filter(subscription_id=subscription.id).select_related("template"):
        old = schedule.template
        successor = free.pop((old.grant_interval, old.interval_seconds), None)
        if successor is not None:
            schedule.template = successor
            schedule.save(update_fields=["template"])
    return schedules_start(caller=caller, subscription=subscription, now=now)


def schedules_skip(*, caller: Caller, subscription: Subscription, now: datetime) -> int:
    """After a time in which nothing was given: the present intervals fire, those that passed do not."""
    given = 0
    for schedule in due_schedules(subscription, now=now):
        template = schedule.template
        schedule.steps = interval_steps_containing(
            schedule.anchor_at,
            template.grant_interval,
            template.interval_seconds,
            subscription.timezone,
            now,
        )
        schedule.next_at = _step(schedule, schedule.steps)
        given += _schedule_fire(caller, schedule, None, now)
    return given


def schedules_shift(*, subscription: Subscription, by: timedelta) -> None:
    """After a pause."""
    for schedule in GrantSchedule.objects.filter(subscription_id=subscription.id):
        schedule.anchor_at += by
        schedule.next_at += by
        schedule.save(update_fields=["anchor_at", "next_at"])


def due_schedules(subscription: Subscription, *, now: datetime) -> list[GrantSchedule]:
    """Those whose next interval has begun."""
    due = GrantSchedule.objects.filter(subscription_id=subscription.id, next_at__lte=now)
    schedules = list(due.select_related("template").order_by("next_at", "template_id"))
    for schedule in schedules:
        schedule.subscription = subscription
    return schedules


def rollovers_make(
    *, caller: Caller, subscription: Subscription, firing: Firing, now: datetime
) -> RolledOver:
    """Before blocks expire at `now`: what is left of each firing template's last block, and may go on, moves out."""
    made: dict[UUID, Rolled] = {}
    for template in sorted(firing, key=lambda template: template.id, reverse=True):
        if template.rollover_percentage > 0:
            moved = _roll(caller, subscription, template, firing[template], now)
            if moved is not None:
                made[template.id] = moved
    return made


def schedules_ahead(subscription: Subscription, *, now: datetime) -> Firing:
    """What the schedules fire for that are due by `now`."""
    return {schedule.template: _interval(schedule) for schedule in due_schedules(subscription, now=now)}


def _roll(
    caller: Caller,
    subscription: Subscription,
    template: CreditGrantTemplate,
    interval: Interval,
    now: datetime,
) -> Rolled | None:
    last = GrantRun.objects.filter(subscription_id=subscription.id, template_id=template.id)
    run = last.order_by("-starts_at").first()
    # What lives on needs no rolling over.
    dying = CreditBlock.objects.filter(id=run.block_id, expires_at__lte=now).first() if run else None
    if dying is None or dying.state != BlockState.LIVE:
        return None
    credits_mc = rolled(
        dying.remaining_mc - dying.held_mc,
        template.rollover_percentage,
        template.credits_mc,
        template.accumulation_cap_mc,
    )
    if credits_mc <= 0:
        return None
    run_id = uuid7()
    movement = credits_rollover(
        caller=caller,
        customer=subscription.customer,
        from_block_id=dying.id,
        credits_mc=credits_mc,
        priority=rolled_priority(template.priority),
        expires_at=interval.ends_at,
        cause=Cause(source_type=_CAUSE, source_id=run_id),
        now=now,
    )
    assert movement.block is not None  # noqa: S101 - a rollover always makes one
    return Rolled(run_id, movement.block.id, credits_mc)


def _fire(
    caller: Caller,
    subscription: Subscription,
    template: CreditGrantTemplate,
    interval: Interval,
    now: datetime,
    rolled_over: Rolled | None = None,
) -> int:
    """Once for this interval, for ever; what would have expired already is not given."""
    expires_at = _expiry(template, interval)
    fired = [subscription.id, template.id, interval.starts_at]
    if (expires_at is not None and expires_at <= now) or call_one(_FIRED, fired):
        return 0
    run_id = rolled_over.run_id if rolled_over else uuid7()
    movement = credits_grant(
        caller=caller,
        customer=subscription.customer,
        credits_mc=template.credits_mc,
        source=template.source,
        reason=template.name or subscription.variant.name,
        priority=template.priority,
        expires_at=expires_at,
        metadata={"subscription_id": subscription.public_id, "credit_grant_id": template.public_id},
        cause=Cause(source_type=_CAUSE, source_id=run_id),
        now=now,
    )
    assert movement.block is not None  # noqa: S101 - a grant always makes one
    GrantRun.objects.create(
        id=run_id,
        environment_id=subscription.environment_id,
        subscription_id=subscription.id,
        template_id=template.id,
        starts_at=interval.starts_at,
        ends_at=interval.ends_at,
        credits_mc=template.credits_mc,
        block_id=movement.block.id,
        rolled_mc=rolled_over.credits_mc if rolled_over else 0,
        rolled_block_id=rolled_over.block_id if rolled_over else None,
        created_at=now,
    )
    return template.credits_mc


def _expiry(template: CreditGrantTemplate, interval: Interval) -> datetime | None:
    if template.expires_at_interval_end:
        return interval.ends_at
    if template.expires_after_seconds is None:
        return None
    return interval.starts_at + timedelta(seconds=template.expires_after_seconds)


def _schedule_start(
    caller: Caller, subscription: Subscription, template: CreditGrantTemplate, now: datetime
) -> int:
    anchor_at = subscription.anchor_at if subscription.anchor_at <= now else subscription.started_at
    steps = interval_steps_containing(
        anchor_at, template.grant_interval, template.interval_seconds, subscription.timezone, now
    )
    schedule = GrantSchedule(
        environment_id=subscription.environment_id,
        subscription=subscription,
        template=template,
        anchor_at=anchor_at,
        steps=steps,
    )
    schedule.next_at = _step(schedule, steps)
    return _schedule_fire(caller, schedule, None, now)


def _schedule_fire(caller: Caller, schedule: GrantSchedule, rolled_over: Rolled | None, now: datetime) -> int:
    interval = _interval(schedule)
    given = _fire(caller, schedule.subscription, schedule.template, interval, now, rolled_over)
    schedule.steps += 1
    schedule.next_at = interval.ends_at
    schedule.save()
    return given


def _interval(schedule: GrantSchedule) -> Interval:
    """What it fires for next."""
    return Interval(schedule.next_at, _step(schedule, schedule.steps + 1))


def _step(schedule: GrantSchedule, steps: int) -> datetime:
    template, timezone = schedule.template, schedule.subscription.timezone
    return interval_step(
        schedule.anchor_at, template.grant_interval, template.interval_seconds, timezone, steps
    )


def _period(subscription: Subscription) -> Interval:
    return Interval(subscription.current_period_start, subscription.current_period_end)
