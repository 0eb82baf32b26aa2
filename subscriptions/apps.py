from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

from billing.selectors.ledger_checks import check_register
from billing.selectors.sources import explainer_register
from billing.services.catch_up import catch_up_register
from customers.services.due_work import due_work_register, latest_fact_register
from metering.services.charge_registry import charges_register
from metering.services.event_needs import event_need_register
from metering.services.variant_registry import variants_register
from subscriptions.selectors.ledger_checks import CHECKS


class SubscriptionsConfig(AppConfig):
    name = "subscriptions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The webhook catalogue is whole before anybody reads it.
        import_module("subscriptions.events")
        catch_up_register(import_module("subscriptions.services.due_work").subscription_catch_up)
        variants_register(import_module("subscriptions.selectors.catalogue").variant_exists)
        charges_register(import_module("subscriptions.selectors.priced_twice").price_plans_charging)
        event_need_register(import_module("subscriptions.selectors.event_needs").events_unbilled)
        check_register(*CHECKS)
        sources = import_module("subscriptions.selectors.ledger_sources")
        explainer_register("grant_run", sources.grant_run_explained)
        due = import_module("subscriptions.services.due_source")
        due_work_register(
            name="subscriptions", next_due=due.subscriptions_next_due, run=due.subscriptions_run
        )
        latest_fact_register(due.subscriptions_latest_fact)
        automatic = import_module("subscriptions.services.billing_automatic")
        due_work_register(name="invoices", next_due=automatic.invoices_next_due, run=automatic.invoices_run)
        billed = import_module("subscriptions.services.period_invoices")
        import_module("billing.services.invoices").invoice_voided_register(billed.period_invoices_free)
        ties = import_module("subscriptions.selectors.ties")
        customers = import_module("customers.services.import_customers")
        customers.customer_tie_register(ties.customer_has_subscriptions)
