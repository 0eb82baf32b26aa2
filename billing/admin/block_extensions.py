"""Extend the expiry of a block from its page: what is left of it moves into a new one that dies later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django import forms
from django.http import HttpRequest

from billing.admin.actions import movement_changes, movement_notes, movement_standing
from billing.errors import BlockNotFound
from billing.models import BlockState, CreditBlock
from billing.services.block_extensions import block_extend
from customers.admin.approvable import form_again, gate, performed
from customers.admin.dialogs import Change, Dialog, Outcome, caller_of
from customers.admin.display import credits_text, instant_shown
from customers.admin.fields import InstantInput, ReasonField
from customers.admin.records import record_url
from customers.admin.requests import of_admin
from customers.errors import ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid_parse
from customers.services.approval_deeds import MC, ApprovalDeed, DeedCall, Performed, deed_register

PERMISSION: Final = "billing.grant_credits"
_DEED: Final = "credits.extend"


class ExtendForm(forms.Form):
    expires_at = InstantInput(required=False, label="Expires (UTC)", help_text="Empty: never.")
    reason = ReasonField()


def block_extends(block: CreditBlock) -> bool:
    """Whether there is anything of it that could live longer."""
    return (
        block.state in {BlockState.LIVE, BlockState.PENDING}
        and block.expires_at is not None
        and _free_mc(block) > 0
    )


def extend_dialog(request: HttpRequest, block: CreditBlock) -> Dialog:
    customer, asked = block.account.customer, of_admin(request)
    return Dialog(
        title="Extend its expiry",
        submit="Extend expiry",
        form=ExtendForm,
        deed=lambda data, key: _extend(caller_of(request), block, data, key, {}, asked.now),
        family="extend",
        back=record_url(CreditBlock, block.public_id),
        subject=f"{customer.label}: {credits_text(_free_mc(block))} credits",
        intro="Terms never change: what is left is taken out of this block, and becomes a new one on its other terms.",
        has_preview=True,
        initial={"expires_at": block.expires_at},
        gate=gate(
            request,
            deed=_DEED,
            customer=customer,
            subject=customer.label,
            amount=lambda _: (_free_mc(block), MC),
            more={"block": block.public_id, "at_most": str(_free_mc(block))},
        ),
    )


def _free_mc(block: CreditBlock) -> int:
    """What nobody holds of it."""
    return block.original_mc if block.state == BlockState.PENDING else block.remaining_mc - block.held_mc


def _extend(
    caller: Caller,
    block: CreditBlock,
    data: Mapping[str, Any],
    key: str,
    metadata: Mapping[str, Any],
    now: datetime,
) -> Outcome:
    customer = block.account.customer
    before = movement_standing(caller, customer, now)
    done = block_extend(
        caller=caller,
        customer=customer,
        block_id=block.id,
        expires_at=data["expires_at"],
        reason=data["reason"],
        metadata=dict(metadata) or None,
        idempotency_key=key,
        now=now,
    )
    moved, new = done.movement.amount_mc, done.movement.block
    assert new is not None  # noqa: S101 - a grant makes one
    notes = list(movement_notes(done.movement))
    if done.held_mc:
        notes.append(f"{credits_text(done.held_mc)} credits stay in the old block, for the holds on them.")
    ends = Change(
        label="Expires",
        before=instant_shown(block.expires_at),
        after=instant_shown(new.expires_at) if new.expires_at else "never",
    )
    return Outcome(
        message=f"{credits_text(moved)} credits of {customer.label} live longer.",
        effect_id=new.id,
        url=record_url(CreditBlock, new.public_id),
        changes=[ends, *movement_changes(before, done.movement)],
        notes=notes,
        # Not how much is left: usage goes on while somebody decides, and there will only be less of it.
        effect=(block.public_id, f"{new.expires_at}"),
    )


def _approved(call: DeedCall) -> Performed:
    block_id = typeid_parse("blk", str(call.payload.get("block", "")))
    blocks = CreditBlock.objects.select_related("account__customer")
    block = blocks.filter(id=block_id).first() if block_id else None
    if block is None:
        raise BlockNotFound
    if _free_mc(block) > int(call.payload["at_most"]):
        raise ValidationFailed("By now that would be more credits than were asked for.")
    data = form_again(ExtendForm, call.payload)
    outcome = _extend(call.caller, block, data, call.idempotency_key, call.metadata, call.now)
    return performed(outcome)


deed_register(ApprovalDeed(name=_DEED, label="Extend an expiry", permission=PERMISSION, perform=_approved))
