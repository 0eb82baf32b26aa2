"""Operators and support staff, and their roles. The one kind of object that is edited in ordinary admin forms."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldBooleanSwitchWidget

from customers.admin.display import NOTHING, badge, instant_shown
from customers.admin.second_factor import second_factor_urls
from customers.models import User
from customers.services.second_factor import second_factor_remove

_PERSON = ("Person", {"fields": ("username", "password", ("first_name", "last_name"), "email")})
_ROLES = ("Access", {"fields": ("is_active", "is_staff", "has_second_factor", "groups")})
_SIGN_ON = ("Single sign-on", {"fields": ("is_linked",)})
_SUPER = ("Everything", {"fields": ("is_superuser",)})
_NEW = (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")})


class PersonForm(UserChangeForm):
    """A second factor is set up by the person alone, and taken away by others when a phone is lost.

    So with the account at the provider of single sign-on: it is linked by logging in.
    """

    is_linked = forms.BooleanField(
        required=False,
        label="Linked to an account",
        help_text="Take it away when the person has another account now: the next login links that one.",
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["is_linked"].initial = bool(self.instance.openid_subject)

    def clean_is_linked(self) -> bool:
        wanted = bool(self.cleaned_data["is_linked"])
        if wanted and not self.instance.openid_subject:
            raise ValidationError("Only the person can link it, by logging in.")
        return wanted

    def clean_has_second_factor(self) -> bool:
        wanted = bool(self.cleaned_data["has_second_factor"])
        if wanted and not self.instance.has_second_factor:
            raise ValidationError("Only the person can set it up, under “Second factor”.")
        return wanted


# Django registered it, on being imported, with forms that our theme does not know.
admin.site.unregister(Group)
# A second factor's secrets are nobody's to see or to set: the person sets it up, others only take it away.
for _secret in (TOTPDevice, StaticDevice):
    admin.site.unregister(_secret)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "roles", "state", "second_factor", "last_seen")
    list_filter = ("is_active", "groups")
    list_filter_submit = True
    show_full_result_count = False
    actions = None
    add_fieldsets = (_NEW,)
    filter_horizontal = ()
    readonly_fields = ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        sign_on = (_SIGN_ON,) if obj.openid_subject else ()
        return (_PERSON, _ROLES, *sign_on, *((_SUPER,) if request.user.is_superuser else ()))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only a superuser touches a superuser: a new password would be a way up."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: the record names people. Take away `active` instead."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Whoever is made here is made to work here."""
        if not change:
            obj.is_staff = True
        elif "is_linked" in form.changed_data:
            obj.openid_issuer = obj.openid_subject = ""
        super().save_model(request, obj, form, change)
        if "has_second_factor" in form.changed_data and not obj.has_second_factor:
            second_factor_remove(obj)

    def get_urls(self) -> list[URLPattern]:
        return [*second_factor_urls(self.admin_site), *super().get_urls()]

    @admin.display(description="Second factor", boolean=True)
    def second_factor(self, user: User) -> bool:
        return user.has_second_factor

    @admin.display(description="Roles")
    def roles(self, user: User) -> SafeString:
        if user.is_superuser:
            return badge("Superuser", "warning")
        return (
            format_html_join(" ", "{}", ((badge(group.name, "info"),) for group in user.groups.all()))
            or NOTHING
        )

    @admin.display(description="State")
    def state(self, user: User) -> SafeString:
        return badge("Active", "good") if user.is_active and user.is_staff else badge("No access", "bad")

    @admin.display(description="Last login")
    def last_seen(self, user: User) -> SafeString:
        return instant_shown(user.last_login)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Roles. The five that Purser brings are renewed by `manage.py roles`; others may be added."""

    list_display = ("name",)
    actions = None
    # A plain list: Django's two-sided picker has no names for a screen reader.
    filter_horizontal = ()
