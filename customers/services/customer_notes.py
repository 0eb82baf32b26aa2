"""What colleagues write to each other about a customer. The audit trail names a note and never repeats what it says:
the trail keeps everything for ever, and what was never to be written down must be able to go.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.errors import CustomerNotFound, FieldError, NoteNotFound, NoteWithdrawn, ValidationFailed
from customers.kernel.caller import Caller
from customers.models import Customer, CustomerNote
from customers.services.audit import audit_record
from customers.services.checks import text_refusal

NOTE_MAX: Final = 4000


@transaction.atomic
def customer_note_add(
    *, caller: Caller, customer_id: UUID, text: str, is_pinned: bool = False, now: datetime
) -> CustomerNote:
    """A note in the caller's name, also about a deleted customer. Raises CustomerNotFound, ValidationFailed."""
    _check_text(text)
    if not Customer.objects.filter(id=customer_id, environment_id=caller.environment_id).exists():
        raise CustomerNotFound
    note = CustomerNote.objects.create(
        environment_id=caller.environment_id,
        customer_id=customer_id,
        text=text,
        author=caller.actor,
        is_pinned=is_pinned,
        created_at=now,
    )
    _record(caller, note, "added", now, changes={"is_pinned": [None, is_pinned]})
    return note


@transaction.atomic
def customer_note_pin(*, caller: Caller, note_id: UUID, is_pinned: bool, now: datetime) -> CustomerNote:
    """Keep it above the others, or no longer; what is so already is no change. Raises NoteNotFound, NoteWithdrawn."""
    note = _standing_locked(caller, note_id)
    if note.is_pinned != is_pinned:
        note.is_pinned = is_pinned
        note.save(update_fields=["is_pinned"])
        what = "pinned" if is_pinned else "unpinned"
        _record(caller, note, what, now, changes={"is_pinned": [not is_pinned, is_pinned]})
    return note


@transaction.atomic
def customer_note_withdraw(*, caller: Caller, note_id: UUID, reason: str, now: datetime) -> CustomerNote:
    """Take it back: its text is gone, that there was one stays. Raises NoteNotFound, NoteWithdrawn."""
    note = _standing_locked(caller, note_id)
    note.text, note.is_pinned = "", False
    note.withdrawn_at, note.withdrawn_by, note.withdrawal_reason = now, caller.actor, reason
    note.save()
    _record(caller, note, "withdrawn", now, reason=reason)
    return note


def _check_text(text: str) -> None:
    refused = text_refusal(text.strip(), NOTE_MAX)
    if refused is not None:
        raise ValidationFailed(errors=[FieldError("text", "invalid", refused)])


def _standing_locked(caller: Caller, note_id: UUID) -> CustomerNote:
    rows = CustomerNote.objects.select_for_update(no_key=True)
    note = rows.filter(id=note_id, environment_id=caller.environment_id).first()
    if note is None:
        raise NoteNotFound
    if note.withdrawn_at is not None:
        raise NoteWithdrawn
    return note


def _record(caller: Caller, note: CustomerNote, what: str, now: datetime, **more: Any) -> None:
    audit_record(
        caller=caller,
        action=f"customer_note.{what}",
        object_type="customer_note",
        object_id=note.public_id,
        customer_id=note.customer_id,
        now=now,
        **more,
    )
