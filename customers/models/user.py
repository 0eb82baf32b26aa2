from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """An operator or support agent who logs in to the admin."""

    class Meta(AbstractUser.Meta):
        db_table = "customers_user"
