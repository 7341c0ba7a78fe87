"""A person's own settings: details, sessions, their data, and the end of the account."""

from __future__ import annotations

from datetime import UTC, datetime

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import audit, mydata, registration, sessions, tokens
from accounts.adapter import AccountAdapter
from accounts.forms import ApiKeyForm, CloseAccountForm, FeedbackForm, ProfileForm
from accounts.models import Feedback
from accounts.person import person
from corecmr.errors import wants_json


@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user = person(request)
    form = ProfileForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST" and form.is_valid():
        changed = form.save()
        if changed:
            audit.record(user, "account.profile", user, fields=len(changed))
        messages.success(request, _("Your details are saved."))
        return redirect("profile")
    memberships = user.memberships.select_related("trust")
    return render(request, "accounts/profile.html", {"form": form, "memberships": memberships})


@require_GET
def my_data(request: HttpRequest) -> HttpResponse:
    """Everything that is kept about the person, as JSON."""
    user = person(request)
    answer = JsonResponse(mydata.of(user), json_dumps_params={"indent": 1})
    answer["Content-Disposition"] = 'attachment; filename="corecmr-my-data.json"'
    audit.record(user, "account.my_data", user)
    return answer


@require_http_methods(["GET", "POST"])
def close_account(request: HttpRequest) -> HttpResponse:
    user = person(request)
    form = CloseAccountForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            # Counted with the failures to sign in, so that nobody guesses here instead.
            if AccountAdapter(request).reauthenticate(user, form.cleaned_data["password"]):
                registration.close(user)
                logout(request)
                messages.success(request, _("Your account is closed."))
                return redirect("home")
            form.add_error("password", _("This is not your password."))
        except registration.RegistrationError as error:
            form.add_error(None, str(error))
        except ValidationError as error:
            form.add_error("password", error)
    return render(request, "accounts/close.html", {"form": form})


@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest) -> HttpResponse:
    """Keys for programs: a new one is shown once, on the answer itself."""
    user = person(request)
    form = ApiKeyForm(request.POST if request.method == "POST" else None)
    fresh = ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            _token, fresh = tokens.create(
                user, name=data["name"], scopes=data["scopes"], days=data["days"]
            )
            form = ApiKeyForm()
        except tokens.TokenError as error:
            form.add_error(None, str(error))
    found = user.api_tokens.all()
    return render(request, "accounts/keys.html", {"form": form, "keys": found, "fresh": fresh})


@require_POST
def revoke_key(request: HttpRequest, public_id: str) -> HttpResponse:
    token = person(request).api_tokens.filter(public_id=public_id).first()
    if token is None:
        raise Http404
    tokens.revoke(token)
    messages.success(request, _("The key works no more."))
    return redirect("api_keys")


@require_http_methods(["GET", "POST"])
def session_list(request: HttpRequest) -> HttpResponse:
    """Where somebody is signed in; one or all others can be ended."""
    user = person(request)
    found = sessions.open_sessions(user, request.session.session_key)
    if request.method == "POST":
        chosen = request.POST.get("end", "")
        ended = [
            one for one in found
            if not one.is_current and chosen in {str(one.row.pk), "others"}
        ]  # fmt: skip
        for one in ended:
            one.row.end()
        if ended:
            audit.record(user, "account.end_sessions", user, count=len(ended))
            messages.success(request, _("Signed out there."))
        return redirect("sessions")
    rows = [
        {
            "pk": one.row.pk,
            "is_current": one.is_current,
            "browser": one.row.user_agent,
            "address": one.row.ip,
            "began": one.row.created_at,
            "active": datetime.fromtimestamp(one.active_at, UTC),
        }
        for one in found
    ]
    return render(request, "accounts/sessions.html", {"sessions": rows})


@login_not_required
@require_http_methods(["GET", "POST"])
def session(request: HttpRequest) -> HttpResponseBase:
    """How long the session lasts. Asking makes it no longer; sending something does."""
    if request.method == "POST" and not wants_json(request):
        return redirect("home")
    if not request.user.is_authenticated:
        return JsonResponse({"left": 0, "extendable": False})
    left = sessions.left(request.session)
    return JsonResponse({"left": int(left.seconds), "extendable": left.extendable})


@require_http_methods(["GET", "POST"])
def feedback(request: HttpRequest) -> HttpResponse:
    """A message to the administrators of the site."""
    form = FeedbackForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = person(request)
        Feedback.objects.create(by=user, text=form.cleaned_data["text"])
        audit.record(user, "feedback.send")
        messages.success(request, _("Thank you. The administrators will read it."))
        return redirect("feedback")
    return render(
        request, "accounts/feedback.html", {"form": form}, status=400 if form.errors else 200
    )
