"""A second person for what is above somebody's limit.

    request ──approve──→ approved (done, as its maker) or failed (it cannot be done any more)
       └──reject, cancel, three days──→ rejected, canceled, expired

Approving runs the deed with the maker's idempotency key and compares what it did with what the maker was shown; when
that differs, everything is rolled back. `wall_now` dates requests, because they are about people; `now` is the
environment's present, for the deed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from customers.errors import (
    ApprovalAboveYourLimit,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalIsNotYours,
    ApprovalIsYours,
    ApprovalNotFound,
    ApprovalOutdated,
    DomainError,
    FieldError,
    IdempotencyKeyInFlight,
    ValidationFailed,
)
from customers.gateways.alerts import operators_alert
from customers.kernel.caller import Caller
from customers.kernel.database import call_all, environment_scope
from customers.models import Approval, ApprovalState, Customer, Environment, User
from customers.services.approval_deeds import DeedCall, Performed, deed_find, deed_named
from customers.services.approval_limits import BREAK_GLASS, limit_of
from customers.services.audit import audit_record

#: Whoever breaks the glass says why in a sentence.
BREAK_GLASS_REASON_MIN: Final = 20
_DUE: Final = "SELECT environment_id, approval_id FROM customers_approvals_due_v1($1, $2)"
_SWEEP_BATCH: Final = 500
_SYSTEM: Final = "system:approvals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A deed that somebody means to do, whole enough for somebody else to do it."""

    deed: str
    payload: Mapping[str, Any]
    customer: Customer | None
    subject: str
    amount: int
    currency: str
    reason: str
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A request as it is now. `performed` is what was done; None when that was refused (`refusal`) or not wanted."""

    approval: Approval
    performed: Performed | None = None
    refusal: str = ""


@transaction.atomic
def approval_request(
    *, caller: Caller, person: User, intent: Intent, wall_now: datetime, now: datetime
) -> Decided:
    """Ask for a second person. Raises what the deed itself refuses: nobody asks for what cannot be done."""
    approval = _drafted(caller, person, intent, wall_now)
    performed = approval_rehearse(caller=caller, approval=approval, now=now)
    approval.preview = performed.preview.to_json()
    approval.fingerprint = performed.preview.fingerprint()
    approval.save(force_insert=True)
    _record(caller, approval, "approval.requested", intent.reason, now)
    return Decided(approval=approval, performed=performed)


@transaction.atomic
def approval_break_glass(
    *, caller: Caller, person: User, intent: Intent, wall_now: datetime, now: datetime
) -> Decided:
    """Do alone what needs two. On the record, and told to everybody who runs the installation."""
    if len(intent.reason.strip()) < BREAK_GLASS_REASON_MIN:
        message = f"Whoever breaks the glass says why, in at least {BREAK_GLASS_REASON_MIN} characters."
        raise ValidationFailed(errors=[FieldError("reason", "too-short", message)])
    approval = _drafted(caller, person, intent, wall_now)
    performed = _perform(caller, approval, now)
    approval.preview = performed.preview.to_json()
    approval.fingerprint = performed.preview.fingerprint()
    approval.is_break_glass = True
    _decide(approval, ApprovalState.APPROVED, caller, person, intent.reason, wall_now)
    approval.result = _result(performed)
    approval.save(force_insert=True)
    _record(caller, approval, f"{intent.deed}.break_glass", intent.reason, now)
    transaction.on_commit(partial(operators_alert, **_alarm(approval)))
    return Decided(approval=approval, performed=performed)


@transaction.atomic
def approval_approve(
    *, caller: Caller, person: User, approval_id: UUID, reason: str, wall_now: datetime, now: datetime
) -> Decided:
    """Do what was asked for, in the maker's name. What cannot be done any more ends the request as failed.

    Raises ApprovalNotFound, ApprovalDecided, ApprovalExpired, ApprovalIsYours, ApprovalAboveYourLimit,
    ApprovalOutdated.
    """
    approval = _open_locked(approval_id, wall_now)
    _others_only(approval, person)
    _limit_require(approval, person)
    try:
        with transaction.atomic():
            performed = _perform(caller, approval, now)
    except IdempotencyKeyInFlight:
        raise
    except DomainError as refusal:
        return _failed(caller, person, approval, reason, refusal, wall_now, now)
    if performed.preview.fingerprint() != approval.fingerprint:
        raise ApprovalOutdated(
            "This would not do any more what was asked for: the world has changed meanwhile. Nothing was done."
        )
    approval.result = _result(performed)
    _decided_save(caller, person, approval, ApprovalState.APPROVED, reason, wall_now, now)
    return Decided(approval=approval, performed=performed)


@transaction.atomic
def approval_reject(
    *, caller: Caller, person: User, approval_id: UUID, reason: str, wall_now: datetime, now: datetime
) -> Decided:
    """Say no. Raises ApprovalNotFound, ApprovalDecided, ApprovalExpired, ApprovalIsYours."""
    approval = _open_locked(approval_id, wall_now)
    _others_only(approval, person)
    _decided_save(caller, person, approval, ApprovalState.REJECTED, reason, wall_now, now)
    return Decided(approval=approval)


@transaction.atomic
def approval_cancel(
    *, caller: Caller, person: User, approval_id: UUID, reason: str, wall_now: datetime, now: datetime
) -> Decided:
    """Take one's own request back. Raises ApprovalNotFound, ApprovalDecided, ApprovalExpired, ApprovalIsNotYours."""
    approval = _open_locked(approval_id, wall_now)
    if approval.requester_id != person.pk:
        raise ApprovalIsNotYours
    _decided_save(caller, person, approval, ApprovalState.CANCELED, reason, wall_now, now)
    return Decided(approval=approval)


