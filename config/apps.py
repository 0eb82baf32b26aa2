from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig

from config.celery import app as celery_app

__all__ = ["AdminConfig", "ConfigConfig", "celery_app"]


class ConfigConfig(AppConfig):
    """The composition root. It imports the Celery app, so that every process enqueues to the configured broker."""

    name = "config"
    default = True

    def ready(self) -> None:
        # They need models, which are there only now.
        import_module("config.checks")


class AdminConfig(DjangoAdminConfig):
    """Django's admin, with our site in its place."""

    default = False
    default_site = "config.admin.PurserAdminSite"
