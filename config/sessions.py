"""A person's session in the admin: how long it lives untouched, and whether it has passed the second question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, logout
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from customers.kernel.clock import system_now
from customers.services.second_factor import PASSED_ELSEWHERE

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class IdleSessionMiddleware:
    """Logs out whoever left the screen. Noted at most once a minute: a session is a row, and a write each time."""

    _SEEN: Final = "seen_at"
    _NOTED_EVERY: Final = 60

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/admin") and request.user.is_authenticated:
            now = int(system_now().timestamp())
            idle = now - int(request.session.get(self._SEEN, now))
            if idle > settings.SESSION_IDLE_SECONDS:
                logout(request)
            elif idle >= self._NOTED_EVERY or self._SEEN not in request.session:
                request.session[self._SEEN] = now
        return self.get_response(request)


class SecondFactorMiddleware:
    """Whoever has a second factor is asked for it before any page; where one is required, nobody goes on without."""

    _OPEN: Final = ("second_factor_check", "logout", "login")
    _WITHOUT: Final = ("second_factor_set_up", "logout", "login")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/admin") and request.user.is_authenticated:
            asked = self._asked(request, cast(Any, request.user))
            if asked is not None:
                query = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})
                return HttpResponseRedirect(f"{reverse(f'admin:{asked}')}?{query}")
        return self.get_response(request)

    def _asked(self, request: HttpRequest, user: Any) -> str | None:
        if request.session.get(PASSED_ELSEWHERE):
            return None
        if user.has_second_factor:
            return None if user.is_verified() or _is_one_of(request, self._OPEN) else "second_factor_check"
        if settings.SECOND_FACTOR_REQUIRED and not _is_one_of(request, self._WITHOUT):
            return "second_factor_set_up"
        return None


def _is_one_of(request: HttpRequest, names: tuple[str, ...]) -> bool:
    return request.path_info in {reverse(f"admin:{name}") for name in names}
