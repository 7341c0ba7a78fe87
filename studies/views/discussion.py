"""A question and its answer; comments on a study."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import audit
from accounts.models import User
from accounts.person import person
from studies import access, comments, questions
from studies.forms import AnswerForm, CommentForm
from studies.models import Comment, Study
from studies.segments import AHA_NAMES

_PLACE = ("folder", "frame", "row", "column", "segment", "result_number")


@require_http_methods(["GET", "POST"])
def question(request: HttpRequest, public_id: str) -> HttpResponse:
    """A question that came with a share, for who may answer it."""
    user = person(request)
    share = questions.to_answer(user, public_id)
    if share is None:
        raise Http404
    answer = getattr(share, "answer", None)
    form = AnswerForm(request.POST or None)
    if request.method == "GET":
        audit.record(user, "question.view", share.study, share=share.public_id)
    elif form.is_valid():
        data = form.cleaned_data
        try:
            questions.answer(
                share, by=user, finding=data["finding"], quality=data["quality"],
                segments=data["segments"], text=data["text"],
            )  # fmt: skip
        except questions.QuestionError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Your answer is signed and has gone back."))
            return redirect("question", share.public_id)
    return render(
        request,
        "studies/question.html",
        {
            "share": share, "study": share.study, "form": form, "answer": answer,
            "overdue": questions.is_overdue(share),
        },
        status=400 if form.errors else 200,
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
def comment(request: HttpRequest, public_id: str) -> HttpResponse:
    """What was said about a study, and something more."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    if request.method == "POST":
        access.require(user, "comment", study)
    form = form_for(request, study)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            comments.write(
                study, by=user, text=data["text"],
                place={name: data[name] for name in _PLACE}, tell=form.told,
            )  # fmt: skip
        except comments.CommentError as error:
            form.add_error("text", str(error))
        else:
            messages.success(request, _("Your comment is kept."))
            return redirect(f"{reverse('study', args=[study.public_id])}#discussion")
    if request.method == "GET":
        audit.record(user, "comment.list", study)
    return render(
        request, "studies/comments.html",
        {
            **told(study, user, owner=access.is_owner(user, study)),
            "study": study, "form": form, "film": _film(form["folder"].value() or ""),
        },
        status=400 if form.errors else 200,
    )  # fmt: skip


def form_for(request: HttpRequest, study: Study) -> CommentForm:
    """The form for a comment, pinned to the place that the address tells, if it tells one."""
    known = {name: request.GET[name] for name in _PLACE if name in request.GET}
    people = comments.people(study, person(request))
    return CommentForm(request.POST or None, initial=known, people=people)


def told(study: Study, user: User, *, owner: bool) -> dict[str, Any]:
    """What the page shows of a discussion; owner: whether the person works in the owning trust."""
    return {
        "may_comment": access.may(user, "comment", study),
        "comments": [
            {
                "comment": one,
                "own": one.by_id == user.pk,
                "place": place(one),
                "workspace": _workspace(one),
                # What was taken back is for the owning trust alone; what was changed for all.
                "earlier": one.earlier if owner or one.deleted_at is None else [],
            }
            for one in study.comments.select_related("by")
        ],
    }


def place(one: Comment) -> str:
    """Where a comment is pinned, in words; "" for the whole study."""
    parts = []
    if one.segment:
        parts.append(f"{one.segment} {AHA_NAMES[one.segment]}")
    if one.folder:
        parts.append(_film(one.folder))
    if one.frame is not None:
        parts.append(_("frame %(number)s") % {"number": one.frame + 1})
    if one.row is not None and one.column is not None:
        parts.append(_("row %(row)s, column %(column)s") % {"row": one.row, "column": one.column})
    return ", ".join(parts)


def _film(folder: str) -> str:
    return folder.replace("_", " ")


def _workspace(one: Comment) -> str:
    """The address of the place in the workspace; "" where it is pinned to none."""
    if not one.folder or not one.result_number:
        return ""
    asked = f"result={one.result_number}&folder={one.folder}"
    for name in ("frame", "row", "column", "segment"):
        if getattr(one, name) is not None:
            asked += f"&{name}={getattr(one, name)}"
    return f"{reverse('study_workspace', args=[one.study.public_id])}?{asked}"


@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    found = _own(user, public_id)
    problem = ""
    if request.method == "POST":
        try:
            comments.change(found, by=user, text=request.POST.get("text", ""))
        except comments.CommentError as error:
            problem = str(error)
        else:
            return redirect(f"{reverse('study', args=[found.study.public_id])}#discussion")
    else:
        audit.record(user, "comment.list", found.study)
    return render(
        request,
        "studies/comment_change.html",
        {"comment": found, "study": found.study, "problem": problem,
         "most": comments.MOST_CHARACTERS},
        status=400 if problem else 200,
    )  # fmt: skip


@require_POST
def take_back(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    found = _own(user, public_id)
    comments.take_back(found, by=user)
    messages.success(request, _("Your comment was taken back."))
    return redirect(f"{reverse('study', args=[found.study.public_id])}#discussion")


def _own(user: User, public_id: str) -> Comment:
    """A comment that the person wrote and may still change; else the same 404 as for none."""
    found = (
        Comment.objects.select_related("study", "study__trust")
        .filter(
            public_id=public_id, by=user, deleted_at=None, study__in=access.visible_to(user)
        )
        .first()
    )  # fmt: skip
    if found is None:
        raise Http404
    access.require(user, "comment", found.study)
    return found
