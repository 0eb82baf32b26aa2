"""Tells the people who run the installation: in the log, and by mail to ADMINS where there are any."""

from __future__ import annotations

import logging
from typing import Final

from django.core.mail import mail_admins

_LOG: Final = logging.getLogger("purser.alerts")


def operators_alert(*, subject: str, text: str) -> None:
    """Never fails: what it tells of has happened, whether or not the mail goes out."""
    _LOG.error(subject, extra={"text": text})
    try:
        mail_admins(subject, text)
    except OSError:
        _LOG.warning("the alert could not be mailed", exc_info=True)
