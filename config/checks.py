"""What Django's system checks say about this installation's settings: `manage.py check`, and before every command."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from config.roles import ROLES


@checks.register(checks.Tags.security)
def roles_of_single_sign_on(**_: Any) -> list[checks.CheckMessage]:
    """A warning and no error: an installation may have roles of its own, which only its database knows."""
    unknown = sorted(set(settings.OPENID_ROLES.values()) - ROLES.keys())
    return [
        checks.Warning(
            f"OPENID_ROLES gives the role {name!r}, which is none of {', '.join(ROLES)}.",
            hint="Unless it is a role of your own, whoever has only this one is not let in.",
            id="purser.W001",
        )
        for name in unknown
    ]
