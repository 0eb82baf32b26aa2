"""Where people set up their second factor, and where they are asked for it."""

from __future__ import annotations

from typing import Any, Final

import segno
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django_otp import login as second_factor_passed

from customers.admin.requests import AdminRequest, environment_of, of_admin, return_address
from customers.services.audit import audit_record
from customers.services.second_factor import (
    app_confirm,
    app_of,
    app_pending,
    code_check,
    codes_left,
    codes_renew,
    second_factor_remove,
)

_WRONG: Final = "That is not the code of this moment. After several wrong ones each takes longer."


def second_factor_urls(site: AdminSite) -> list[URLPattern]:
    pages = Pages(site)
    return [
        path("second-factor/", site.admin_view(pages.standing), name="second_factor"),
        path("second-factor/set-up/", site.admin_view(pages.set_up), name="second_factor_set_up"),
        path("second-factor/check/", site.admin_view(pages.check), name="second_factor_check"),
    ]


class Pages:
    """One page each: how it stands, setting it up, being asked."""

    def __init__(self, site: AdminSite) -> None:
        self.site = site

    def standing(self, request: HttpRequest) -> HttpResponse:
        """On or off; with a code of this moment it is turned off, or new recovery codes are made."""
        asked = of_admin(request)
        wrong = ""
        if request.method == "POST":
            if code_check(asked.user, request.POST.get("code", "")) is None:
                wrong = _WRONG
            elif request.POST.get("deed") == "codes":
                _record(asked, "second_factor.codes_renewed")
                return self._codes(asked, codes_renew(asked.user))
            else:
                second_factor_remove(asked.user)
                _record(asked, "second_factor.removed")
        left = codes_left(asked.user) if asked.user.has_second_factor else 0
        return self._page(asked, "second_factor.html", "Second factor", wrong=wrong, codes_left=left)

    def set_up(self, request: HttpRequest) -> HttpResponse:
        """Scan, type the code it shows, keep the recovery codes."""
        asked = of_admin(request)
        if asked.user.has_second_factor:
            return HttpResponseRedirect(reverse("admin:second_factor"))
        if request.method == "POST" and (codes := app_confirm(asked.user, request.POST.get("code", ""))):
            second_factor_passed(request, app_of(asked.user))
            _record(asked, "second_factor.set_up")
            return self._codes(asked, codes)
        device = app_pending(asked.user)
        return self._page(
            asked,
            "second_factor_set_up.html",
            "Set up a second factor",
            picture=segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=2, light="#fff"),
            secret=_in_fours(device.config_url),
            wrong=_WRONG if request.method == "POST" else "",
        )

    def check(self, request: HttpRequest) -> HttpResponse:
        """The second question of a login."""
        asked = of_admin(request)
        if request.method == "POST":
            device = code_check(asked.user, request.POST.get("code", ""))
            if device is not None:
                second_factor_passed(request, device)
                return HttpResponseRedirect(return_address(request))
        return self._page(
            asked,
            "second_factor_check.html",
            "One more thing",
            wrong=_WRONG if request.method == "POST" else "",
            next=return_address(request),
        )

    def _codes(self, asked: AdminRequest, codes: list[str]) -> HttpResponse:
        return self._page(asked, "second_factor_codes.html", "Recovery codes", codes=codes)

    def _page(self, asked: AdminRequest, template: str, title: str, **more: Any) -> HttpResponse:
        context = {**self.site.each_context(asked), "title": title, **more}
        answer = TemplateResponse(asked, f"admin/purser/{template}", context)
        answer["Cache-Control"] = "no-store"
        return answer


def _in_fours(config_url: str) -> str:
    """The secret in the URL of the picture, for those who type it."""
    secret = config_url.partition("secret=")[2].partition("&")[0]
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _record(asked: AdminRequest, action: str) -> None:
    """On the record of the environment in view: people belong to none."""
    if environment_of(asked) is not None:
        audit_record(
            caller=asked.caller,
            action=action,
            object_type="user",
            object_id=asked.user.get_username(),
            now=asked.now,
        )
