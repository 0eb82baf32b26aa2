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
        due = import_module("billing.services.due_source")
        due_work_register(name="credits", next_due=due.credits_next_due, run=due.credits_run)
        latest_fact_register(due.credits_latest_fact)
