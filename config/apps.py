from __future__ import annotations

from django.apps import AppConfig

from config.celery import app as celery_app

__all__ = ["ConfigConfig", "celery_app"]


class ConfigConfig(AppConfig):
    """The composition root. It imports the Celery app, so that every process enqueues to the configured broker."""

    name = "config"
