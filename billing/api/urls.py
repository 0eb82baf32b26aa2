from __future__ import annotations

from django.urls import URLPattern, path

from billing.api import (
    auto_topups,
    balance,
    conversions,
    credit_notes,
    credits,
    explain,
    invoice_actions,
    invoice_charges,
    invoice_credit,
    invoice_files,
    invoice_settings,
    invoices,
    payment_providers,
    payments,
    provider_webhooks,
    reconciliations,
    refunds,
    topup_packages,
    topups,
)
from customers.api.paths import customer_paths

urlpatterns: list[URLPattern] = [
    *customer_paths("credits/grant", credits.CreditsGrant.as_view(), name="credits-grant"),
    *customer_paths("credits/adjust", credits.CreditsAdjust.as_view(), name="credits-adjust"),
    *customer_paths("credits/refund", refunds.CreditsRefund.as_view(), name="credits-refund"),
    *customer_paths(
        "credits/explain/<str:ledger_entry_id>", explain.CreditsExplain.as_view(), name="credits-explain"
    ),
    *customer_paths("topups", topups.CustomerTopups.as_view(), name="topups"),
    *customer_paths("auto-topup", auto_topups.CustomerAutoTopup.as_view(), name="auto-topup"),
    path("v1/credits/convert", conversions.CreditsConvert.as_view(), name="credits-convert"),
    path("v1/topup/grant", topups.TopupGrant.as_view(), name="topup-grant"),
    path("v1/topup-packages", topup_packages.TopupPackages.as_view(), name="topup-packages"),
    path(
        "v1/topup-packages/<str:package_id>",
        topup_packages.TopupPackageDetail.as_view(),
        name="topup-package",
    ),
    path(
        "v1/invoices/<str:invoice_id>/charge", invoice_charges.InvoiceCharge.as_view(), name="invoice-charge"
    ),
    path("v1/payments", payments.Payments.as_view(), name="payments"),
    path("v1/payments/<str:payment_id>", payments.PaymentDetail.as_view(), name="payment"),
    path("v1/payments/<str:payment_id>/refresh", payments.PaymentRefresh.as_view(), name="payment-refresh"),
    path(
        "v1/payments/<str:payment_id>/simulate", payments.PaymentSimulate.as_view(), name="payment-simulate"
    ),
    path(
        "v1/payment-providers/stripe",
        payment_providers.StripeAccount.as_view(),
        name="payment-provider-stripe",
    ),
    path("v1/providers/stripe/webhook", provider_webhooks.stripe_webhook, name="stripe-webhook"),
    path("v1/reconciliations", reconciliations.Reconciliations.as_view(), name="reconciliations"),
    path(
        "v1/reconciliations/<str:reconciliation_id>",
        reconciliations.ReconciliationDetail.as_view(),
        name="reconciliation",
    ),
    path("v1/invoice-settings", invoice_settings.InvoiceSettingsShow.as_view(), name="invoice-settings"),
    path("v1/invoices/<str:invoice_id>", invoices.InvoiceDetail.as_view(), name="invoice"),
    path("v1/invoices/<str:invoice_id>/events", invoices.InvoiceEvents.as_view(), name="invoice-events"),
    path("v1/invoices/<str:invoice_id>/pdf", invoice_files.InvoicePdf.as_view(), name="invoice-pdf"),
    path("v1/invoices/<str:invoice_id>/csv", invoice_files.InvoiceCsv.as_view(), name="invoice-csv"),
    path("v1/invoices/<str:invoice_id>/issue", invoice_actions.InvoiceIssue.as_view(), name="invoice-issue"),
    path("v1/invoices/<str:invoice_id>/void", invoice_actions.InvoiceVoid.as_view(), name="invoice-void"),
    path(
        "v1/invoices/<str:invoice_id>/mark-paid",
        invoice_actions.InvoiceMarkPaid.as_view(),
        name="invoice-mark-paid",
    ),
    path("v1/invoices/<str:invoice_id>/email", invoice_actions.InvoiceEmail.as_view(), name="invoice-email"),
    path(
        "v1/invoices/<str:invoice_id>/credit-notes",
        credit_notes.InvoiceCreditNotes.as_view(),
        name="invoice-credit-notes",
    ),
    path("v1/credit-notes", credit_notes.CreditNotes.as_view(), name="credit-notes"),
    path("v1/credit-notes/<str:credit_note_id>", credit_notes.CreditNoteDetail.as_view(), name="credit-note"),
    *customer_paths(
        "invoice-credit/movements",
        invoice_credit.InvoiceCreditMovements.as_view(),
        name="invoice-credit-movements",
    ),
    *customer_paths("invoice-credit", invoice_credit.InvoiceCredit.as_view(), name="invoice-credit"),
    *customer_paths("invoices", invoices.CustomerInvoices.as_view(), name="customer-invoices"),
    *customer_paths("credits/history", credits.CreditsHistory.as_view(), name="credits-history"),
    *customer_paths("credits", balance.credits_show, name="credits"),
]
