"""The WSGI application: `granian --interface wsgi config.wsgi:application`."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["PURSER_IS_WEB"] = "true"
django.setup(set_prefix=False)
# What this process starts is not the web.
del os.environ["PURSER_IS_WEB"]

from config.handler import EdgeHandler  # noqa: E402 - it needs the settings

application = EdgeHandler()
