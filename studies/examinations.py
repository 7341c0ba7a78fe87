"""An upload of several examinations: told apart, so that its sender says which ones to keep.

What is told is what the rebuilt files hold, which names nobody, and the names that the sender
gave to files and folders; those are forgotten with the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from studies.models import Upload

NOT_CHOSEN = "You chose not to keep this examination."
_MOST_FOLDERS = 4


def to_ask_about(
    manifest: Mapping[str, Any], names: Mapping[str, tuple[str, str]]
) -> list[dict[str, Any]]:
    """The examinations to ask the sender about; none if there is nothing to choose.

    manifest: as studies.dicom.intake writes it. names: folder and name of each file by its id.
    """
    studies = manifest["studies"]
    usable = [one for one in studies if is_usable(one)]
    patients = list(dict.fromkeys(one["patient_pseudonym"] for one in studies))
    if not usable or (len(usable) < 2 and len(patients) < 2):
        return []
    told = [_told(one, patients.index(one["patient_pseudonym"]) + 1, names) for one in studies]
    told.sort(key=lambda one: (one["patient"], one["day"], one["time"] or ""))
    first: dict[int, int] = {}
    for one in told:
        # Dates are moved, each patient's by another number of days; what lies between them is true.
        one["days_later"] = one["day"] - first.setdefault(one["patient"], one["day"])
    return told


def keep_only(manifest: dict[str, Any], keep: list[str] | str | None) -> None:
    """Take the examinations out of ``manifest`` that the sender does not keep."""
    if keep is None or keep == Upload.EVERYTHING:
        return
    verdicts = {one["id"]: one for one in manifest["files"]}
    for study in manifest["studies"]:
        if study["study_uid"] not in keep:
            for file_id in files_of(study):
                verdicts[file_id]["unused"] = NOT_CHOSEN
    manifest["studies"] = [one for one in manifest["studies"] if one["study_uid"] in keep]


def is_usable(study: Mapping[str, Any]) -> bool:
    """Whether a study of a manifest has a film of the contrast's passage."""
    return any(series["role"] == "perfusion" for series in study["series"])


def files_of(study: Mapping[str, Any]) -> list[str]:
    """The files of a study of a manifest, used or not."""
    used = [name for series in study["series"] for name in series["file_ids"]]
    return list(dict.fromkeys([*used, *(entry["id"] for entry in study["unused"])]))


def _told(
    study: Mapping[str, Any], patient: int, names: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    files = files_of(study)
    known = [names[file_id] for file_id in files if file_id in names]
    folders = list(dict.fromkeys(folder for folder, _ in known if folder))
    return {
        "uid": study["study_uid"],
        "patient": patient,
        "usable": is_usable(study),
        "files": len(files),
        "sex": study["patient"]["sex"],
        "age_years": study["patient"]["age_years"],
        "scanner": " ".join(
            word for word in (study["scanner"]["manufacturer"], study["scanner"]["model"]) if word
        ),
        "day": _day(study["study_date"]),
        "time": study.get("time"),
        "series": [
            {key: one[key] for key in ("state", "level", "role", "description", "frames")}
            for one in study["series"]
        ],
        "folders": folders[:_MOST_FOLDERS],
        "more_folders": max(0, len(folders) - _MOST_FOLDERS),
        "first_name": min((name for _, name in known), default=""),
        "last_name": max((name for _, name in known), default=""),
    }


def _day(text: str | None) -> int:
    return date.fromisoformat(text).toordinal() if text else 0
