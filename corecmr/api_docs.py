"""The API's page: its OpenAPI document, drawn as the rest of the site is."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator


@login_not_required
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    site = f"{request.scheme}://{request.get_host()}"
    context = {"operations": _operations(), "site": site}
    return render(request, "pages/api.html", context)


@cache
def _operations() -> list[dict[str, Any]]:
    """What the page says of each address and method, in the order of the document."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    found = []
    for path, operations in schema["paths"].items():
        for method, told in operations.items():
            found.append(
                {
                    "id": told["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "description": told.get("description", ""),
                    "parameters": [_parameter(one) for one in told.get("parameters", [])],
                    "body": _body(told, schema),
                    "fields": _fields(told, schema),
                    "gives": _gives(told),
                }
            )
    return found


def _parameter(told: dict[str, Any]) -> dict[str, Any]:
    schema = told.get("schema", {})
    several = schema.get("type") == "array"
    return {
        "name": told["name"],
        "where": told["in"],
        "required": told.get("required", False),
        "type": schema.get("items", {}).get("type", "string") if several else schema.get("type"),
        "several": several,
        "values": schema.get("enum", []),
        "description": told.get("description", ""),
    }


def _named(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in part:
        found: dict[str, Any] = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        return found
    return part


def _body(told: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    return _properties(_named(schema, content.get("schema", {})))


def _fields(told: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of the answer; of a list, those of one in it."""
    for status in ("200", "201"):
        content = told["responses"].get(status, {}).get("content", {}).get("application/json")
        if content is None:
            continue
        whole = _named(schema, content["schema"])
        rows = whole.get("properties", {}).get("results")
        if rows is not None and "count" in whole.get("properties", {}):
            whole = _named(schema, rows["items"])
        return _properties(whole)
    return []


def _properties(whole: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": one.get("type", "object"), "description": one.get("description", "")}
        for name, one in whole.get("properties", {}).items()
    ]


def _gives(told: dict[str, Any]) -> str:
    """What kind of answer it is where it is no JSON."""
    kinds = {kind for one in told["responses"].values() for kind in one.get("content", {})}
    return ", ".join(sorted(kinds - {"application/json"}))
