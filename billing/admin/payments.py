"""Payments: every attempt to have an invoice paid, and what the provider told about it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from billing.admin.invoice_actions import CHANGE
from billing.admin.invoice_text import invoice_link, money_shown
from billing.gateways.payments.provider import Told
from billing.models import Payment, PaymentStatus, ProviderEvent
from billing.services.payment_outcomes import UNDER_WAY, sandbox_settle
from billing.services.payments import payment_refresh
from billing.services.provider_accounts import SANDBOX
from customers.admin.customer_forms import ReasonForm
from customers.admin.customers import customer_link
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import badge, code, copyable, instant_shown, text_or_nothing
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.ids import typeid_parse
from customers.selectors.customers import customers_search

TONES: Final = {
    PaymentStatus.PENDING: "warning",
    PaymentStatus.PROCESSING: "info",
    PaymentStatus.REQUIRES_ACTION: "info",
    PaymentStatus.SUCCEEDED: "good",
    PaymentStatus.FAILED: "bad",
    PaymentStatus.CANCELED: "neutral",
}
_EVENTS: Final = 50
#: What one can have a sandbox payment come to.
_OUTCOMES: Final = {"succeeded": ("Let it succeed", "task_alt"), "failed": ("Let it fail", "block")}


def status_badge(payment: Payment) -> SafeString:
    return badge(payment.get_status_display(), TONES[PaymentStatus(payment.status)])


@admin.register(Payment)
class PaymentAdmin(RecordAdmin):
    """A client of the payments' services."""

    noun, nouns = "payment", "payments"
    id_prefix = "pay"
    icon = "credit_card"
    list_display = ("id_shown", "invoice_shown", "customer_shown", "status_shown", "amount", "how", "created")
    list_display_links = ("id_shown",)
    list_filter = ("status", "provider")
    list_select_related = ("invoice__customer",)
    search_fields = ("provider_payment_id",)
    search_help_text = "Customer, payment id (pay_…), invoice id (inv_…) or the provider's id (pi_…)"

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        environment = environment_of(request)
        if environment is None:
            return rows.none()
        invoice_id = typeid_parse("inv", term)
        if invoice_id is not None:
            return rows.filter(invoice_id=invoice_id)
        key = typeid_parse(self.id_prefix, term)
        if key is not None:
            return rows.filter(pk=key)
        whose = customers_search(environment_id=environment.id, query=term, include_deleted=True)
        return rows.filter(Q(invoice__customer_id__in=whose) | Q(provider_payment_id=term))

    @admin.display(description="Payment")
    def id_shown(self, payment: Payment) -> SafeString:
        return code(payment.public_id)

    @admin.display(description="Invoice")
    def invoice_shown(self, payment: Payment) -> SafeString:
        return invoice_link(payment.invoice)

    @admin.display(description="Customer")
    def customer_shown(self, payment: Payment) -> SafeString:
        return customer_link(payment.invoice.customer)

    @admin.display(description="State")
    def status_shown(self, payment: Payment) -> SafeString:
        return status_badge(payment)

    @admin.display(description="Amount")
    def amount(self, payment: Payment) -> SafeString:
        return money_shown(payment.amount_minor, payment.currency)

    @admin.display(description="Provider")
    def how(self, payment: Payment) -> str:
        return payment.provider

    @admin.display(description="Created")
    def created(self, payment: Payment) -> SafeString:
        return instant_shown(payment.created_at)

    # --- One payment

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.get_queryset(request).select_related("invoice__customer")
        return rows

    def page(self, request: HttpRequest, record: Payment) -> Page:
        told = _events_html(record)
        return Page(
            heading=f"Attempt {record.attempt} of {record.invoice}",
            kind="Payment",
            badges=[status_badge(record)],
            sections=[
                Section("Payment", _facts(record)),
                *([Section("What the provider told", html=told)] * bool(told)),
            ],
            buttons=_buttons(record) if request.user.has_perm(CHANGE) else [],
        )

    # --- Deeds

    def further_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<str:object_id>/ask/", wrap(self.ask_view), name="billing_payment_ask"),
            path(
                "<str:object_id>/simulate/<slug:outcome>/",
                wrap(self.simulate_view),
                name="billing_payment_simulate",
            ),
        ]

    def ask_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        payment = self.found_or_404(request, object_id)
        dialog = Dialog(
            title="Ask the provider",
            submit="Ask now",
            form=ReasonForm,
            deed=partial(_ask, request, payment),
            family="payment.ask",
            back=record_url(Payment, payment.public_id),
            subject=payment.public_id,
            intro="What has become of this payment? It is settled by what the provider says; nothing is charged twice.",
            is_stepwise=True,
        )
        return self.dialog_answer(request, dialog, allowed=request.user.has_perm(CHANGE), original=payment)

    def simulate_view(self, request: HttpRequest, object_id: str, outcome: str) -> HttpResponse:
        payment = self.found_or_404(request, object_id)
        if outcome not in _OUTCOMES:
            raise Http404
        told = Told.SUCCEEDED if outcome == Told.SUCCEEDED else Told.FAILED
        dialog = Dialog(
            title=_OUTCOMES[told][0],
            submit=_OUTCOMES[told][0],
            form=ReasonForm,
            deed=partial(_simulate, request, payment, told),
            family="payment.simulate",
            back=record_url(Payment, payment.public_id),
            subject=payment.public_id,
            intro="The sandbox moves no money: you say what the payer or the bank would have done.",
        )
        return self.dialog_answer(request, dialog, allowed=request.user.has_perm(CHANGE), original=payment)


