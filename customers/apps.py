from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # They need models, which are there only now.
        imports = import_module("customers.services.imports")
        imports.import_kind_register(import_module("customers.services.import_customers").CUSTOMERS)
