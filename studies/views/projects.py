"""Research projects: the researchers' side, and what is asked of a trust."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import audit
from accounts.models import User
from accounts.person import person
from studies import access, cohorts, projects
from studies.forms import MemberForm, ProjectForm
from studies.models import Project
from studies.views.research import address_of


def _researcher(request: HttpRequest) -> User:
    user = person(request)
    if not user.can("research"):
        raise Http404
    return user


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    user = _researcher(request)
    found = projects.of_member(user).prefetch_related("trusts__trust", "cohorts")
    audit.record(user, "project.list", count=len(found))
    return render(request, "studies/projects.html", {"projects": found})


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    user = _researcher(request)
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        project = projects.create(
            by=user, name=data["name"], purpose=data["purpose"],
            ethics_number=data["ethics_number"], ends_on=data["ends_on"],
            wanted=data["wanted"] or 0, trusts=data["trusts"],
        )  # fmt: skip
        messages.success(request, _("The trusts are asked. Each decides for itself."))
        return redirect("project", project.public_id)
    if request.method == "GET":
        audit.record(user, "project.form")
    return render(request, "studies/project_new.html", {"form": form})


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    user = _researcher(request)
    project = projects.get_or_404(user, public_id)
    audit.record(user, "project.view", project)
    return render(request, "studies/project.html", _context(project, user))


def _context(project: Project, user: User, **more: Any) -> dict[str, Any]:
    trusts = list(projects.enrolment(project))
    enrolled = sum(one.studies for one in trusts)  # type: ignore[attr-defined]
    return {
        "project": project,
        "trusts": [
            (one, cohorts.told(one.studies))  # type: ignore[attr-defined]
            for one in trusts
        ],
        "enrolled": cohorts.told(enrolled),
        "left_out": cohorts.left_out(project),
        "cohorts": [
            (one, address_of(project, one.definition))
            for one in project.cohorts.select_related("created_by")
        ],
        "members": project.members.order_by("name"),
        "member_form": MemberForm(),
        "least": cohorts.LEAST,
        **more,
    }


@require_POST
def member(request: HttpRequest, public_id: str) -> HttpResponse:
    user = _researcher(request)
    project = projects.get_or_404(user, public_id)
    form = MemberForm(request.POST)
    if form.is_valid():
        try:
            found = projects.add_member(project, by=user, email=form.cleaned_data["email"])
        except projects.ProjectError as error:
            form.add_error("email", str(error))
        else:
            messages.success(request, _("%(person)s works in it now.") % {"person": found})
            return redirect("project", project.public_id)
    context = _context(project, user, member_form=form, form=form)
    return render(request, "studies/project.html", context, status=422)


@require_POST
def close(request: HttpRequest, public_id: str) -> HttpResponse:
    user = _researcher(request)
    project = projects.get_or_404(user, public_id)
    projects.close(project, by=user)
    messages.success(request, _("The project is closed. Nothing of it is exported any more."))
    return redirect("project", project.public_id)


# --- the trusts' side ---------------------------------------------------------------------------


@require_GET
def requests(request: HttpRequest) -> HttpResponse:
    """What projects ask of the person's trust, and what it said."""
    user = person(request)
    if not access.decides_for(user).exists():
        raise Http404
    asked = projects.asked_of(user).select_related("project", "project__created_by", "trust")
    audit.record(user, "project.requests", count=len(asked))
    return render(request, "studies/project_requests.html", {"asked": asked})


@require_POST
def decide(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    asked = projects.asked_of(user).select_related("project").filter(public_id=public_id).first()
    if asked is None:
        raise Http404
    allow = request.POST.get("do") == "allow"
    projects.decide(asked, by=user, allow=allow)
    messages.success(
        request,
        _("Your trust takes part.") if allow else _("Your trust does not take part."),
    )
    return redirect("project_requests")
