"""A study's images as sorted series, in the words of a manifest; and the child that reads them.

``python -m studies.dicom.understand`` reads a request on standard input: ``files`` (each ``id``,
``path`` and whether it is ``held`` already, all rebuilt) and ``out``, the manifest to write. It
sorts what is held and what is new together, so that a study sent in parts is understood whole.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pydicom

from studies.dicom.frames import Frame, frames_of
from studies.dicom.labels import kind_of
from studies.dicom.quiet import quiet
from studies.dicom.sort import ScannerMap, SortedSeries, SortedStudy, sort_frames

TWO_PATIENTS = (
    "The files of one examination name two patients. Check the export, and send each patient's "
    "examination by itself."
)


def series_of(frames: Sequence[Frame]) -> dict[str, Any]:
    """What the images of one study are: ``series``, and of the rest the reason."""
    found = sort_frames(frames)
    films = [*found.series, *(one for one, _ in found.aif)]
    series = [_series(one, number) for number, one in enumerate(films)]
    series += [_map(one, len(films) + number) for number, one in enumerate(found.maps)]
    return {
        "series": series,
        "unused": [{"id": name, "reason": why} for name, why in found.unused],
        "left_out": _left_out(frames, found),
    }


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
        "frame_ids": [[frame.sop_instance_uid, frame.frame_number] for frame in one.frames],
        "rows": first.rows,
        "cols": first.cols,
        "time_source": one.clock.source,
        "duration_s": round(one.duration_s, 3),
        "median_interval_s": round(one.median_interval_s, 3),
        "reasons": list(one.reasons),
        "file_ids": list(dict.fromkeys(frame.file_id for frame in one.frames)),
    }


def _map(one: ScannerMap, number: int) -> dict[str, Any]:
    frame = one.frame
    return {
        "uid": frame.series_uid,
        "number": number,
        "state": one.state,
        "level": one.level,
        "role": "map",
        "description": frame.label,
        "frames": 1,
        "frame_ids": [[frame.sop_instance_uid, frame.frame_number]],
        "rows": frame.rows,
        "cols": frame.cols,
        "time_source": None,
        "duration_s": None,
        "median_interval_s": None,
        "reasons": list(one.reasons),
        "file_ids": [frame.file_id],
    }


def _left_out(frames: Iterable[Frame], found: SortedStudy) -> list[dict[str, Any]]:
    """What is no perfusion series, by series: its number, kind, size and the reason."""
    reasons = dict(found.unused)
    groups: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.file_id in reasons:
            groups[frame.series_uid, reasons[frame.file_id]].append(frame)
    told = [
        {
            "number": members[0].series_number,
            "kind": kind_of(members[0].label),
            "images": len(members),
            "rows": members[0].rows,
            "cols": members[0].cols,
            "reason": reason,
        }
        for (_, reason), members in groups.items()
    ]
    return sorted(told, key=lambda one: (one["number"] is None, one["number"] or 0, one["reason"]))


def main() -> None:
    request = json.loads(sys.stdin.read())
    held: list[Frame] = []
    new: list[Frame] = []
    for number, entry in enumerate(request["files"], start=1):
        (held if entry["held"] else new).extend(_frames(Path(entry["path"]), entry["id"]))
        if number % 50 == 0:
            print(json.dumps({"done": number}), flush=True)
    patients = {frame.patient for frame in held} or {frame.patient for frame in new}
    strangers = {frame.file_id for frame in new if frame.patient not in patients}
    kept = [*held, *(frame for frame in new if frame.file_id not in strangers)]
    manifest = {
        **series_of(kept),
        "refused": [{"id": name, "reason": TWO_PATIENTS} for name in sorted(strangers)],
    }
    Path(request["out"]).write_text(json.dumps(manifest))


@quiet
def _frames(path: Path, file_id: str) -> list[Frame]:
    """Of a file that was rebuilt here: its header is ours."""
    return frames_of(pydicom.dcmread(path, stop_before_pixels=True), file_id)


if __name__ == "__main__":
    main()
