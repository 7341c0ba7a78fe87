"""The demo's study: a digital phantom, sent through the site's own upload and analysed there."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.processes import Children
from scripts.steps import Step, StepError, Steps, run
from scripts.visitor import MoreIsAskedError, SiteError, Visitor

# A little longer than the site's own limit for one run.
PATIENCE_SECONDS = 1800
POLL_SECONDS = 0.5


def ensure_there(steps: Steps, address: str, var: Path, children: Children) -> None:
    """Make, upload and analyse the phantom, each only as far as an earlier demo has not."""
    known = _Known(var / "demo-study.json")
    visitor = Visitor(address)
    try:
        visitor.sign_in(*_consultant(var))
    except MoreIsAskedError as asked:
        if not known.get("study"):
            raise StepError(
                f"{asked} So the demo's study cannot be sent.\nStart it once without "
                "CORECMR_REQUIRE_MFA, or afresh after make demo-reset."
            ) from None
        print(f"{asked} The study is as it was: {address}{known.get('study')}", flush=True)
        return
    with steps.step("Phantom study") as step:
        folder = _phantom(var / "phantom", step)
    with steps.step("Upload") as step:
        study = known.get("study")
        new = not study or not _exists(visitor, study)
        if new:
            study = _upload(visitor, folder, known, step, children)
            known.set("study", study)
    with steps.step("Analysis") as step:
        _await_result(visitor, study, step, children, new=new)
    print(f"The study: {address}{study}", flush=True)


class _Known:
    """What earlier demos have come to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str) -> str:
        try:
            return str(json.loads(self._path.read_text()).get(name, ""))
        except (OSError, ValueError):
            return ""

    def set(self, name: str, value: str) -> None:
        self._path.write_text(json.dumps({name: value}))


def _consultant(var: Path) -> tuple[str, str]:
    try:
        people = json.loads((var / "demo.json").read_text())["people"]
        person = next(person for person in people if person["key"] == "consultant")
        return person["email"], person["password"]
    except (OSError, ValueError, KeyError, StopIteration):
        raise StepError(
            "var/demo.json, which holds the passwords of the demo's people, is gone. "
            "Start afresh: make demo-reset"
        ) from None


def _phantom(folder: Path, step: Step) -> Path:
    if not folder.exists():
        fresh = folder.with_name("phantom.new")
        shutil.rmtree(fresh, ignore_errors=True)
        run([sys.executable, "-m", "processing.phantom_dicom", fresh])
        fresh.rename(folder)
    step.note(f"{sum(path.is_file() for path in folder.rglob('*'))} DICOM files")
    return folder


def _exists(visitor: Visitor, study: str) -> bool:
    try:
        visitor.get_json(f"{study}status.json")
    except SiteError as error:
        if error.status == 404:
            return False
        raise
    return True


def _upload(visitor: Visitor, folder: Path, known: _Known, step: Step, children: Children) -> str:
    """Send the files unless an earlier demo has; returns the address of the study they became."""
    upload = known.get("upload")
    if not upload or not _was_sent(visitor, upload):
        upload = _send(visitor, folder, step)
        known.set("upload", upload)

    def ended() -> dict[str, Any] | None:
        state = visitor.get_json(f"{upload}status.json")
        step.note(f"checking, {state['done']} of {state['total']}", passing=True)
        return state if state["state"] in {"done", "failed"} else None

    state = _await(ended, children, "The upload")
    if not state["studies"]:
        raise StepError(f"The upload came to no study. {state.get('reason') or ''}".strip())
    step.note(f"{state['total']} files checked")
    return str(state["studies"][0]["url"])


def _was_sent(visitor: Visitor, upload: str) -> bool:
    try:
        return visitor.get_json(f"{upload}status.json")["state"] not in {"receiving", "failed"}
    except SiteError as error:
        if error.status == 404:
            return False
        raise


def _send(visitor: Visitor, folder: Path, step: Step) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    begun = visitor.post_form("/uploads/", {})
    for received in visitor.send_files(begun["files_url"], files, folder):
        step.note(f"sent {received} of {len(files)} files", passing=True)
    return str(visitor.post_form(begun["complete_url"], {"sent": str(len(files))})["url"])


def _await_result(
    visitor: Visitor, study: str, step: Step, children: Children, *, new: bool
) -> None:
    def ended() -> dict[str, Any] | None:
        state = visitor.get_json(f"{study}status.json")
        run = state["run"]
        if run and run["state"] in {"queued", "running"}:
            stage = run["stage"] or "waiting"
            step.note(f"{stage}, {100 * (run['fraction'] or 0):.0f} %", passing=True)
            return None
        return state if run or state["has_result"] else None

    state = _await(ended, children, "The analysis")
    if state["has_result"]:
        step.note("")
        return
    run = state["run"]
    if new:
        raise StepError(
            f"The analysis of the phantom {run['state']}. {run.get('reason') or ''}\n"
            "See var/logs; make demo-reset starts afresh."
        )
    # Whoever used the demo may have cancelled it: that is no reason not to start.
    step.note(f"no result: the last analysis {run['state']}")


def _await(
    ended: Callable[[], dict[str, Any] | None], children: Children, what: str
) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := ended()) is None:
        children.check()
        if time.monotonic() > deadline:
            raise StepError(
                f"{what} did not end in {PATIENCE_SECONDS // 60} minutes. See var/logs."
            )
        time.sleep(POLL_SECONDS)
    return state
