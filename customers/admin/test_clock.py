"""The test clock of the environment in view: what time it is there, what comes next, and buttons that move it."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from customers.admin.dialogs import Dialog, Outcome, caller_of, dialog_response
from customers.admin.display import badge, instant_shown
from customers.admin.fields import InstantInput, ReasonField
from customers.admin.records import Button, Fact, Page, Section, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.clock import system_now
from customers.models import AuditRecord, Environment, EnvironmentKind
from customers.services.test_clock import (
    Advanced,
    clock_advance,
    clock_advance_to_next,
    clock_due,
    clock_remove,
    clock_set,
)

PERMISSION: Final = "customers.change_environment"
_NAME: Final = "customers_test_clock"
_MOVES_SHOWN: Final = 8


class SetForm(forms.Form):
    frozen_time = InstantInput(label="Time (UTC)", help_text="Not before anything that has happened here.")
    reason = ReasonField()


class AdvanceForm(forms.Form):
    to = InstantInput(label="To (UTC)", help_text="Everything due up to and including this instant is done.")
    reason = ReasonField()


class WhyForm(forms.Form):
    reason = ReasonField()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    """One button: what it opens and what that does."""

    label: str
    title: str
    submit: str
    form: type[forms.Form]
    do: Callable[[HttpRequest, Mapping[str, Any]], Outcome]
    intro: str
    icon: str = ""
    tone: str = "plain"
    needs_clock: bool = True
    is_stepwise: bool = True
    initial: Callable[[datetime], Mapping[str, Any]] = lambda _now: {}


def urls(wrap: Callable[..., Any]) -> list[URLPattern]:
    """The page and its dialogs, for the site that wraps them."""
    return [
        path("test-clock/", wrap(clock_page), name=_NAME),
        path("test-clock/<str:deed>/", wrap(clock_dialog), name=f"{_NAME}_deed"),
    ]


def clock_page(request: HttpRequest) -> HttpResponse:
    """What time it is, what comes next, who moved it."""
    environment = _environment(request)
    page = Page(
        heading="Test clock",
        kind=str(environment),
        badges=[_state(environment)],
        sections=_sections(request, environment),
        buttons=_buttons(request, environment),
    )
    context = {
        **admin.site.each_context(request),
        "title": page.heading,
        "opts": Environment._meta,
        "page": page,
    }
    return TemplateResponse(request, "admin/purser/record.html", context)


def clock_dialog(request: HttpRequest, deed: str) -> HttpResponse:
    """One of the deeds."""
    environment, chosen = _environment(request), _DEEDS.get(deed)
    if chosen is None:
        raise Http404
    dialog = Dialog(
        title=chosen.title,
        submit=chosen.submit,
        form=chosen.form,
        deed=lambda data, _key: chosen.do(request, data),
        family=f"test_clock.{deed}",
        back=reverse(f"admin:{_NAME}"),
        subject=str(environment),
        intro=chosen.intro,
        initial=chosen.initial(of_admin(request).now.replace(microsecond=0)),
        is_stepwise=chosen.is_stepwise,
    )
    context = {**admin.site.each_context(request), "opts": Environment._meta}
    return dialog_response(request, dialog, allowed=_may_move(request, environment), context=context)


def _environment(request: HttpRequest) -> Environment:
    environment = environment_of(request)
    if environment is None or not request.user.has_perm("customers.view_environment"):
        raise Http404
    return environment


def _may_move(request: HttpRequest, environment: Environment) -> bool:
    return environment.kind == EnvironmentKind.TEST and request.user.has_perm(PERMISSION)


def _state(environment: Environment) -> str:
    if environment.kind != EnvironmentKind.TEST:
        return badge("Live: no test clock", "live")
    return (
        badge("Stands still", "warning") if environment.frozen_at else badge("The system's time", "neutral")
    )


def _sections(request: HttpRequest, environment: Environment) -> Sequence[Section]:
    if environment.kind != EnvironmentKind.TEST:
        hint = "Time on a live environment is the system's. Look at a test environment to move it."
        return [Section("Time", [Fact("Now", instant_shown(of_admin(request).now), hint)])]
    due = [
        {"title": each.what, "second": each.source, "at": instant_shown(each.at)}
        for each in clock_due(environment_id=environment.id)
    ]
    return [
        Section("Time", _facts(request, environment)),
        Section(
            "Due next", html=_lines(due), hint="The first thing of each kind. Advancing does them in order."
        ),
        Section("Moved", html=_lines(_moves(request)), hint="Who moved the time, the last first."),
    ]


def _facts(request: HttpRequest, environment: Environment) -> list[Fact]:
    frozen = environment.frozen_at
    hint = "It stands still until it is advanced." if frozen else "As everywhere, until a clock is set."
    return [
        Fact("Now, in this environment", instant_shown(of_admin(request).now), hint),
        Fact("Wall clock", instant_shown(system_now()), "Keys, rate limits and deliveries go by it."),
    ]


def _moves(request: HttpRequest) -> list[dict[str, object]]:
    if not request.user.has_perm("customers.view_auditrecord"):
        return []
    records = AuditRecord.objects.filter(object_type="environment", action__startswith="test_clock.")
    return [
        {
            "url": record_url(AuditRecord, record.id),
            "title": f"{record.action.removeprefix('test_clock.').capitalize()}: {_way(record)}",
            "note": " · ".join(filter(None, (record.actor, record.reason))),
        }
        for record in records.order_by("-id")[:_MOVES_SHOWN]
    ]


def _way(record: AuditRecord) -> str:
    before, after = record.changes.get("frozen_time", [None, None])
    return f"{before or 'system time'} → {after or 'system time'}"


def _lines(lines: Sequence[Mapping[str, object]]) -> str:
    return render_to_string("admin/purser/lines.html", {"lines": lines})


def _buttons(request: HttpRequest, environment: Environment) -> list[Button]:
    if not _may_move(request, environment):
        return []
    return [
        Button(
            deed.label,
            reverse(f"admin:{_NAME}_deed", args=[name]),
            icon=deed.icon,
            tone=deed.tone,
            opens_dialog=True,
        )
        for name, deed in _DEEDS.items()
        if environment.frozen_at or not deed.needs_clock
    ]


# --- Deeds


def _set(request: HttpRequest, data: Mapping[str, Any]) -> Outcome:
    return _moved(clock_set(caller=caller_of(request), **data, now=of_admin(request).now))


def _advance(request: HttpRequest, data: Mapping[str, Any]) -> Outcome:
    return _moved(clock_advance(caller=caller_of(request), **data, now=of_admin(request).now))


def _advance_to_next(request: HttpRequest, data: Mapping[str, Any]) -> Outcome:
    return _moved(clock_advance_to_next(caller=caller_of(request), **data, now=of_admin(request).now))


def _remove(request: HttpRequest, data: Mapping[str, Any]) -> Outcome:
    clock_remove(caller=caller_of(request), **data, wall_now=system_now(), now=of_admin(request).now)
    return Outcome(message="The environment goes by the system's time again.")


def _moved(done: Advanced) -> Outcome:
    work = ", ".join(f"{source}: {count:,}" for source, count in done.done.items() if count)
    said = (
        f" Something was due at {done.instants:,} instants ({work})."
        if done.instants
        else " Nothing was due."
    )
    return Outcome(message=f"It is {done.frozen_time:%Y-%m-%d %H:%M:%S} UTC now.{said}")


def _month_after(instant: datetime) -> datetime:
    """The same day of the next month, or its last."""
    year, month = divmod(instant.year * 12 + instant.month, 12)
    last = monthrange(year, month + 1)[1]
    return instant.replace(year=year, month=month + 1, day=min(instant.day, last))


def _advance_by(label: str, after: Callable[[datetime], datetime], icon: str = "") -> _Deed:
    return _Deed(
        label=label,
        title="Advance the clock",
        submit="Advance",
        form=AdvanceForm,
        do=_advance,
        intro="Renewals, grants, expiries and ends of holds on the way happen, in order, each at its own instant.",
        icon=icon,
        initial=lambda now: {"to": after(now)},
    )


_DEEDS: Final[Mapping[str, _Deed]] = {
    "next": _Deed(
        label="To the next event",
        title="Advance to the next event",
        submit="Advance",
        form=WhyForm,
        do=_advance_to_next,
        intro="To the next instant at which anything is due, which is done. Nothing due: the clock stays.",
        icon="skip_next",
        tone="primary",
        is_stepwise=False,
    ),
    "day": _advance_by("1 day", lambda now: now + timedelta(days=1), "fast_forward"),
    "month": _advance_by("1 month", _month_after, "fast_forward"),
    "advance": _advance_by("To a date", lambda now: now, "event"),
    "set": _Deed(
        label="Set",
        title="Set the clock",
        submit="Set the clock",
        form=SetForm,
        do=_set,
        intro="Time stands still there, for every key and process of this environment, until it is advanced.",
        icon="schedule",
        needs_clock=False,
        initial=lambda now: {"frozen_time": now},
    ),
    "remove": _Deed(
        label="Remove",
        title="Remove the clock",
        submit="Remove the clock",
        form=WhyForm,
        do=_remove,
        intro="The environment goes by the system's time again. Refused while something lies in its future.",
        icon="timer_off",
        tone="danger",
        is_stepwise=False,
    ),
}
