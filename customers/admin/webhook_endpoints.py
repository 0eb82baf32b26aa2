"""Webhook endpoints: how they fare, and what one does when they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import NOTHING, badge, copyable, instant_shown, link, text_or_nothing
from customers.admin.fields import InstantInput
from customers.admin.records import (
    Button,
    Fact,
    Page,
    RecordAdmin,
    RecordChangeList,
    Section,
    list_url,
    record_url,
)
from customers.admin.requests import environment_of, of_admin
from customers.kernel.clock import system_now
from customers.models import DeliveryState, EndpointStatus, WebhookDelivery, WebhookEndpoint
from customers.selectors.webhooks import Hour, attempts_by_hour
from customers.services.webhook_deliveries import RETRIES_MAX, deliveries_retry
from customers.services.webhook_endpoints import (
    endpoint_create,
    endpoint_resume,
    endpoint_rotate_secret,
    endpoint_test,
    endpoint_update,
)

_TONES = {EndpointStatus.ACTIVE: "good", EndpointStatus.PAUSED: "warning", EndpointStatus.DISABLED: "bad"}
_REASONS = {"gone": "it answered 410", "failing": "it failed for days"}


class EndpointForm(forms.Form):
    url = forms.URLField(
        max_length=2000, label="URL", assume_scheme="https", help_text="http or https, with a public address."
    )
    events = forms.CharField(
        initial="*",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Names such as credit.granted, groups such as credit.*, or * for all; one a line.",
    )
    description = forms.CharField(max_length=500, required=False)


class EndpointChangeForm(EndpointForm):
    reason = forms.CharField(max_length=1000, help_text="Goes into the audit trail.")


class ResumeForm(ReasonForm):
    redeliver_from = InstantInput(
        required=False,
        label="Redeliver from (UTC)",
        help_text="Also send, in order, what was recorded since then and never arrived. Empty: only what waits.",
    )


class WithHours(RecordChangeList):
    """Reads a page's sparklines in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]
        hours = attempts_by_hour(endpoint_ids=[row.pk for row in rows], now=system_now())
        for row in rows:
            row.shown_hours = hours.get(row.pk, ())
        self.result_list = rows


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(RecordAdmin):
    noun, nouns = "webhook endpoint", "webhook endpoints"
    id_prefix = "whe"
    icon = "webhook"
    list_display = ("url_shown", "state", "health", "latency", "events_shown", "succeeded")
    list_display_links = ("url_shown",)
    list_filter = ("status",)
    search_fields = ("url",)
    search_help_text = "Part of the URL, or id (whe_…)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).filter(deleted_at__isnull=True)
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WithHours]:
        return WithHours

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return super().search(request, rows, term) | rows.filter(url__icontains=term)

    @admin.display(description="URL")
    def url_shown(self, endpoint: WebhookEndpoint) -> str:
        return endpoint.url if len(endpoint.url) <= 60 else f"{endpoint.url[:59]}…"

    @admin.display(description="State")
    def state(self, endpoint: WebhookEndpoint) -> SafeString:
        return state_badge(endpoint)

    @admin.display(description="Last 24 hours")
    def health(self, endpoint: Any) -> SafeString:
        return sparkline(endpoint.shown_hours)

    @admin.display(description="Latency")
    def latency(self, endpoint: WebhookEndpoint) -> object:
        return NOTHING if endpoint.latency_ms is None else f"{endpoint.latency_ms:,} ms"

    @admin.display(description="Events")
    def events_shown(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events[:3]) + (" …" if len(endpoint.events) > 3 else "")

    @admin.display(description="Last success")
    def succeeded(self, endpoint: WebhookEndpoint) -> SafeString:
        return instant_shown(endpoint.last_success_at)

    def page(self, request: HttpRequest, record: WebhookEndpoint) -> Page:
        hours = attempts_by_hour(endpoint_ids=[record.pk], now=system_now()).get(record.pk, ())
        return Page(
            heading=record.description or record.url,
            kind="Webhook endpoint",
            badges=[state_badge(record)],
            sections=[
                Section("Endpoint", self._facts(record)),
                Section("Health", self._health(record, hours)),
            ],
            buttons=self._buttons(request, record),
        )

    def _facts(self, endpoint: WebhookEndpoint) -> list[Fact]:
        return [
            Fact("Id", copyable(endpoint.public_id)),
            Fact("URL", copyable(endpoint.url)),
            Fact("Description", text_or_nothing(endpoint.description)),
            Fact("Events", format_html_join(" ", "{}", ((badge(name),) for name in endpoint.events))),
            Fact("Secret", NOTHING, "was shown once and is not stored; rotate it to get a new one"),
            Fact("Old secret signs until", instant_shown(endpoint.previous_until)),
            Fact("Created", instant_shown(endpoint.created_at)),
        ]

    def _health(self, endpoint: WebhookEndpoint, hours: Sequence[Hour]) -> list[Fact]:
        deliveries = list_url(WebhookDelivery, endpoint=endpoint.public_id)
        dead = list_url(WebhookDelivery, endpoint=endpoint.public_id, state__exact="dead")
        return [
            Fact("Last 24 hours", sparkline(hours), "attempts an hour; failed ones in red"),
            Fact("Failures in a row", endpoint.failures),
            Fact("Failing since", instant_shown(endpoint.failing_since)),
            Fact("Left alone until", instant_shown(endpoint.open_until), "after ten failures in a row"),
            Fact("Last success", instant_shown(endpoint.last_success_at)),
            Fact("Deliveries", format_html("{} · {}", link(deliveries, "All"), link(dead, "Dead"))),
        ]

    def _buttons(self, request: HttpRequest, endpoint: WebhookEndpoint) -> list[Button]:
        if not self._may(request):
            return []
        is_active = endpoint.status == EndpointStatus.ACTIVE
        deeds = [
            ("test", "Send test", "send", "plain", is_active),
            ("pause", "Pause", "pause", "plain", is_active),
            ("resume", "Resume", "play_arrow", "plain", not is_active or endpoint.failures > 0),
            ("retry", "Retry dead", "replay", "plain", is_active),
            ("edit", "Change", "edit", "plain", True),
            ("rotate", "Rotate secret", "key", "plain", True),
            ("disable", "Disable", "block", "danger", endpoint.status != EndpointStatus.DISABLED),
        ]
        return [
            Button(label, self._url(deed, endpoint), icon=icon, tone=tone, opens_dialog=True)
            for deed, label, icon, tone, is_possible in deeds
            if is_possible
        ]

    def _url(self, deed: str, endpoint: WebhookEndpoint) -> str:
        return reverse(f"admin:customers_webhookendpoint_{deed}", args=[endpoint.public_id])

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("customers.change_webhookendpoint"))

    # --- Deeds

    def has_add_permission(self, request: HttpRequest) -> bool:
        may = request.user.has_perm("customers.add_webhookendpoint")
        return may and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="Add a webhook endpoint",
            submit="Add endpoint",
            form=EndpointForm,
            deed=partial(_create, request),
            family="webhook_endpoint.create",
            back=list_url(WebhookEndpoint),
            subject=str(environment_of(request)),
            intro="Its secret is shown once, on the next screen.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.deed_view, _DEEDS)

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        endpoint = self.found_or_404(request, object_id)
        title, submit, form, act, intro = _DEEDS[deed]
        dialog = Dialog(
            title=title,
            submit=submit,
            form=form,
            deed=partial(act, request, endpoint),
            family=f"webhook_endpoint.{deed}",
            back=record_url(WebhookEndpoint, endpoint.public_id),
            subject=endpoint.url,
            intro=intro,
            is_danger=deed == "disable",
            initial={
                "url": endpoint.url,
                "events": "\n".join(endpoint.events),
                "description": endpoint.description,
            },
        )
        return self.dialog_answer(request, dialog, allowed=self._may(request))


