from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """An operator or support agent who logs in to the admin."""

    # Whether logging in asks for a code as well (services/second_factor.py).
    has_second_factor = models.BooleanField(default=False)
    # Who this is at the OpenID Connect provider, since the first single sign-on; empty before.
    openid_issuer = models.CharField(max_length=255, blank=True, default="", editable=False)
    openid_subject = models.CharField(max_length=255, blank=True, default="", editable=False)

    class Meta(AbstractUser.Meta):
        db_table = "customers_user"
        constraints = (
            models.UniqueConstraint(
                fields=("openid_issuer", "openid_subject"),
                condition=~models.Q(openid_subject=""),
                name="an_account_at_a_provider_is_one_person",
            ),
        )