def approval_rehearse(*, caller: Caller, approval: Approval, now: datetime) -> Performed:
    """What it would do now, by doing it and rolling that back. Raises what the deed refuses."""
    with transaction.atomic():
        performed = _perform(caller, approval, now)
        transaction.set_rollback(True)
    return performed


def approval_is_open_to(*, approval: Approval, person: User) -> bool:
    """Whether this person could decide it, as far as limits go and whoever asked."""
    return approval.requester_id != person.pk and _is_within(approval, person)


def approvals_expire(*, wall_now: datetime) -> int:
    """End the wait of requests that nobody decided in time; how many. Any environment."""
    due = call_all(_DUE, [wall_now, _SWEEP_BATCH])
    return sum(_expire(environment_id, approval_id, wall_now) for environment_id, approval_id in due)


def _expire(environment_id: UUID, approval_id: UUID, wall_now: datetime) -> int:
    with environment_scope(environment_id), transaction.atomic():
        waiting = Approval.objects.filter(id=approval_id, state=ApprovalState.PENDING)
        approval = waiting.select_for_update(no_key=True, of=("self",)).first()
        if approval is None:
            return 0
        approval.state, approval.decided_at, approval.decided_by = ApprovalState.EXPIRED, wall_now, _SYSTEM
        approval.save(update_fields=["state", "decided_at", "decided_by"])
        caller = Caller(environment_id=environment_id, actor=_SYSTEM)
        _record(caller, approval, "approval.expired", "", wall_now)
    return 1


def _drafted(caller: Caller, person: User, intent: Intent, wall_now: datetime) -> Approval:
    return Approval(
        environment_id=caller.environment_id,
        deed=intent.deed,
        payload=dict(intent.payload),
        customer=intent.customer,
        subject=intent.subject,
        amount=intent.amount,
        currency=intent.currency,
        reason=intent.reason,
        requester_id=person.pk,
        requested_by=caller.actor,
        requested_at=wall_now,
        expires_at=wall_now + timedelta(hours=settings.APPROVAL_EXPIRY_HOURS),
        idempotency_key=intent.idempotency_key,
    )


def _open_locked(approval_id: UUID, wall_now: datetime) -> Approval:
    """The request, locked, so that of two who decide at once the second finds it decided."""
    locked = Approval.objects.select_for_update(no_key=True, of=("self",)).select_related("customer")
    approval = locked.filter(id=approval_id).first()
    if approval is None:
        raise ApprovalNotFound
    state = approval.state_at(wall_now)
    if state == ApprovalState.EXPIRED:
        raise ApprovalExpired
    if state != ApprovalState.PENDING:
        who = f" by {approval.decided_by}" if approval.decided_by else ""
        raise ApprovalDecided(f"The request is {state.label.lower()} already{who}. Nothing more was done.")
    return approval