def state_badge(endpoint: WebhookEndpoint) -> SafeString:
    """Status, and what is behind it."""
    if endpoint.status == EndpointStatus.ACTIVE and endpoint.failures:
        return badge("Failing" if endpoint.open_until is None else "Left alone", "warning")
    reason = _REASONS.get(endpoint.status_reason)
    label = endpoint.get_status_display()
    return badge(f"{label}: {reason}" if reason else label, _TONES[EndpointStatus(endpoint.status)])


def sparkline(hours: Sequence[Hour]) -> SafeString:
    """A bar an hour, the oldest on the left; what failed stands on what arrived."""
    if not hours:
        return NOTHING
    highest = max(hour.good + hour.bad for hour in hours)
    bars = (
        (colour, 5 * (23 - hour.ago), 20 - below - height, height)
        for hour in hours
        for colour, height, below in _bars(hour, highest)
    )
    failed = sum(hour.bad for hour in hours)
    label = f"{sum(hour.good for hour in hours):,} arrived, {failed:,} failed"
    return format_html(
        '<svg width="119" height="20" viewBox="0 0 119 20" role="img" aria-label="{}"><title>{}</title>{}</svg>',
        label,
        label,
        format_html_join("", '<rect fill="{}" x="{}" y="{}" width="4" height="{}"/>', bars),
    )


