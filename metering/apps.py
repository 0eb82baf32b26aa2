from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

from billing.selectors.ledger_checks import check_register
from billing.selectors.sources import debit_finder_register, explainer_register
from customers.services.due_work import latest_fact_register
from metering.selectors.ledger_checks import CHECKS


class MeteringConfig(AppConfig):
    name = "metering"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        check_register(*CHECKS)
        # The webhook catalogue is whole before anybody reads it.
        import_module("metering.events")
        sources = import_module("metering.selectors.ledger_sources")
        explainer_register("event", sources.event_explained)
        explainer_register("reservation", sources.reservation_explained)
        debit_finder_register(sources.debit_of_usage)
        facts = import_module("metering.services.facts")
        latest_fact_register(facts.usage_latest_fact)
        latest_fact_register(facts.rules_latest_fact)
        events = import_module("metering.services.import_events")
        import_module("customers.services.imports").import_kind_register(events.EVENTS)
        customers = import_module("customers.services.import_customers")
        customers.customer_tie_register(events.customer_has_usage)
