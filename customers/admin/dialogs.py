"""Forms that do one thing: shown in a dialog where the browser can, as a page where it cannot.

Each form carries a token, made when it was shown. Doing the thing claims the token in the same transaction, so that
however often one form is sent (a double click, a reload, the back button) there is one effect. The preview does the
thing with the same service and rolls it back: what is shown is what will happen.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from customers.admin.display import credits_shown
from customers.admin.requests import environment_of, of_admin, wants_fragment
from customers.errors import DomainError, IdempotencyKeyReused
from customers.kernel.clock import system_now
from customers.kernel.json import json_bytes
from customers.services.idempotency import Claim, answer_keep, key_claim

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{20,64}")
_PREVIEW: Final = "preview"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of a preview: what something is and what it would be."""

    label: str
    before: object
    after: object
    #: How much that is; "" when it says nothing.
    difference: object = ""

    @classmethod
    def of_credits(cls, label: str, before_mc: int, after_mc: int) -> Change:
        moved_mc = after_mc - before_mc
        return cls(
            label=label,
            before=credits_shown(before_mc),
            after=credits_shown(after_mc),
            difference=credits_shown(moved_mc, signed=True) if moved_mc else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done. With a `secret` the dialog stays open and shows it, this once."""

    message: str
    effect_id: UUID | None = None
    url: str = ""
    changes: Sequence[Change] = ()
    notes: Sequence[str] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    #: What an approval is good for (services/approval_deeds.py); without it, all that is shown.
    effect: Sequence[str] = ()
    #: It went another way than the person wanted, so the message is no good news.
    is_warning: bool = False


#: Does it: the form's cleaned data and an idempotency key for the effect. Called for the preview too.
Deed = Callable[[dict[str, Any], str], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Above:
    """An amount above what the person may do alone, and the ways around it."""

    text: str
    ask: Deed
    #: For owners only.
    break_glass: Deed | None = None

    @property
    def may_break_glass(self) -> bool:
        return self.break_glass is not None

    def deed_chosen(self, posted: Mapping[str, Any]) -> Deed | None:
        """The way that the person has taken, or None before they were told that they must."""
        if "break_glass" in posted:
            if self.break_glass is None:
                raise PermissionDenied
            return self.break_glass
        return self.ask if "ask" in posted else None


#: Whether this form, filled in validly, asks for more than the person may do alone.
Gate = Callable[[forms.Form], Above | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """One thing a person can do here, and the form it needs.

    `family` keeps the tokens of different deeds apart. `is_stepwise`: the deed commits as it goes and, done again, goes
    on where it was interrupted, so it stands in no transaction, and its token is claimed when it is done.
    """

    title: str
    submit: str
    form: Callable[..., forms.Form]
    deed: Deed
    family: str
    back: str
    subject: str = ""
    intro: str = ""
    is_danger: bool = False
    has_preview: bool = False
    is_stepwise: bool = False
    initial: Mapping[str, Any] = field(default_factory=dict)
    gate: Gate = lambda _form: None


def dialog_response(
    request: HttpRequest, dialog: Dialog, *, allowed: bool, context: Mapping[str, Any]
) -> HttpResponse:
    """Show the form, show what it would do, or do it. `context` is the admin site's, for the page around it."""
    if not allowed:
        raise PermissionDenied
    if request.method != "POST":
        form = dialog.form(initial=dict(dialog.initial))
        return _form_response(request, dialog, form, context, token=secrets.token_urlsafe(24))
    form = dialog.form(request.POST)
    if _PREVIEW in request.POST:
        return _preview_response(request, dialog, form)
    return _done_response(request, dialog, form, context)


def _done_response(
    request: HttpRequest, dialog: Dialog, form: forms.Form, context: Mapping[str, Any]
) -> HttpResponse:
    token = request.POST.get("token", "")
    if not form.is_valid() or _TOKEN.fullmatch(token) is None:
        return _form_response(request, dialog, form, context, token=token, status=422)
    above = dialog.gate(form)
    deed = dialog.deed if above is None else above.deed_chosen(request.POST)
    if deed is None:
        return _form_response(request, dialog, form, context, token=token, above=above, status=422)
    once = _once_stepwise if dialog.is_stepwise else _once
    try:
        outcome = once(request, replace(dialog, deed=deed), form.cleaned_data, token)
    except IdempotencyKeyReused:
        form.add_error(
            None, "This form was sent before, with other values. Open it anew to do something else."
        )
        return _form_response(request, dialog, form, context, token=token, above=above, status=409)
    except DomainError as refusal:
        refusal_show(form, refusal)
        return _form_response(request, dialog, form, context, token=token, above=above, status=422)
    if outcome is not None and outcome.secrets:
        return _secret_response(request, dialog, outcome, context)
    return _said_response(request, dialog, outcome)


def _said_response(request: HttpRequest, dialog: Dialog, outcome: Outcome | None) -> HttpResponse:
    if outcome is None:
        messages.info(request, "This form was sent twice. It was done once, the first time.")
        return _go(request, dialog.back)
    say = messages.warning if outcome.is_warning else messages.success
    say(request, outcome.message)
    return _go(request, outcome.url or dialog.back)


def _once(request: HttpRequest, dialog: Dialog, data: dict[str, Any], token: str) -> Outcome | None:
    """The outcome, or None when this form's effect is there already."""
    environment = environment_of(request)
    key = f"admin-{token}"
    with transaction.atomic():
        if environment is None:
            return dialog.deed(data, key)
        claim = _claim(request, dialog, environment.id, data, key)
        if not claim.claimed:
            return None
        with transaction.atomic():
            outcome = dialog.deed(data, key)
        answer_keep(record_id=claim.record_id, status=200, body=b"", effect_id=outcome.effect_id)
    return outcome


def _once_stepwise(request: HttpRequest, dialog: Dialog, data: dict[str, Any], token: str) -> Outcome | None:
    environment_id, key = of_admin(request).caller.environment_id, f"admin-{token}"
    with transaction.atomic():
        is_new = _claim(request, dialog, environment_id, data, key).claimed
        transaction.set_rollback(is_new)
    if not is_new:
        return None
    outcome = dialog.deed(data, key)
    with transaction.atomic():
        claim = _claim(request, dialog, environment_id, data, key)
        answer_keep(record_id=claim.record_id, status=200, body=b"", effect_id=outcome.effect_id)
    return outcome


def _claim(
    request: HttpRequest, dialog: Dialog, environment_id: UUID, data: Mapping[str, Any], key: str
) -> Claim:
    return key_claim(
        environment_id=environment_id,
        family=f"admin.{dialog.family}",
        key=key,
        fingerprint=_fingerprint(request, data),
        now=system_now(),
    )


def _fingerprint(request: HttpRequest, data: Mapping[str, Any]) -> bytes:
    asked = {name: str(value) for name, value in data.items()}
    return hashlib.sha256(request.path.encode() + b"\n" + json_bytes(asked)).digest()


def _preview_response(request: HttpRequest, dialog: Dialog, form: forms.Form) -> HttpResponse:
    """What would happen, from the very service that would do it."""
    outcome, above, refusal = None, None, ""
    if form.is_valid():
        try:
            outcome = _rehearsed(dialog, form.cleaned_data)
            above = dialog.gate(form)
        except DomainError as error:
            refusal = _refusal_text(error)
    return TemplateResponse(
        request,
        "admin/purser/dialog_preview.html",
        {"outcome": outcome, "refusal": refusal, "form": form, "dialog": dialog, "above": above},
    )


def _rehearsed(dialog: Dialog, data: dict[str, Any]) -> Outcome:
    with transaction.atomic():
        outcome = dialog.deed(data, f"admin-{secrets.token_urlsafe(24)}")
        transaction.set_rollback(True)
    return outcome


def _form_response(
    request: HttpRequest,
    dialog: Dialog,
    form: forms.Form,
    context: Mapping[str, Any],
    *,
    token: str,
    above: Above | None = None,
    status: int = 200,
) -> HttpResponse:
    shown = {
        "dialog": dialog,
        "form": form,
        "token": token,
        "above": above,
        "action": request.get_full_path(),
    }
    return _shown(request, "dialog_form.html", shown, context, status)


def _secret_response(
    request: HttpRequest, dialog: Dialog, outcome: Outcome, context: Mapping[str, Any]
) -> HttpResponse:
    shown = {"dialog": dialog, "outcome": outcome, "back": outcome.url or dialog.back}
    response = _shown(request, "dialog_secret.html", shown, context, 200)
    response.headers["Cache-Control"] = "no-store"
    return response


def _shown(
    request: HttpRequest, fragment: str, shown: dict[str, Any], context: Mapping[str, Any], status: int
) -> HttpResponse:
    fragment = f"admin/purser/{fragment}"
    if wants_fragment(request):
        return TemplateResponse(request, fragment, shown, status=status)
    page = {**context, **shown, "title": shown["dialog"].title, "fragment": fragment}
    return TemplateResponse(request, "admin/purser/dialog_page.html", page, status=status)


def _go(request: HttpRequest, url: str) -> HttpResponse:
    if wants_fragment(request):
        return HttpResponse(status=204, headers={"X-Purser-Location": url})
    return HttpResponseRedirect(url)


def refusal_show(form: forms.Form, refusal: DomainError) -> None:
    """Put what a service refused where the person can see it: at the field, or above them all."""
    placed = False
    for error in refusal.errors:
        name = _field_of(form, error.field)
        form.add_error(name, error.message if name else f"{error.field}: {error.message}")
        placed = True
    if not placed:
        form.add_error(None, _refusal_text(refusal))


def _field_of(form: forms.Form, name: str) -> str | None:
    return next((known for known in (name, f"{name}_mc") if known in form.fields), None)


def _refusal_text(refusal: DomainError) -> str:
    said = [f"{error.field}: {error.message}" for error in refusal.errors]
    return (
        " ".join([refusal.detail, *said])
        if refusal.detail.endswith(".") or not said
        else ". ".join([refusal.detail, *said])
    )


def caller_of(request: HttpRequest) -> Any:
    """The person as services know them."""
    return of_admin(request).caller