def _bars(hour: Hour, highest: int) -> list[tuple[str, int, int]]:
    """(colour, height, how far from the floor); whatever there was is seen."""
    good = -(-hour.good * 20 // highest)
    bad = min(-(-hour.bad * 20 // highest), 20)
    good = min(good, 20 - bad)
    bars = [("#059669", good, 0), ("#dc2626", bad, good)]
    return [each for each in bars if each[1]]


def _attributes(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "url": data["url"],
        "events": data["events"].replace(",", " ").split(),
        "description": data["description"],
    }


def _create(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    made = endpoint_create(caller=caller_of(request), now=of_admin(request).now, **_attributes(data))
    return Outcome(
        message="The webhook endpoint was added.",
        effect_id=made.endpoint.id,
        url=record_url(WebhookEndpoint, made.endpoint.public_id),
        secrets={made.endpoint.url: made.secret},
    )


def _rotate(request: HttpRequest, endpoint: WebhookEndpoint, data: Mapping[str, Any], _key: str) -> Outcome:
    made = endpoint_rotate_secret(
        caller=caller_of(request), endpoint_id=endpoint.id, reason=data["reason"], now=of_admin(request).now
    )
    return Outcome(
        message="The secret was rotated.", effect_id=endpoint.id, secrets={endpoint.url: made.secret}
    )


def _test(request: HttpRequest, endpoint: WebhookEndpoint, _data: Mapping[str, Any], _key: str) -> Outcome:
    delivery = endpoint_test(caller=caller_of(request), endpoint_id=endpoint.id, now=of_admin(request).now)
    return Outcome(
        message="A test event is on its way.",
        effect_id=delivery.id,
        url=record_url(WebhookDelivery, delivery.public_id),
    )


def _edit(request: HttpRequest, endpoint: WebhookEndpoint, data: Mapping[str, Any], _key: str) -> Outcome:
    return _update(request, endpoint, _attributes(data), data["reason"], "was changed")


def _pause(request: HttpRequest, endpoint: WebhookEndpoint, data: Mapping[str, Any], _key: str) -> Outcome:
    return _update(request, endpoint, {"status": EndpointStatus.PAUSED}, data["reason"], "is paused")


def _disable(request: HttpRequest, endpoint: WebhookEndpoint, data: Mapping[str, Any], _key: str) -> Outcome:
    return _update(request, endpoint, {"status": EndpointStatus.DISABLED}, data["reason"], "is disabled")


def _update(
    request: HttpRequest, endpoint: WebhookEndpoint, attributes: Mapping[str, Any], reason: str, said: str
) -> Outcome:
    endpoint_update(
        caller=caller_of(request),
        endpoint_id=endpoint.id,
        attributes=attributes,
        reason=reason,
        now=of_admin(request).now,
    )
    return Outcome(message=f"The endpoint {said}.", effect_id=endpoint.id)


def _resume(request: HttpRequest, endpoint: WebhookEndpoint, data: Mapping[str, Any], _key: str) -> Outcome:
    queued = endpoint_resume(
        caller=caller_of(request),
        endpoint_id=endpoint.id,
        redeliver_from=data["redeliver_from"],
        reason=data["reason"],
        now=of_admin(request).now,
    )
    return Outcome(
        message=f"The endpoint is active; {queued:,} events were queued again.", effect_id=endpoint.id
    )


def _retry(request: HttpRequest, endpoint: WebhookEndpoint, data: Mapping[str, Any], _key: str) -> Outcome:
    dead = WebhookDelivery.objects.filter(endpoint_id=endpoint.id, state=DeliveryState.DEAD).order_by("id")
    chosen = list(dead.values_list("id", flat=True)[:RETRIES_MAX])
    deliveries_retry(
        caller=caller_of(request), delivery_ids=chosen, reason=data["reason"], now=of_admin(request).now
    )
    return Outcome(message=f"{len(chosen):,} deliveries are tried again.", effect_id=endpoint.id)


_Deed = tuple[str, str, type[forms.Form], Callable[..., Outcome], str]
#: Title, button, form, deed, what one should know.
_DEEDS: dict[str, _Deed] = {
    "test": (
        "Send a test event",
        "Send",
        forms.Form,
        _test,
        "webhook.test goes to this endpoint and no other.",
    ),
    "pause": (
        "Pause endpoint",
        "Pause",
        ReasonForm,
        _pause,
        "Events queue up and are sent after it is resumed.",
    ),
    "resume": ("Resume endpoint", "Resume", ResumeForm, _resume, "What waits is tried at once."),
    "retry": (
        "Retry dead deliveries",
        "Retry",
        ReasonForm,
        _retry,
        f"The oldest {RETRIES_MAX} are sent again, beside the order of the others.",
    ),
    "edit": ("Change endpoint", "Change", EndpointChangeForm, _edit, ""),
    "rotate": (
        "Rotate secret",
        "Rotate",
        ReasonForm,
        _rotate,
        "The new secret is shown once; for 24 hours messages carry both signatures.",
    ),
    "disable": (
        "Disable endpoint",
        "Disable",
        ReasonForm,
        _disable,
        "What waits is skipped, and nothing is queued.",
    ),
}
