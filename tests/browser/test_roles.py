"""The page of a role, as a superuser changes it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from config.roles import roles_seed
from tests.browser.accessibility import serious_issues


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (360, "dark")])
def test_a_role_can_be_read_and_changed_by_everybody(acme, person, width, theme):
    roles_seed()
    somebody = person(acme.test, width=width, theme=theme)
    role = Group.objects.get(name="support")

    somebody.go(f"/admin/auth/group/{role.pk}/change/")

    assert somebody.page.get_by_label("Permissions").is_visible()
    assert serious_issues(somebody.page) == []
    somebody.keep(f"role-{width}-{theme}")
