"""Without approval a signed-in person sees the waiting page and may leave; at every request."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from corecmr.errors import wants_json

#: What someone without approval may open, beside pages that need no sign-in at all.
OPEN_VIEWS = frozenset({"waiting", "account_logout"})


class ApprovedOnlyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        user = request.user
        if not user.is_authenticated or user.is_approved:
            return None
        match = request.resolver_match
        name = match.url_name if match else ""
        if name in OPEN_VIEWS or (not getattr(view, "login_required", True) and name != "home"):
            return None
        if wants_json(request):
            return JsonResponse({"error": "not_approved"}, status=403)
        return redirect("waiting")
