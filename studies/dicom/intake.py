"""The child that judges an upload: reads a request on standard input, writes a manifest.

``python -m studies.dicom.intake``; the parent sets its limits. Request: ``files`` (each ``id``
and ``path``), ``out`` (a folder), ``key_hex``. Good files are rebuilt as ``out/<id>.dcm``, with
whom they were of beside them in ``out/<id>.json``; what was understood, without a name, stands in
``out/manifest.json``. One bad file never stops the good ones.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pydicom

from studies.dicom.changes import changes
from studies.dicom.deidentify import deidentify
from studies.dicom.frames import Frame, frames_of
from studies.dicom.identity import source_identity
from studies.dicom.quiet import quiet
from studies.dicom.read import DAMAGED, Refused, read_file
from studies.dicom.sort import SortedSeries, sort_frames

_TWO_PATIENTS = (
    "The files of one examination name two patients. Check the export, and send each patient's "
    "examination by itself."
)


def main() -> None:
    request = json.loads(sys.stdin.read())
    out = Path(request["out"])
    key = bytes.fromhex(request["key_hex"])
    verdicts: list[dict[str, Any]] = []
    frames: list[Frame] = []
    facts: dict[str, dict[str, Any]] = {}
    files = request["files"]
    for number, entry in enumerate(files, start=1):
        verdicts.append(_judge(entry["id"], Path(entry["path"]), out, key, frames, facts))
        if number % 10 == 0 or number == len(files):
            print(json.dumps({"done": number, "total": len(files)}), flush=True)
    manifest = {"files": verdicts, "studies": _studies(frames, facts, verdicts)}
    (out / "manifest.json").write_text(json.dumps(manifest))


@quiet
def _judge(
    file_id: str,
    path: Path,
    out: Path,
    key: bytes,
    frames: list[Frame],
    facts: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    target = out / f"{file_id}.dcm"
    try:
        source = read_file(path)
        clean = deidentify(source, key=key)
        found, fact = frames_of(clean, file_id), _facts(clean)
        clean.save_as(target, enforce_file_format=True)
        data = target.read_bytes()
        # Not in the manifest: it goes from here into the owning trust's vault and nowhere else.
        (out / f"{file_id}.json").write_text(json.dumps(source_identity(source, clean)))
        changed = changes(source, clean)
    except Refused as refused:
        return {"id": file_id, "accepted": False, "reason": str(refused)}
    except Exception:
        # A header that lies in a way nobody foresaw must cost this file only.
        target.unlink(missing_ok=True)
        return {"id": file_id, "accepted": False, "reason": DAMAGED}
    frames.extend(found)
    facts.setdefault(str(clean.StudyInstanceUID), fact)
    return {
        "id": file_id,
        "accepted": True,
        "reason": None,
        "sop_instance_uid": str(clean.SOPInstanceUID),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "changes": changed,
    }


def _facts(clean: pydicom.Dataset) -> dict[str, Any]:
    """What the study's record keeps, from the rebuilt file only."""
    day = str(clean.get("StudyDate") or "")
    age = str(clean.get("PatientAge") or "")
    field = clean.get("MagneticFieldStrength")
    tesla = float(field) if field else None
    return {
        "patient_pseudonym": str(clean.PatientID),
        "study_date": f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 else None,
        "patient": {
            "sex": str(clean.get("PatientSex") or ""),
            "age_years": int(age[:3]) if age[:3].isdigit() else None,
        },
        "scanner": {
            "manufacturer": str(clean.get("Manufacturer") or ""),
            "model": str(clean.get("ManufacturerModelName") or ""),
            "pseudonym": str(clean.get("DeviceSerialNumber") or ""),
            "field_t": tesla / 10000 if tesla is not None and tesla > 100 else tesla,
        },
    }


def _studies(
    frames: list[Frame], facts: dict[str, dict[str, Any]], verdicts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    by_study: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_study[frame.study_uid].append(frame)
    studies = []
    for study_uid, members in by_study.items():
        if len({frame.patient for frame in members}) > 1:
            _refuse(members, verdicts)
            continue
        found = sort_frames(members)
        series = [_series(one, number) for number, one in enumerate(found.series)]
        series += [_series(one, len(series) + number) for number, (one, _) in enumerate(found.aif)]
        studies.append(
            {
                "study_uid": study_uid,
                **facts[study_uid],
                "series": series,
                "unused": [{"id": name, "reason": why} for name, why in found.unused],
            }
        )
    return studies


def _refuse(members: list[Frame], verdicts: list[dict[str, Any]]) -> None:
    refused = {frame.file_id for frame in members}
    for verdict in verdicts:
        if verdict["id"] in refused:
            verdict.update(accepted=False, reason=_TWO_PATIENTS)


def _series(one: SortedSeries, number: int) -> dict[str, Any]:
    first = one.frames[0]
    return {
        "uid": one.uid,
        "number": number,
        "state": one.state,
        "level": one.level,
        "role": one.role,
        "description": first.label,
        "frames": len(one.frames),
        "rows": first.rows,
        "cols": first.cols,
        "time_source": one.clock.source,
        "duration_s": round(one.duration_s, 3),
        "median_interval_s": round(one.median_interval_s, 3),
        "reasons": list(one.reasons),
        "file_ids": list(dict.fromkeys(frame.file_id for frame in one.frames)),
    }


if __name__ == "__main__":
    main()