def _others_only(approval: Approval, person: User) -> None:
    if approval.requester_id == person.pk:
        raise ApprovalIsYours


def _limit_require(approval: Approval, person: User) -> None:
    if not _is_within(approval, person):
        raise ApprovalAboveYourLimit


def _is_within(approval: Approval, person: User) -> bool:
    """Owners decide whatever the amount: where they have a limit, two of them make four eyes."""
    if person.has_perm(BREAK_GLASS):
        return True
    deed = deed_named(approval.deed)
    limit = limit_of(
        person=person, environment_id=approval.environment_id, deed=deed, currency=approval.currency
    )
    return deed.units_of(approval.amount, approval.currency) <= limit


def _perform(caller: Caller, approval: Approval, now: datetime) -> Performed:
    """As the maker, whose reason and key it carries; the metadata says who let it happen."""
    call = DeedCall(
        caller=Caller(
            environment_id=caller.environment_id,
            actor=approval.requested_by,
            request_id=caller.request_id,
            address=caller.address,
        ),
        customer=approval.customer,
        payload=approval.payload,
        idempotency_key=approval.idempotency_key,
        metadata={"approval": approval.public_id, "approved_by": caller.actor},
        now=now,
    )
    return deed_named(approval.deed).perform(call)


def _failed(
    caller: Caller,
    person: User,
    approval: Approval,
    reason: str,
    refusal: DomainError,
    wall_now: datetime,
    now: datetime,
) -> Decided:
    said = " ".join([refusal.detail, *(error.message for error in refusal.errors)])
    approval.result = {"refusal": refusal.code, "message": said}
    _decided_save(caller, person, approval, ApprovalState.FAILED, reason, wall_now, now)
    return Decided(approval=approval, refusal=said)


def _decide(
    approval: Approval, state: ApprovalState, caller: Caller, person: User, reason: str, wall_now: datetime
) -> None:
    approval.state, approval.decider_id, approval.decided_by = state, person.pk, caller.actor
    approval.decided_at, approval.decision_reason = wall_now, reason


def _decided_save(
    caller: Caller,
    person: User,
    approval: Approval,
    state: ApprovalState,
    reason: str,
    wall_now: datetime,
    now: datetime,
) -> None:
    _decide(approval, state, caller, person, reason, wall_now)
    approval.save(update_fields=["state", "decider", "decided_by", "decided_at", "decision_reason", "result"])
    _record(caller, approval, f"approval.{state.value}", reason, now)


def _result(performed: Performed) -> dict[str, Any]:
    return {"message": performed.message, "effect_id": performed.effect_id}


def _record(caller: Caller, approval: Approval, action: str, reason: str, now: datetime) -> None:
    """Both names on every record, whoever's it is."""
    asked = {
        "deed": approval.deed,
        "amount": amount_text(approval),
        "subject": approval.subject,
        "requested_by": approval.requested_by,
        "requested_because": approval.reason,
    }
    if approval.decided_by:
        asked["decided_by"] = approval.decided_by
    if approval.result:
        asked["result"] = approval.result.get("message", "")
    audit_record(
        caller=caller,
        action=action,
        object_type="approval",
        object_id=approval.public_id,
        customer_id=approval.customer_id,
        reason=reason,
        changes={name: [None, value] for name, value in asked.items()},
        now=now,
    )


def amount_text(approval: Approval) -> str:
    """`2,500 credits`."""
    deed = deed_find(approval.deed)
    if deed is None:
        return f"{approval.amount:,} {approval.currency}"
    return deed.text_of(approval.amount, approval.currency)


def _alarm(approval: Approval) -> dict[str, str]:
    environment = Environment.objects.select_related("tenant").get(id=approval.environment_id)
    deed = deed_named(approval.deed)
    text = (
        f"{approval.requested_by} did alone what needs a second person.\n\n"
        f"Deed: {deed.label}\nAmount: {amount_text(approval)}\nFor: {approval.subject}\n"
        f"Environment: {environment}\nReason: {approval.reason}\n"
        f"Request: {approval.public_id}\n{settings.PURSER_URL}/admin/customers/approval/{approval.public_id}/change/\n"
    )
    return {"subject": f"Break-glass: {deed.label} by {approval.requested_by}", "text": text}
