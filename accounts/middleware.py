"""What stands between a session and the site, at every request."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import mfa, sessions
from accounts.models import Policy
from accounts.person import person
from corecmr.errors import wants_json

_ENDED_IDLE = _("You were signed out because nothing was done for a while.")
_ENDED_LONGEST = _("You were signed out because you had been signed in for 12 hours.")
GetResponse = Callable[[HttpRequest], HttpResponse]

#: A person's own matters: open to everybody who is signed in, approved or not.
PERSONAL = frozenset({"profile", "my_data", "close_account", "account_logout", "session"})


class SessionLimitsMiddleware:
    """Ends sessions that were idle or open for too long, and notes what people do."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            self._check(request)
        response = self.get_response(request)
        if request.user.is_authenticated:
            timezone.deactivate()
        return response

    def _check(self, request: HttpRequest) -> None:
        active = sessions.is_activity(request)
        if sessions.has_ended(request.session):
            if active:
                request.ended_by = "limit"  # type: ignore[attr-defined]
                extendable = sessions.left(request.session).extendable
                logout(request)
                messages.info(request, _ENDED_IDLE if extendable else _ENDED_LONGEST)
            else:
                # The page finds out and loads itself anew; that is told, so the session stays.
                request.user = AnonymousUser()
            return
        if sessions.LISTED not in request.session:
            request.session.setdefault(sessions.BEGAN, sessions.now())
            request.session[sessions.LISTED] = True
            UserSession.objects.create_from_request(request)
        if active:
            sessions.note_activity(request.session)
        timezone.activate(ZoneInfo(person(request).time_zone))


class GateMiddleware:
    """Without approval, consent to the policies in force, or a second factor where this site asks
    for one, a signed-in person gets no further than the page that says so."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        if not request.user.is_authenticated:
            return None
        match = request.resolver_match
        name = match.view_name if match else ""
        error, page, open_ = self._missing(request)
        # Pages that are open all the same must not ask for parts of the site that are not.
        request.is_held = bool(error)  # type: ignore[attr-defined]
        if name in PERSONAL or (not getattr(view, "login_required", True) and name != "home"):
            return None
        if not error or name == page or name.startswith(open_):
            return None
        if wants_json(request):
            return JsonResponse({"error": error}, status=403)
        return redirect(page)

    def _missing(self, request: HttpRequest) -> tuple[str, str, tuple[str, ...]]:
        """What is missing: as an error, the page where it is mended, and how its helpers' names
        begin."""
        user = person(request)
        if not user.is_approved:
            return "not_approved", "waiting", ()
        if Policy.outstanding(user):
            return "consent_required", "consent", ()
        if mfa.is_missing(user):
            return "second_factor_required", "mfa_index", ("mfa_", "account_reauthenticate")
        return "", "", ()
