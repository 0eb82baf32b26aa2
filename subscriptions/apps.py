from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

from metering.services.variant_registry import variants_register


class SubscriptionsConfig(AppConfig):
    name = "subscriptions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        variants_register(import_module("subscriptions.selectors.catalogue").variant_exists)
