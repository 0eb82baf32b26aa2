from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """An operator or support agent who logs in to the admin."""

    # Whether logging in asks for a code as well (services/second_factor.py).
    has_second_factor = models.BooleanField(default=False)

    class Meta(AbstractUser.Meta):
        db_table = "customers_user"