def _facts(payment: Payment) -> list[Fact]:
    facts = [
        Fact("Invoice", invoice_link(payment.invoice)),
        Fact("Customer", customer_link(payment.invoice.customer)),
        Fact("Amount", money_shown(payment.amount_minor, payment.currency)),
        Fact("Provider", payment.provider),
        Fact("Id there", copyable(payment.provider_payment_id)),
        Fact("Created", instant_shown(payment.created_at)),
        Fact("Settled", instant_shown(payment.settled_at)),
        Fact("Id", copyable(payment.public_id)),
        Fact("By", payment.actor),
        Fact("Reason", text_or_nothing(payment.reason)),
        Fact("Request", copyable(payment.request_id)),
    ]
    return [*facts, *_further(payment)]


def _further(payment: Payment) -> list[Fact]:
    """What only some have."""
    facts = []
    if payment.failure_code:
        facts.append(Fact("Failed", f"{payment.failure_code}: {payment.failure_message}"))
    if payment.refunded_minor:
        facts.append(Fact("Paid back", money_shown(payment.refunded_minor, payment.currency)))
    if payment.action_url:
        facts.append(Fact("To be confirmed at", copyable(payment.action_url)))
    if payment.ask_again_at is not None:
        facts.append(
            Fact("Asked about again", instant_shown(payment.ask_again_at), "by itself, until it is known")
        )
    return facts


def _buttons(payment: Payment) -> list[Button]:
    if payment.status not in UNDER_WAY:
        return []
    if payment.provider != SANDBOX:
        url = reverse("admin:billing_payment_ask", args=[payment.public_id])
        return [Button("Ask the provider", url, icon="sync", tone="primary", opens_dialog=True)]
    return [
        Button(
            label,
            reverse("admin:billing_payment_simulate", args=[payment.public_id, outcome]),
            icon=icon,
            opens_dialog=True,
        )
        for outcome, (label, icon) in _OUTCOMES.items()
    ]


def _events_html(payment: Payment) -> str:
    """Empty when it has told nothing."""
    events = ProviderEvent.objects.filter(payment=payment).order_by("-id")[:_EVENTS]
    lines = [
        {
            "title": event.type,
            "second": event.event_id,
            "note": event.outcome or "not handled yet",
            "at": instant_shown(event.received_at),
        }
        for event in events
    ]
    return render_to_string("admin/purser/lines.html", {"lines": lines, "more": ""}) if lines else ""


def _ask(request: HttpRequest, payment: Payment, data: Mapping[str, Any], _key: str) -> Outcome:
    now = of_admin(request).now
    settled = payment_refresh(caller=caller_of(request), payment_id=payment.id, now=now)
    status = settled.get_status_display().lower()
    return Outcome(message=f"The provider says: {status}.", effect_id=payment.id)


def _simulate(
    request: HttpRequest, payment: Payment, told: Told, data: Mapping[str, Any], _key: str
) -> Outcome:
    now = of_admin(request).now
    settled = sandbox_settle(caller=caller_of(request), payment_id=payment.id, told=told, now=now)
    return Outcome(message=f"The payment has {settled.get_status_display().lower()}.", effect_id=payment.id)
