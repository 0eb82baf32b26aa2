"""Deliveries of webhooks, with every attempt's request and answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.customers import customer_link
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import NOTHING, badge, code, copyable, instant_shown, json_shown, link
from customers.admin.outbox import EventNameFilter, WithCustomers
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, id_of, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.admin.webhook_states import delivery_badge
from customers.events import CATALOGUE
from customers.kernel.ids import typeid
from customers.models import (
    Customer,
    DeliveryState,
    OutboxEvent,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from customers.services.customers import customer_find_id
from customers.services.webhook_deliveries import deliveries_retry

#: Attempts on a page; a delivery retried by hand over and over has more.
_ATTEMPTS_MAX = 20


class EndpointFilter(SimpleListFilter):
    title = "endpoint"
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = WebhookEndpoint.objects.filter(deleted_at__isnull=True).order_by("url")[:100]
        return [(row.public_id, row.url[:60]) for row in rows]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> QuerySet[WebhookDelivery]:
        if not self.value():
            return queryset
        return queryset.filter(endpoint_id=id_of(str(self.value()), "whe"))


class DeliveredEventFilter(EventNameFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(event__event=self.value()) if self.value() else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(RecordAdmin):
    noun, nouns = "webhook delivery", "webhook deliveries"
    id_prefix = "dlv"
    icon = "outbox"
    list_display = (
        "event_shown",
        "customer_shown",
        "endpoint_shown",
        "state_shown",
        "tried",
        "next",
        "queued",
    )
    list_display_links = ("event_shown",)
    list_filter = ("state", EndpointFilter, DeliveredEventFilter)
    list_select_related = ("event", "endpoint")
    search_fields = ("id",)
    search_help_text = "Customer, event (credit.granted), event id (msg_…) or delivery id (dlv_…)"
    actions = ("retry_chosen",)
    # One chooses what one sees: a page at most.
    list_disable_select_all = True

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WithCustomers]:
        return WithCustomers

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().page_queryset(request).select_related("event", "endpoint")

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if (key := id_of(term, "dlv")) is not None:
            return rows.filter(pk=key)
        if (event := id_of(term, "msg")) is not None:
            return rows.filter(event_id=event)
        if term in CATALOGUE:
            return rows.filter(event__event=term)
        environment = environment_of(request)
        customer_id = (
            customer_find_id(environment_id=environment.id, by="id", reference=term) if environment else None
        )
        return rows.filter(customer_id=customer_id) if customer_id else rows.none()

    @admin.display(description="Event")
    def event_shown(self, delivery: WebhookDelivery) -> str:
        return delivery.event.event

    @admin.display(description="Customer")
    def customer_shown(self, delivery: Any) -> SafeString:
        return customer_link(delivery.shown_customer) if delivery.shown_customer else NOTHING

    @admin.display(description="Endpoint")
    def endpoint_shown(self, delivery: WebhookDelivery) -> SafeString:
        return link(record_url(WebhookEndpoint, delivery.endpoint.public_id), delivery.endpoint.url[:50])

    @admin.display(description="State")
    def state_shown(self, delivery: WebhookDelivery) -> SafeString:
        return delivery_badge(delivery)

    @admin.display(description="Attempts")
    def tried(self, delivery: WebhookDelivery) -> int:
        return delivery.attempts

    @admin.display(description="Next attempt")
    def next(self, delivery: WebhookDelivery) -> SafeString:
        return instant_shown(delivery.next_attempt_at)

    @admin.display(description="Queued")
    def queued(self, delivery: WebhookDelivery) -> SafeString:
        return instant_shown(delivery.created_at)

    def page(self, request: HttpRequest, record: WebhookDelivery) -> Page:
        customer = Customer.objects.filter(pk=record.customer_id).first() if record.customer_id else None
        event_id = typeid("msg", record.event_id)
        facts = [
            Fact("Id", copyable(record.public_id)),
            Fact("Event", link(record_url(OutboxEvent, event_id), event_id)),
            Fact(
                "Endpoint",
                link(record_url(WebhookEndpoint, record.endpoint.public_id), record.endpoint.url),
            ),
            Fact("Customer", customer_link(customer) if customer else NOTHING),
            Fact("Next attempt", instant_shown(record.next_attempt_at)),
            Fact("Queued", instant_shown(record.created_at)),
            Fact("Finished", instant_shown(record.finished_at)),
        ]
        attempts = WebhookAttempt.objects.filter(delivery_id=record.id).order_by("-number")[:_ATTEMPTS_MAX]
        return Page(
            heading=record.event.event,
            kind="Webhook delivery",
            badges=[delivery_badge(record)],
            sections=[
                Section("Delivery", facts),
                *map(_attempt_section, attempts),
                Section("Body", html=json_shown(record.event.payload), hint="What every attempt sent."),
            ],
            buttons=self._buttons(request, record),
        )

    def _buttons(self, request: HttpRequest, delivery: WebhookDelivery) -> list[Button]:
        if not self._may(request):
            return []
        url = reverse("admin:customers_webhookdelivery_retry", args=[delivery.public_id])
        label = "Send again" if delivery.state == DeliveryState.DELIVERED else "Retry now"
        return [Button(label, url, icon="replay", opens_dialog=True)]

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("customers.change_webhookdelivery"))

    def further_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        many = wrap(self.retry_many_view)
        return [
            path("retry/", many, name="customers_webhookdelivery_retry_many"),
            path("<str:object_id>/retry/", wrap(self.retry_view), name="customers_webhookdelivery_retry"),
        ]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    @admin.action(description="Send again", permissions=["retry"])
    def retry_chosen(self, request: HttpRequest, chosen: QuerySet[WebhookDelivery]) -> HttpResponse:
        """To a dialog that asks why."""
        ids = ",".join(row.public_id for row in chosen[: self.list_per_page])
        return HttpResponseRedirect(
            f"{reverse('admin:customers_webhookdelivery_retry_many')}?{urlencode({'ids': ids})}"
        )

    def retry_many_view(self, request: HttpRequest) -> HttpResponse:
        keys = [id_of(text, "dlv") for text in request.GET.get("ids", "").split(",")[: self.list_per_page]]
        named = [key for key in keys if key is not None]
        found = list(self.get_queryset(request).filter(pk__in=named).select_related("event", "endpoint"))
        if not found:
            raise Http404("None of these deliveries is in this environment.")
        dialog = Dialog(
            title=f"Send {_counted(found)} again",
            submit="Send",
            form=ReasonForm,
            deed=partial(_retry_many, request, found),
            family="webhook_delivery.retry_many",
            back=list_url(WebhookDelivery),
            subject=_said(found),
            intro="At once, each under the webhook-id it had. What is still waiting is tried now.",
        )
        return self.dialog_answer(request, dialog, allowed=self._may(request))

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery = self.found_or_404(request, object_id)
        dialog = Dialog(
            title="Send this event again",
            submit="Send",
            form=ReasonForm,
            deed=partial(_retry, request, delivery),
            family="webhook_delivery.retry",
            back=record_url(WebhookDelivery, delivery.public_id),
            subject=f"{delivery.event.event} to {delivery.endpoint.url}",
            intro="At once, under the same webhook-id.",
        )
        return self.dialog_answer(request, dialog, allowed=self._may(request))


def _attempt_section(attempt: WebhookAttempt) -> Section:
    is_good = attempt.response_status is not None and 200 <= attempt.response_status < 300
    answer = attempt.error or f"HTTP {attempt.response_status}"
    facts = [
        Fact("Answer", badge(answer, "good" if is_good else "bad")),
        Fact("Sent", instant_shown(attempt.started_at), f"answered after {attempt.latency_ms:,} ms"),
        Fact("To", code(attempt.url)),
        Fact("Request headers", json_shown(attempt.request_headers)),
        Fact("Body's SHA-256", code(attempt.body_sha256)),
        Fact("Answer's beginning", code(attempt.response_head)),
    ]
    return Section(f"Attempt {attempt.number}", facts)


def _counted(deliveries: Sequence[WebhookDelivery]) -> str:
    return "1 delivery" if len(deliveries) == 1 else f"{len(deliveries)} deliveries"


def _said(deliveries: Sequence[WebhookDelivery]) -> str:
    """How many of which event, to whom."""
    counts = Counter((each.event.event, each.endpoint.url) for each in deliveries)
    return ", ".join(f"{count} × {event} to {url}" for (event, url), count in counts.most_common())


def _retry_many(
    request: HttpRequest, deliveries: Sequence[WebhookDelivery], data: Mapping[str, Any], _key: str
) -> Outcome:
    ids = [each.id for each in deliveries]
    deliveries_retry(
        caller=caller_of(request), delivery_ids=ids, reason=data["reason"], now=of_admin(request).now
    )
    return Outcome(message=f"{_counted(deliveries)} on the way again.", effect_id=ids[0])


def _retry(request: HttpRequest, delivery: WebhookDelivery, data: Mapping[str, Any], _key: str) -> Outcome:
    deliveries_retry(
        caller=caller_of(request),
        delivery_ids=[delivery.id],
        reason=data["reason"],
        now=of_admin(request).now,
    )
    return Outcome(message="It is on its way again.", effect_id=delivery.id)
