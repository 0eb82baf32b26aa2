from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

from customers.services.due_work import due_work_register, latest_fact_register


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The webhook catalogue is whole before anybody reads it.
        import_module("billing.events")
        import_module("billing.services.invoices").invoice_issued_register(
            import_module("billing.services.invoice_emails").invoice_issued_email
        )
        due = import_module("billing.services.due_source")
        due_work_register(name="credits", next_due=due.credits_next_due, run=due.credits_run)
        latest_fact_register(due.credits_latest_fact)
        latest_fact_register(due.invoices_latest_fact)
        charges = import_module("billing.services.automatic_charges")
        due_work_register(name="charges", next_due=charges.charges_next_due, run=charges.charges_run)
        invoices = import_module("billing.services.invoices")
        invoices.invoice_issued_register(import_module("billing.services.dunning").charge_soon)
        refunds = import_module("billing.services.payment_refunds")
        import_module("billing.services.credit_notes").refund_register(refunds.refund_begin)
        grants = import_module("billing.services.import_grants")
        import_module("customers.services.imports").import_kind_register(grants.GRANTS)
        accounts = import_module("billing.services.accounts")
        import_module("customers.services.customers").customer_lock_register(accounts.account_lock_first)
        customers = import_module("customers.services.import_customers")
        customers.customer_tie_register(grants.customer_has_value)
