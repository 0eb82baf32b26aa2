"""Dialogs whose deed needs a second person above a limit: what they ask with, and how the deed is done later.

A request keeps the form as it was filled in. When it is approved, the same form reads it again and the same deed is
done, so whatever the form refuses by then (an expiry that has passed) is refused.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.html import strip_tags

from customers.admin.dialogs import Above, Change, Gate, Outcome
from customers.admin.display import units_text
from customers.admin.records import record_url
from customers.admin.requests import of_admin
from customers.errors import FieldError, ValidationFailed
from customers.kernel.clock import system_now
from customers.models import Approval, Customer
from customers.services.approval_deeds import ApprovalDeed, Line, Performed, Preview, deed_named
from customers.services.approval_limits import BREAK_GLASS, limit_of
from customers.services.approvals import Decided, Intent, approval_break_glass, approval_request

#: From a form's cleaned data: how much, in mc or minor units, and the currency.
AmountOf = Callable[[Mapping[str, Any]], tuple[int, str]]


def gate(
    request: HttpRequest,
    *,
    deed: str,
    customer: Customer | None,
    subject: str,
    amount: AmountOf,
    more: Mapping[str, str] | None = None,
) -> Gate:
    """For a dialog of this registered deed. `more` is kept beside the form, to find the object again."""

    def judge(form: forms.Form) -> Above | None:
        size, currency = amount(form.cleaned_data)
        known = deed_named(deed)
        limit = _limit(request, known, currency)
        if known.units_of(size, currency) <= limit:
            return None
        intent = _intent(
            deed=deed,
            payload={**_filled(form), **(more or {})},
            customer=customer,
            subject=subject,
            amount=size,
            currency=currency,
            reason=form.cleaned_data.get("reason", ""),
        )
        return _above(request, f"{_limit_text(limit, known, currency)} A second person decides.", intent)

    return judge


def _limit(request: HttpRequest, deed: ApprovalDeed, currency: str) -> Any:
    asked = of_admin(request)
    environment_id = asked.caller.environment_id
    return limit_of(person=asked.user, environment_id=environment_id, deed=deed, currency=currency)


def _limit_text(limit: Any, deed: ApprovalDeed, currency: str) -> str:
    if limit == 0:
        return "You may ask for this, and not do it alone."
    return f"This is above your limit of {units_text(limit)} {deed.unit_in(currency)}."


Asking = Callable[[str], Intent]


def _intent(**fields: Any) -> Asking:
    return lambda key: Intent(idempotency_key=key, **fields)


def _above(request: HttpRequest, text: str, intent: Asking) -> Above:
    def ask(_data: dict[str, Any], key: str) -> Outcome:
        done = approval_request(**by_person(request), intent=intent(key), wall_now=system_now())
        return Outcome(
            message="Asked for approval. Nothing has been done yet.",
            effect_id=done.approval.id,
            url=record_url(Approval, done.approval.public_id),
        )

    def break_glass(_data: dict[str, Any], key: str) -> Outcome:
        done = approval_break_glass(**by_person(request), intent=intent(key), wall_now=system_now())
        return outcome_of(done, f"Done alone. {done.performed.message if done.performed else ''}")

    may = request.user.has_perm(BREAK_GLASS)
    return Above(text=text, ask=ask, break_glass=break_glass if may else None)


def outcome_of(done: Decided, message: str, *, url: str = "") -> Outcome:
    """What deciding came to, with the deed's own changes."""
    preview = done.performed.preview if done.performed else None
    return Outcome(
        message=message,
        effect_id=done.approval.id,
        url=url,
        changes=changes_of(preview) if preview else (),
        notes=preview.notes if preview else (),
        is_warning=bool(done.refusal) or done.approval.is_break_glass,
    )


def by_person(request: HttpRequest) -> dict[str, Any]:
    """Who decides or asks, as the services take it."""
    asked = of_admin(request)
    return {"caller": asked.caller, "person": asked.user, "now": asked.now}


def _filled(form: forms.Form) -> dict[str, str]:
    """The form as it was filled in."""
    return {name: form.data.get(name, "") for name in form.fields}


def form_again(form_class: Callable[..., forms.Form], payload: Mapping[str, Any]) -> dict[str, Any]:
    """The cleaned data of a kept form. Raises ValidationFailed with what is wrong by now."""
    form = form_class(dict(payload))
    if not form.is_valid():
        raise ValidationFailed(
            "The form would not be accepted any more.",
            errors=[
                FieldError(name, "invalid", str(message))
                for name, messages in form.errors.items()
                for message in messages
            ],
        )
    return form.cleaned_data


def performed(outcome: Outcome) -> Performed:
    """What a dialog's deed came to, in plain text, to be kept and compared."""
    lines = tuple(
        Line(
            label=change.label,
            before=_plain(change.before),
            after=_plain(change.after),
            difference=_plain(change.difference),
        )
        for change in outcome.changes
    )
    return Performed(
        message=outcome.message,
        preview=Preview(lines=lines, notes=tuple(outcome.notes), effect=tuple(outcome.effect)),
        effect_id=str(outcome.effect_id or ""),
    )


def changes_of(preview: Preview) -> list[Change]:
    return [
        Change(label=line.label, before=line.before, after=line.after, difference=line.difference)
        for line in preview.lines
    ]


def _plain(value: object) -> str:
    """Without the markup of what this admin made; what people wrote stays as it is."""
    if value is None:
        return "–"
    text = str(value)
    return html.unescape(strip_tags(text)).strip() if hasattr(value, "__html__") else text
