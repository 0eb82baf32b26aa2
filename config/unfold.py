"""The admin's looks and its menu."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy


def _static(path: str) -> Callable[[HttpRequest], str]:
    # Asked for at each request, when the manifest of static files is there.
    return lambda _request: static(path)


def environment_style(request: HttpRequest) -> str:
    """A coloured edge along every page: nobody should take live for test."""
    environment = getattr(request, "environment", None)
    return static(f"purser/{environment.kind if environment else 'none'}.css")


def environment_label(request: HttpRequest) -> tuple[str, str] | None:
    """The badge in every page's header."""
    environment = getattr(request, "environment", None)
    if environment is None:
        return None
    tone = "danger" if environment.kind == "live" else "info"
    return f"{environment.kind} · {environment.tenant.name}", tone


def environment_title(request: HttpRequest) -> str:
    """In the browser's tab, where two environments stand side by side."""
    environment = getattr(request, "environment", None)
    return f"[{environment.kind}]" if environment else ""


def may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def may_look_at_clock(request: HttpRequest) -> bool:
    environment = getattr(request, "environment", None)
    return (
        environment is not None
        and environment.kind == "test"
        and request.user.has_perm("customers.view_environment")
    )


def is_among_environments(request: HttpRequest) -> bool:
    """The test clock stands below them, and has an entry of its own."""
    return request.path.startswith(reverse("admin:customers_environment_changelist")) and (
        not request.path.startswith(reverse("admin:customers_test_clock"))
    )


def _item(title: str, icon: str, model: str, permission: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model}_changelist"),
        "permission": may(permission),
    }


_HOME = {"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Purser",
    "SITE_HEADER": "Purser",
    "SITE_SUBHEADER": "Credits and billing",
    "SITE_SYMBOL": "account_balance_wallet",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": _static("purser/favicon.svg")},
    ],
    "ACCOUNT": {"navigation": [{"title": "Second factor", "link": reverse_lazy("admin:second_factor")}]},
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "config.unfold.environment_label",
    "ENVIRONMENT_TITLE_PREFIX": "config.unfold.environment_title",
    "STYLES": [_static("purser/admin.css"), environment_style],
    "SCRIPTS": [_static("purser/admin.js")],
    "COLORS": {
        # Dark enough at 600 that white letters on it, and it on white, are easy to read.
        "primary": {
            "50": "oklch(97.5% .02 200)",
            "100": "oklch(94% .04 200)",
            "200": "oklch(88% .07 200)",
            "300": "oklch(80% .1 200)",
            "400": "oklch(74% .12 200)",
            "500": "oklch(66% .115 200)",
            "600": "oklch(49% .09 205)",
            "700": "oklch(43% .08 207)",
            "800": "oklch(38% .07 210)",
            "900": "oklch(33% .06 212)",
            "950": "oklch(24% .045 214)",
        },
    },
    "DASHBOARD_CALLBACK": "config.dashboard.home_show",
    "COMMAND": {"search_callback": "config.palette.palette_results"},
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {"items": [_HOME]},
            {
                "title": "Customers",
                "items": [
                    _item("Customers", "group", "customers_customer", "customers.view_customer"),
                    _item(
                        "Subscriptions",
                        "event_repeat",
                        "subscriptions_subscription",
                        "subscriptions.view_subscription",
                    ),
                    _item("Notes", "sticky_note_2", "customers_customernote", "customers.view_customernote"),
                    _item("Ledger", "receipt_long", "billing_ledgerentry", "billing.view_ledgerentry"),
                    _item("Blocks", "stacks", "billing_creditblock", "billing.view_creditblock"),
                    _item("Holds", "lock_clock", "billing_hold", "billing.view_hold"),
                    _item("Topups", "add_shopping_cart", "billing_topup", "billing.view_topup"),
                ],
            },
            {
                "title": "Billing",
                "items": [
                    _item("Invoices", "request_quote", "billing_invoice", "billing.view_invoice"),
                    _item("Payments", "credit_card", "billing_payment", "billing.view_payment"),
                    _item("Credit notes", "undo", "billing_creditnote", "billing.view_creditnote"),
                    _item(
                        "Reconciliations", "balance", "billing_reconciliation", "billing.view_reconciliation"
                    ),
                ],
            },
            {
                "title": "Catalogue",
                "items": [
                    _item("Plans", "inventory_2", "subscriptions_plan", "subscriptions.view_plan"),
                    _item(
                        "Plan variants",
                        "sell",
                        "subscriptions_planvariant",
                        "subscriptions.view_planvariant",
                    ),
                    _item(
                        "Topup packages",
                        "inventory",
                        "billing_topuppackage",
                        "billing.view_topuppackage",
                    ),
                    _item(
                        "Price plans",
                        "request_quote",
                        "subscriptions_priceplan",
                        "subscriptions.view_priceplan",
                    ),
                ],
            },
            {
                "title": "Metering",
                "items": [
                    _item("Metrics", "speed", "metering_billablemetric", "metering.view_billablemetric"),
                    _item("Metering rules", "sell", "metering_meteringrule", "metering.view_meteringrule"),
                    _item("Usage events", "bolt", "metering_usageevent", "metering.view_usageevent"),
                ],
            },
            {
                "title": "Operations",
                "items": [
                    _item("Approvals", "approval", "customers_approval", "customers.view_approval"),
                    _item("Webhook events", "webhook", "customers_outboxevent", "customers.view_outboxevent"),
                    _item(
                        "Deliveries", "outbox", "customers_webhookdelivery", "customers.view_webhookdelivery"
                    ),
                    _item("Endpoints", "dns", "customers_webhookendpoint", "customers.view_webhookendpoint"),
                    _item("Imports", "upload_file", "customers_importbatch", "customers.view_importbatch"),
                    _item("Jobs", "manufacturing", "customers_job", "customers.view_job"),
                    _item("Audit", "history", "customers_auditrecord", "customers.view_auditrecord"),
                ],
            },
            {
                "title": "Set-up",
                "items": [
                    _item("API keys", "key", "customers_apikey", "customers.view_apikey"),
                    {
                        "title": "Invoicing",
                        "icon": "tune",
                        "link": reverse_lazy("admin:billing_invoice_settings"),
                        "permission": may("billing.change_invoicesettings"),
                    },
                    _item(
                        "Payment providers",
                        "account_balance",
                        "billing_provideraccount",
                        "billing.view_provideraccount",
                    ),
                    _item("Tenants", "apartment", "customers_tenant", "customers.view_tenant"),
                    {
                        **_item("Environments", "lan", "customers_environment", "customers.view_environment"),
                        "active": is_among_environments,
                    },
                    {
                        "title": "Test clock",
                        "icon": "schedule",
                        "link": reverse_lazy("admin:customers_test_clock"),
                        "permission": may_look_at_clock,
                    },
                    _item("People", "badge", "customers_user", "customers.view_user"),
                    _item("Roles", "shield_person", "auth_group", "auth.view_group"),
                ],
            },
        ],
    },
}
