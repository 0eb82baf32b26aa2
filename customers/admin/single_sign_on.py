"""The two pages of single sign-on: away to the provider, and back with its answer. Both are open to everybody."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlencode

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.contrib.auth.signals import user_login_failed
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache

from customers.admin.requests import address_of, of_admin, return_address
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.services.audit import audit_record
from customers.services.environments import environment_in_view, environment_now
from customers.services.second_factor import PASSED_ELSEWHERE
from customers.services.single_sign_on import (
    Begun,
    LockedOut,
    Provider,
    SignedIn,
    SignInRefused,
    provider_configured,
    sign_in_begin,
    sign_in_finish,
)

_log: Final = logging.getLogger("purser.login")
_UNDER_WAY: Final = "single_sign_on"
#: Somebody may have the login page open in several tabs.
_TABS: Final = 5


@never_cache
def begin(request: HttpRequest) -> HttpResponse:
    """Off to the provider. A link and no form: the admin's content policy lets forms go nowhere else."""
    provider = _provider()
    now = system_now()
    try:
        page, begun = sign_in_begin(
            provider=provider, answer_url=_answer_url(), return_to=return_address(request), now=now
        )
    except SignInRefused as refusal:
        return _refused(request, refusal, return_address(request))
    under_way = dict(list(request.session.get(_UNDER_WAY, {}).items())[1 - _TABS :])
    request.session[_UNDER_WAY] = {**under_way, begun.state: asdict(begun)}
    return HttpResponseRedirect(page)


@never_cache
def answer(request: HttpRequest) -> HttpResponse:
    """Back from the provider: logged in, or told why not. Each login's state is good for one answer."""
    provider = _provider()
    now = system_now()
    under_way = request.session.get(_UNDER_WAY, {})
    kept = under_way.pop(request.GET.get("state", ""), None)
    if kept is None:
        _log.warning("an answer to no login of this session", extra={"address": address_of(request)})
        messages.error(request, "That login did not begin in this browser, or is over. Please try again.")
        return HttpResponseRedirect(reverse("admin:login"))
    request.session[_UNDER_WAY] = under_way
    begun = Begun(**kept)
    try:
        signed_in = sign_in_finish(
            provider=provider,
            begun=begun,
            answer=request.GET.dict(),
            answer_url=_answer_url(),
            now=now,
        )
        _check_locked(request, signed_in.user.get_username())
    except SignInRefused as refusal:
        return _refused(request, refusal, begun.return_to)
    return _welcomed(request, provider, signed_in, begun.return_to)


def _provider() -> Provider:
    provider = provider_configured()
    if provider is None:
        raise Http404
    return provider


def _answer_url() -> str:
    return f"{settings.PURSER_URL.rstrip('/')}{reverse('single_sign_on_answer')}"


def _check_locked(request: HttpRequest, name: str) -> None:
    if not AxesProxyHandler.is_allowed(request, {"username": name}):
        minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
        raise LockedOut(f"Too many logins failed. Try again in {minutes} minutes.", person=name)


def _welcomed(request: HttpRequest, provider: Provider, signed_in: SignedIn, return_to: str) -> HttpResponse:
    user = signed_in.user
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    request.session[PASSED_ELSEWHERE] = signed_in.has_second_factor
    _record(
        request,
        actor=f"user:{user.get_username()}",
        action="login.single_sign_on",
        person=user.get_username(),
        changes={
            "issuer": [None, provider.issuer],
            "subject": [None, user.openid_subject],
            **({"person": [None, signed_in.novelty]} if signed_in.novelty else {}),
        },
    )
    return HttpResponseRedirect(return_to)


def _refused(request: HttpRequest, refusal: SignInRefused, return_to: str) -> HttpResponse:
    """Said on the login page, in the log, on the record, and counted against the person, if it is known who that is."""
    _log.warning(
        "a single sign-on was refused",
        extra={"person": refusal.person, "detail": refusal.detail, "address": address_of(request)},
    )
    if refusal.counts and refusal.person:
        user_login_failed.send(sender=__name__, credentials={"username": refusal.person}, request=request)
    if refusal.counts:
        _record(
            request,
            actor="system:login",
            action="login.refused",
            person=refusal.person or "somebody",
            reason=str(refusal)[:1000],
            changes={"detail": [None, refusal.detail[:500].replace("\x00", "")]},
        )
    messages.error(request, str(refusal))
    query = urlencode({REDIRECT_FIELD_NAME: return_to})
    return HttpResponseRedirect(f"{reverse('admin:login')}?{query}")


def _record(
    request: HttpRequest,
    *,
    actor: str,
    action: str,
    person: str,
    reason: str = "",
    changes: dict[str, Any],
) -> None:
    """On the record of the environment that this session looks at: people belong to none."""
    environment = environment_in_view(request.session)
    if environment is None:
        return
    caller = Caller(
        environment_id=environment.id,
        actor=actor,
        request_id=of_admin(request).request_id,
        address=address_of(request),
    )
    with environment_scope(environment.id):
        audit_record(
            caller=caller,
            action=action,
            object_type="user",
            object_id=person[:255],
            reason=reason,
            changes=changes,
            now=environment_now(environment),
        )
