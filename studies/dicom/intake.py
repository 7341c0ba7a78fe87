"""The child that judges an upload: reads a request on standard input, writes a manifest.

``python -m studies.dicom.intake``; the parent sets its limits. Request: ``files`` (each ``id``
and ``path``), ``out`` (a folder), ``key_hex``; ``classes``, the SOP Class UIDs that are taken in;
sizes in bytes ``member_bytes`` and ``total_bytes``; ``aside`` (sentences by id) for files that are
not to be read again, and ``rest``, a sentence for all that is not judged yet. Good files are
rebuilt as ``out/<id>.dcm``, with whom they were of beside them in ``out/<id>.json``; what was
understood, without a name, stands in ``out/manifest.json``.

One bad file never stops the good ones. Before a file is read its id is told on standard output;
its verdict is written down at once. So when a file ends this process, the parent knows which one
it was, and the next child goes on behind it.

The files of a ZIP archive are judged one by one, unpacked into a scratch file that
lives for as long; the third one of archive 17 has the id ``17.2``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import resource
import sys
from collections import defaultdict
from pathlib import Path
from typing import IO, Any

import pydicom

from studies.dicom import unzip
from studies.dicom.changes import changes
from studies.dicom.deidentify import deidentify
from studies.dicom.frames import Frame, frames_of
from studies.dicom.identity import source_identity
from studies.dicom.quiet import quiet
from studies.dicom.read import DAMAGED, Refused, read_file
from studies.dicom.understand import TWO_PATIENTS, series_of
from studies.object_classes import MR_CLASSES

_TOO_MUCH = "With it the upload unpacks to more than {} MB. Send one study at a time."
#: Processor time for one file, in s; more for a large one, which may hold many frames.
_FILE_SECONDS = 2
_BYTES_A_SECOND = 2 * 1024**2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: What the child ends with where the disk is full: no file is at fault.
EXIT_NO_ROOM = 28


def main() -> None:
    request = json.loads(sys.stdin.read())
    out = Path(request["out"])
    try:
        manifest = Intake(request).judge(request["files"])
        # Under another name first: a manifest that is there is whole.
        (out / "manifest.part").write_text(json.dumps(manifest))
        (out / "manifest.part").rename(out / "manifest.json")
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        sys.exit(EXIT_NO_ROOM)


class Intake:
    """One upload on its way through the child; what an earlier child judged is taken over."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._out = Path(request["out"])
        self._key = bytes.fromhex(request["key_hex"])
        self._classes = frozenset(request.get("classes", MR_CLASSES))
        self._aside: dict[str, str] = request.get("aside", {})
        self._rest: str | None = request.get("rest")
        unlimited = sys.maxsize
        self._caps = unzip.Caps(
            member_bytes=request.get("member_bytes", unlimited),
            total_bytes=request.get("total_bytes", unlimited),
        )
        self._frames: list[Frame] = []
        self._facts: dict[str, dict[str, Any]] = {}
        self._seen: dict[tuple[str, str], str] = {}
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._total = 0
        self._rebuilt_bytes = 0
        self._journal_path = self._out / "verdicts.jsonl"
        self._take_over()
        self._unpacked = unzip.Unpacked(
            self._caps, sum(one.get("unpacked", 0) for one in self._verdicts.values())
        )

    def judge(self, files: list[dict[str, str]]) -> dict[str, Any]:
        """Judge every file, then sort; gives the manifest."""
        self._total = len(files)
        with self._journal_path.open("a") as self._journal:
            # What an earlier child was writing when it was ended stays a line of its own.
            self._journal.write("\n")
            for entry in files:
                self._judge_file(entry["id"], Path(entry["path"]))
        _let_work(None)
        print(json.dumps({"file": None}), flush=True)
        verdicts = list(self._verdicts.values())
        manifest = {
            "files": verdicts,
            "studies": _studies(self._frames, self._facts, verdicts),
        }
        self._tell_progress()
        return manifest

    def _judge_file(self, file_id: str, path: Path) -> None:
        known = self._verdicts.get(file_id)
        if known is not None and not known.get("opened"):
            return
        size = path.stat().st_size if path.exists() else 0
        if not self._begin(file_id, size):
            return
        if size and unzip.is_archive(path):
            self._judge_archive(file_id, path)
        else:
            self._settle(self._read(file_id, path))

    def _judge_archive(self, file_id: str, path: Path) -> None:
        with path.open("rb") as handle:
            try:
                members = unzip.members_of(handle, self._caps)
            except Refused as refused:
                self._settle(_refusal(file_id, str(refused)))
                return
            if file_id not in self._verdicts:
                self._settle({**_refusal(file_id, None), "opened": True})
            self._total += len(members) - 1
            mine = (one for one in self._verdicts.values() if one.get("archive") == file_id)
            self._unpacked.begin(path.stat().st_size, sum(one["unpacked"] for one in mine))
            try:
                for number, member in enumerate(members):
                    self._judge_member(handle, file_id, f"{file_id}.{number}", member)
            except unzip.Bomb as bomb:
                self._take_back(file_id)
                self._unpacked.forget()
                self._total -= len(members) - 1
                self._settle(_refusal(file_id, str(bomb)))

    def _judge_member(
        self, handle: IO[bytes], archive: str, file_id: str, member: unzip.Member
    ) -> None:
        if file_id in self._verdicts:
            return
        of = {"archive": archive, "name": member.name, "folder": member.folder, "unpacked": 0}
        if not self._begin(file_id, member.size, of):
            return
        scratch = self._out / "member"
        try:
            of["unpacked"] = unzip.unpack(handle, member, scratch, self._unpacked)
            if unzip.is_archive(scratch):
                raise Refused(unzip.NESTED)
            verdict = self._read(file_id, scratch)
        except unzip.Bomb:
            raise
        except Refused as refused:
            verdict = _refusal(file_id, str(refused))
        finally:
            scratch.unlink(missing_ok=True)
        self._settle({**verdict, **of})

    def _begin(self, file_id: str, size: int, of: dict[str, Any] | None = None) -> bool:
        """Tell which file is in hand; False if it is not to be read, which is then settled."""
        reason = self._aside.get(file_id, self._rest)
        if reason is not None:
            self._settle({**_refusal(file_id, reason), **(of or {})})
            return False
        print(json.dumps({"file": file_id}), flush=True)
        _let_work(_FILE_SECONDS + size / _BYTES_A_SECOND)
        return True

    @quiet
    def _read(self, file_id: str, path: Path) -> dict[str, Any]:
        target = self._out / f"{file_id}.dcm"
        try:
            source = read_file(path, self._classes)
            clean = deidentify(source, key=self._key)
            found, fact = frames_of(clean, file_id), _facts(clean)
            clean.save_as(target, enforce_file_format=True)
            data = target.read_bytes()
            # Not in the manifest: it goes from here into the owning trust's vault, nowhere else.
            told = json.dumps(source_identity(source, clean))
            (self._out / f"{file_id}.json").write_text(told)
            changed = changes(source, clean)
            self._rebuilt_bytes += len(data)
            if self._rebuilt_bytes > self._caps.total_bytes:
                self._rebuilt_bytes -= len(data)
                raise Refused(_TOO_MUCH.format(self._caps.total_bytes // 1024**2))
        except Refused as refused:
            target.unlink(missing_ok=True)
            return _refusal(file_id, str(refused))
        except Exception as error:
            target.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            # A header that lies in a way nobody foresaw must cost this file only.
            return _refusal(file_id, DAMAGED)
        verdict = {
            "id": file_id,
            "accepted": True,
            "reason": None,
            "sop_instance_uid": str(clean.SOPInstanceUID),
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
            "changes": changed,
        }
        study = str(clean.StudyInstanceUID)
        first = self._seen.setdefault((study, str(verdict["sha256"])), file_id)
        if first != file_id:
            target.unlink()
            self._rebuilt_bytes -= len(data)
            return {**verdict, "same_as": first}
        self._frames.extend(found)
        self._facts.setdefault(study, fact)
        return verdict

    # --- what is known of them --------------------------------------------------------------

    def _settle(self, verdict: dict[str, Any]) -> None:
        self._verdicts[verdict["id"]] = verdict
        self._journal.write(json.dumps(verdict) + "\n")
        self._journal.flush()
        if len(self._verdicts) % 10 == 0:
            self._tell_progress()

    def _tell_progress(self) -> None:
        opened = sum(bool(one.get("opened")) for one in self._verdicts.values())
        done = len(self._verdicts) - opened
        print(json.dumps({"done": done, "total": self._total}), flush=True)

    def _take_back(self, archive: str) -> None:
        """An archive is refused: so is all that came out of it."""
        gone = {name for name, one in self._verdicts.items() if one.get("archive") == archive}
        for name in gone:
            verdict = self._verdicts.pop(name)
            if verdict["accepted"] and "same_as" not in verdict:
                (self._out / f"{name}.dcm").unlink()
                self._rebuilt_bytes -= verdict["size"]
        self._frames = [frame for frame in self._frames if frame.file_id not in gone]
        self._seen = {what: name for what, name in self._seen.items() if name not in gone}

    @quiet
    def _take_over(self) -> None:
        """Read what an earlier child wrote down, and the headers of what it rebuilt."""
        if not self._journal_path.exists():
            return
        for line in self._journal_path.read_text().splitlines():
            try:
                verdict = json.loads(line)
            except ValueError:
                continue  # cut off when that child was ended
            self._verdicts[verdict["id"]] = verdict
        refused = {name for name, one in self._verdicts.items() if not one.get("opened")}
        for name in [n for n, one in self._verdicts.items() if one.get("archive") in refused]:
            del self._verdicts[name]
        for name, verdict in self._verdicts.items():
            if not verdict["accepted"] or "same_as" in verdict:
                continue
            clean = pydicom.dcmread(self._out / f"{name}.dcm", stop_before_pixels=True)
            study = str(clean.StudyInstanceUID)
            self._seen[study, verdict["sha256"]] = name
            self._rebuilt_bytes += verdict["size"]
            self._frames.extend(frames_of(clean, name))
            self._facts.setdefault(study, _facts(clean))


def _refusal(file_id: str, reason: str | None) -> dict[str, Any]:
    return {"id": file_id, "accepted": False, "reason": reason}


def _let_work(seconds: float | None) -> None:
    """Processor time from now on, in s, after which this process is ended; None: to the last."""
    _, last = resource.getrlimit(resource.RLIMIT_CPU)
    until = resource.RLIM_INFINITY
    if seconds is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        until = math.ceil(used.ru_utime + used.ru_stime + seconds)
    if last != resource.RLIM_INFINITY:
        until = last if until == resource.RLIM_INFINITY else min(until, last)
    resource.setrlimit(resource.RLIMIT_CPU, (until, last))


def _facts(clean: pydicom.Dataset) -> dict[str, Any]:
    """What the study's record keeps, from the rebuilt file only."""
    day = str(clean.get("StudyDate") or "")
    time = str(clean.get("StudyTime") or clean.get("AcquisitionTime") or "")
    age = str(clean.get("PatientAge") or "")
    field = clean.get("MagneticFieldStrength")
    tesla = float(field) if field else None
    return {
        "patient_pseudonym": str(clean.PatientID),
        "study_date": f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 else None,
        "time": f"{time[:2]}:{time[2:4]}" if time[:4].isdigit() and len(time) >= 4 else None,
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
        studies.append({"study_uid": study_uid, **facts[study_uid], **series_of(members)})
    return studies


def _refuse(members: list[Frame], verdicts: list[dict[str, Any]]) -> None:
    refused = {frame.file_id for frame in members}
    for verdict in verdicts:
        if verdict["id"] in refused:
            verdict.update(accepted=False, reason=TWO_PATIENTS)


if __name__ == "__main__":
    main()
