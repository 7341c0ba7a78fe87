"""What every part of the API shares: keys, scopes, the shape of errors."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.decorators import method_decorator
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import exception_handler

from accounts import tokens
from accounts.identifiers import PublicIdConverter
from accounts.models import ApiToken, User

#: The id of an object, as it stands in an address.
ID = OpenApiParameter(
    "public_id",
    {"type": "string", "pattern": f"^{PublicIdConverter.regex}$"},
    OpenApiParameter.PATH,
)
_NOT_FOUND = "There is nothing here, or nothing that you may see."


class KeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer corecmr_…``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        word, _space, key = request.headers.get("Authorization", "").partition(" ")
        if word.lower() != "bearer":
            return None
        token = tokens.owner_of(key.strip())
        if token is None:
            raise exceptions.AuthenticationFailed(
                "This key is not known, has expired or was taken back, or its owner must first do "
                "something on the site. Sign in there, and make a new key under Account."
            )
        # What takes plain requests must know the person as well.
        request._request.user = token.user
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class KeyScheme(OpenApiAuthenticationExtension):
    """The key, for the OpenAPI document."""

    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class HasScope(BasePermission):
    """The key has the scope that the view names."""

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        if not isinstance(token, ApiToken):
            return False
        wanted = view.scope_of(request)
        if wanted not in token.scopes:
            raise exceptions.PermissionDenied(
                f"The key lacks the scope “{wanted}”. Make one that has it under Account."
            )
        return True


class KeyThrottle(UserRateThrottle):
    """So many requests of one person in a minute, whatever the number of keys."""

    rate = "300/min"


class Pages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


@method_decorator(login_not_required, name="dispatch")
class ApiView(GenericAPIView):
    """A part of the API: by key alone, never by the session of a browser."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    throttle_classes = (KeyThrottle,)
    pagination_class = Pages
    #: The scope of each method, or of all.
    scope: str | dict[str, str] = ApiToken.Scope.READ

    def scope_of(self, request: Request) -> str:
        if isinstance(self.scope, str):
            return str(self.scope)
        return str(self.scope.get(request.method or "", ApiToken.Scope.READ))

    @property
    def person(self) -> User:
        assert isinstance(self.request.user, User)  # noqa: S101  (permission asks for a key)
        return self.request.user


def on_error(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Errors as programs get them from the rest of the site: code, sentence, id of the request."""
    if isinstance(exception, Http404):
        exception = exceptions.NotFound(_NOT_FOUND)
    elif isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    response = exception_handler(exception, context)
    if response is None or not isinstance(exception, exceptions.APIException):
        return response
    request: HttpRequest = context["request"]._request
    body: dict[str, Any] = {
        "error": exception.default_code if response.status_code != 400 else "bad_request",
        "id": getattr(request, "request_id", ""),
    }
    if isinstance(exception, exceptions.ValidationError):
        body["detail"] = "A value is wrong; see fields."
        body["fields"] = exception.detail
    else:
        body["detail"] = str(exception.detail)
    response.data = body
    return response


_STATUSES = {
    "400": "A value is wrong.",
    "401": "There is no key, or it is not good any more.",
    "403": "The key or its owner may not do this.",
    "404": _NOT_FOUND,
    "405": "The address takes other methods.",
    "429": "Too many requests; see Retry-After.",
}


def describe_errors(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Puts what ``on_error`` answers into the OpenAPI document, at every operation."""
    result["components"]["schemas"]["Error"] = {
        "type": "object",
        "required": ["error", "id", "detail"],
        "properties": {
            "error": {"type": "string", "description": "A code for programs"},
            "id": {"type": "string", "description": "The id of this request, for the log"},
            "detail": {"type": "string", "description": "A sentence for people"},
            "fields": {"description": "At a wrong value: sentences by parameter"},
        },
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, words in _STATUSES.items():
                operation["responses"][status] = {"description": words, "content": content}
    return result
