"""What a person may do, asked for once per request."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission
from django.db.models import Q


class RolesBackend(ModelBackend):
    """Django's own, with a person's permissions and those of their roles in one query: every page begins with it."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if user_obj.is_superuser:
            everything: set[str] = super().get_all_permissions(user_obj)
            return everything
        if not hasattr(user_obj, "_perm_cache"):
            user_obj._perm_cache = _permissions_of(user_obj.pk)
        kept: set[str] = user_obj._perm_cache
        return kept


def _permissions_of(user_id: Any) -> set[str]:
    roles = Group.objects.filter(user=user_id).values("permissions")
    own = Permission.objects.filter(user=user_id).values("id")
    found = Permission.objects.filter(Q(id__in=roles) | Q(id__in=own)).order_by()
    return {f"{app}.{name}" for app, name in found.values_list("content_type__app_label", "codename")}
