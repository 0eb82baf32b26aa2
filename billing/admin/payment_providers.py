"""Payment providers: which account at Stripe an environment charges by."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from billing.models import ProviderAccount
from billing.services.provider_accounts import provider_account_delete, provider_account_set
from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import code, copyable, instant_shown
from customers.admin.fields import ReasonField
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin

#: Who may say where the money goes.
CHANGE: Final = "billing.change_provideraccount"


class StripeForm(forms.Form):
    secret_key = forms.CharField(
        max_length=255,
        label="Secret key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="sk_… or a restricted rk_…, of the mode that this environment has.",
    )
    webhook_secret = forms.CharField(
        max_length=255,
        label="Webhook signing secret",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="whsec_…, of the endpoint at Stripe that sends to the address above.",
    )
    reason = ReasonField()


@admin.register(ProviderAccount)
class ProviderAccountAdmin(RecordAdmin):
    """Keys go in here, and are shown nowhere."""

    noun, nouns = "payment provider", "payment providers"
    icon = "account_balance"
    list_display = ("provider_shown", "hint", "updated")
    list_display_links = ("provider_shown",)

    @admin.display(description="Provider")
    def provider_shown(self, account: ProviderAccount) -> str:
        return account.provider.capitalize()

    @admin.display(description="Key")
    def hint(self, account: ProviderAccount) -> SafeString:
        return code(f"…{account.key_hint}")

    @admin.display(description="Connected")
    def updated(self, account: ProviderAccount) -> SafeString:
        return instant_shown(account.updated_at)

    def page(self, request: HttpRequest, record: ProviderAccount) -> Page:
        facts = [
            Fact("Key", code(f"…{record.key_hint}"), "stored encrypted, shown never"),
            Fact(
                "Webhook address",
                copyable(webhook_url()),
                "for payment_intent.* and refund.* events at Stripe",
            ),
            Fact("Connected", instant_shown(record.created_at)),
            Fact("Changed", instant_shown(record.updated_at)),
        ]
        return Page(
            heading=record.provider.capitalize(),
            kind="Payment provider",
            sections=[Section("Account", facts)],
            buttons=self._buttons(request),
        )

    def _buttons(self, request: HttpRequest) -> list[Button]:
        if not request.user.has_perm(CHANGE):
            return []
        connect = reverse("admin:billing_provideraccount_add")
        disconnect = reverse("admin:billing_provideraccount_disconnect")
        return [
            Button("Other keys", connect, icon="key", opens_dialog=True),
            Button("Disconnect", disconnect, icon="link_off", tone="danger", opens_dialog=True),
        ]

    # --- Connect

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CHANGE) and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="Connect Stripe",
            submit="Connect",
            form=StripeForm,
            deed=partial(_connect, request),
            family="payment_provider.connect",
            back=list_url(ProviderAccount),
            subject=str(environment_of(request)),
            intro=f"Cards that customers have saved there are charged from now on. Have it send to {webhook_url()}.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))

    # --- Disconnect

    def further_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.disconnect_view)
        return [path("disconnect/", view, name="billing_provideraccount_disconnect")]

    def disconnect_view(self, request: HttpRequest) -> HttpResponse:
        dialog = Dialog(
            title="Disconnect Stripe",
            submit="Disconnect",
            form=ReasonForm,
            deed=partial(_disconnect, request),
            family="payment_provider.disconnect",
            back=list_url(ProviderAccount),
            subject=str(environment_of(request)),
            intro="Its keys are forgotten. Nothing is charged there any more, and payments under way stay so.",
            is_danger=True,
        )
        allowed = request.user.has_perm(CHANGE) and environment_of(request) is not None
        return self.dialog_answer(request, dialog, allowed=allowed)


def webhook_url() -> str:
    return f"{settings.PURSER_URL}/v1/providers/stripe/webhook"


def _connect(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    account = provider_account_set(
        caller=caller_of(request),
        secret_key=data["secret_key"],
        webhook_secret=data["webhook_secret"],
        reason=data["reason"],
        now=of_admin(request).now,
    )
    return Outcome(
        message="Stripe is connected.", effect_id=account.id, url=record_url(ProviderAccount, account.id)
    )


def _disconnect(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    provider_account_delete(caller=caller_of(request), reason=data["reason"], now=of_admin(request).now)
    return Outcome(message="Stripe is disconnected.")
