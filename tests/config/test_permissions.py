"""What a person may do: what their roles give, and what is theirs alone; nothing once they are gone."""

from __future__ import annotations

from django.contrib.auth.models import Permission

from customers.models import User
from tests.desk import counted, somebody

OWN = Permission.objects.filter(content_type__app_label="metering", codename="add_meteringrule")


def again(user: User) -> User:
    """As the next request finds them."""
    return User.objects.get(pk=user.pk)


def test_permissions_of_roles_and_of_their_own_are_found_in_one_query():
    user = somebody("viewer")
    user.user_permissions.add(OWN.get())
    user = again(user)

    with counted() as count:
        found = [
            user.has_perm(name)
            for name in (
                "customers.view_customer",
                "metering.add_meteringrule",
                "subscriptions.change_subscription",
            )
        ]

    assert found == [True, True, False]
    assert count == [1]


def test_without_roles_or_when_inactive_nobody_may_do_anything():
    nobody, gone = somebody(), somebody("owner")
    User.objects.filter(pk=gone.pk).update(is_active=False)

    assert again(nobody).get_all_permissions() == set()
    assert again(gone).get_all_permissions() == set()
    assert not again(gone).has_perm("customers.view_customer")
