"""Planted identifiers on the whole way in and out: from the upload to pages, downloads and logs.

A small phantom study is planted with canaries in every attribute, in sequences, private elements,
file meta, preamble and behind the image, in names of files, of a folder and of a ZIP archive; all
its dates are canaries too. It is sent by the site's own upload, checked, analysed, looked at and
taken away by people of every kind. Then everything that the site keeps or gave is searched.
"""

from __future__ import annotations

import io
import logging
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import FileDataset

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts.bench.table import Figure
from scripts.drill import actions, canaries
from scripts.drill.canaries import DAY, STEM
from scripts.drill.database import scene
from studies.dicom.deidentify import deidentify

Said = Callable[[str], None]
#: Planted, these would tell another time of each frame than the scanner's clock.
_CLOCKS = frozenset({"FrameAcquisitionDateTime", "FrameReferenceDateTime", "AcquisitionDateTime"})
_BANNER = re.compile(rb'<section class="app-patient".*?</section>', re.DOTALL)
#: Set to true words with a canary beside them, so that the study is still understood.
_WORDS = ("SeriesDescription", "ProtocolName", "Manufacturer", "ContrastBolusAgent")


def measure(said: Said) -> list[Figure]:
    """Figures of the sweep and of Table E.1-1. All marks are 0."""
    figures = list(_table(said))
    with scene(), tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(Path(folder), said)
        sweep.run()
    figures.append(Figure("planted identifiers in the files sent", "upload", sweep.planted))
    # Without these the search would prove nothing.
    figures += [
        Figure("files with planted identifiers", "quarantine before", sweep.in_quarantine, 1,
               larger_is_better=True),
        Figure("banners that name the patient", "owning trust", sweep.banners, 2,
               larger_is_better=True),
    ]  # fmt: skip
    figures += [
        Figure("planted identifiers found", place, sum(found.values()), reach=0,
               note=", ".join(list(found)[:3]))
        for place, found in sweep.found.items()
    ]  # fmt: skip
    figures.append(
        Figure("pages and files asked for", "people", sweep.asked, note=f"{sweep.given} given")
    )
    return figures


def _table(said: Said) -> Iterator[Figure]:
    """Each row of Table E.1-1, in one file, at the top."""
    said("Table E.1-1")
    rows = canaries.table()
    with tempfile.TemporaryDirectory() as folder:
        path = _phantom(Path(folder))[0]
        source = pydicom.dcmread(path)
        count = actions.fill(source, rows, keep_needed=True)
        clean = deidentify(source, key=b"k" * 32)
        stayed, wrong = actions.judge(rows, source, clean)
        buffer = io.BytesIO()
        clean.save_as(buffer, enforce_file_format=True)
    yield Figure("attributes of Table E.1-1 planted", f"{len(rows)} rows", count)
    yield Figure("of these still in the rebuilt file", "changed or allowed", len(stayed))
    yield Figure(
        "rows whose action code was not followed", "Table E.1-1", len(wrong), reach=0,
        note=", ".join(wrong[:3]),
    )  # fmt: skip
    yield Figure(
        "planted identifiers found", "one file", len(canaries.hits(buffer.getvalue())), reach=0
    )


def _phantom(folder: Path) -> list[Path]:
    study = make_study(3, states=("stress",), levels=("mid",), frames=24, rows=96, cols=80)
    return write_study(study, folder)


@dataclass
class Sweep:
    """One study's way through the site. ``found``: by place, what was found there."""

    folder: Path
    said: Said = lambda what: None
    found: dict[str, Counter[str]] = field(default_factory=dict)
    #: Only every so manieth file carries a canary in every attribute, not only in those it has.
    every: int = 1
    planted: int = 0
    asked: int = 0
    given: int = 0
    #: What must be found where it belongs, or the search would prove nothing.
    in_quarantine: int = 0
    banners: int = 0

    def run(self) -> None:
        """Needs a database that is empty and may be written to."""
        with _records() as log:
            self._go()
        self._search("log records", log.getvalue().encode())

    def _go(self) -> None:
        from django.core import mail
        from django.test import override_settings

        from processing import tasks
        from processing.models import Run
        from studies import sharing, uploads
        from studies.tasks import ingest_upload

        people = _People()
        temporary = self.folder / "temporary"
        temporary.mkdir()
        with override_settings(FILE_UPLOAD_TEMP_DIR=str(temporary)):
            upload = self._send(people.sender)
        self._search_rows("queue rows, waiting", only="django_q")
        self.in_quarantine = self._files_with_canaries("quarantine")
        self.said("check")
        ingest_upload(upload.pk)
        upload.refresh_from_db()
        if upload.state != uploads.Upload.State.DONE:
            raise RuntimeError(f"the planted study was not taken in: {upload.reason}")
        (study,) = upload.studies.all()
        self.said("analysis")
        tasks.submit_study(study.pk)
        run = Run.objects.get(study=study)
        tasks.execute_run(run.pk)
        run.refresh_from_db()
        if run.state != "succeeded":
            raise RuntimeError(f"the planted study was not analysed: {run.reason}")
        sharing.share(study, by=people.sender, to_user=people.grantee, reason="opinion")
        sharing.set_research_permission(study, by=people.sender, allowed=True)
        self.project = people.project.public_id
        self.said("pages")
        for who, user in people.everybody():
            self._look(who, user, upload, study)
        mail.send_mail("Study", f"Study {study}, {upload.reason}", None, ["x@hospital.example"])
        self._search("e-mail", b"\n".join(message.message().as_bytes() for message in mail.outbox))
        self.said("search")
        self._search_rows("database")
        self._search_files()
        self._search_folder("temporary files", temporary)

    # --- the way in -----------------------------------------------------------------------------

    def _send(self, sender: Any) -> Any:
        from django.core.files.uploadedfile import SimpleUploadedFile
        from django.test import Client

        from studies.models import Upload

        files = list(self._planted_files())
        self.planted = sum(len(canaries.hits(data)) for _, data in files)
        half = len(files) // 2
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.comment = STEM.encode()
            for name, data in files[:half]:
                packed.writestr(f"{STEM}_FOLDER/{name}", data)
        sent = [(f"{STEM}.zip", archive.getvalue()), *files[half:]]
        client = Client()
        client.force_login(sender)
        answer = client.post(
            "/uploads/", {"files": [SimpleUploadedFile(name, data) for name, data in sent]}
        )
        self._search("addresses", str(answer.get("Location", "")).encode())
        return Upload.objects.get()

    def _planted_files(self) -> Iterator[tuple[str, bytes]]:
        """The study's files, and files that are refused or left out, as (name, content)."""
        self.said("planting")
        for number, path in enumerate(_phantom(self.folder / "phantom")):
            ds = pydicom.dcmread(path)
            _plant_file(ds, wholly=number % self.every == 0)
            yield f"{STEM}_IM_{number}", _bytes_of(ds)
        ds.BurnedInAnnotation = "YES"
        yield f"{STEM}_WRITING", _bytes_of(ds)
        del ds.BurnedInAnnotation
        ds.Rows = 0
        yield f"{STEM}_DAMAGED", _bytes_of(ds)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        yield f"{STEM}_CAPTURE", _bytes_of(ds)
        yield f"{STEM}_letter.txt", f"Dear colleague, about {STEM} born {DAY}".encode()
        yield f"{STEM}_cut", _bytes_of(ds)[:900]

    # --- what people see and take -----------------------------------------------------------------

    def _look(self, who: str, user: Any, upload: Any, study: Any) -> None:
        from django.test import Client

        client = Client(raise_request_exception=False)
        if user is not None:
            client.force_login(user)
        own = f"/uploads/{upload.public_id}/"
        page = f"/studies/{study.public_id}/"
        addresses = [
            "/", own, f"{own}status/", f"{own}status.json", page, f"{page}run/",
            f"{page}run/options/", f"{page}status.json", f"{page}everything.zip", f"{page}share/",
            "/progress/", "/protocols/", "/research/", "/de-identification/",
            "/de-identification/rules.json", "/nowhere/", "/admin/",
            *(f"/files/{one.public_id}/" for one in study.files.all()),
        ]  # fmt: skip
        names = [item.name for item in upload.items.exclude(name="")]
        for address in addresses:
            self._answer(who, address, client.get(address), names)
        export = {"purpose": "Study of 40 letters", "level": "segment", "project": self.project}
        for address, data in (
            *(("/research/export/", {**export, "contents": one})
              for one in ("csv", "table", "maps", "dicom")),
            ("/find/", {"number": "7"}),
        ):  # fmt: skip
            self._answer(who, address, client.post(address, data), names)

    def _answer(self, who: str, address: str, response: Any, names: list[str]) -> None:
        """Search an answer but for what its reader is meant to see.

        That is the banner of the owning trust, and of refused files the names that their sender
        gave them.
        """
        self.asked += 1
        self.given += response.status_code == 200
        content = b"".join(response) if response.streaming else response.content
        if response.headers.get("Content-Type") == "application/zip":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    self._search("downloads", name.encode() + archive.read(name))
        if who == "owner":
            self.banners += sum(bool(canaries.hits(found)) for found in _BANNER.findall(content))
            content = _BANNER.sub(b"", content)
        if who == "owner" and address.startswith("/uploads/"):
            for name in names:
                content = content.replace(name.encode(), b"")
        is_download = "/files/" in address or "export" in address
        place = "downloads" if is_download else f"pages, {who}"
        self._search(place, content)
        self._search("headers and addresses", f"{address} {response.headers}".encode())

    # --- what is kept -----------------------------------------------------------------------------

    def _search(self, place: str, data: bytes) -> None:
        self.found.setdefault(place, Counter()).update(canaries.hits(data))

    def _search_rows(self, place: str, only: str = "") -> None:
        """Every row of every table as text; bytes stand there in hex, messages in base64."""
        from django.db import connection
        from django_q.models import OrmQ  # noqa: TID251  (what is waiting is read, nothing sent)

        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                if table.startswith(only):
                    quoted = connection.ops.quote_name(table)
                    cursor.execute(f"SELECT one::text FROM {quoted} one")  # noqa: S608
                    text = "\n".join(row[0] for row in cursor.fetchall())
                    self._search(place, text.encode())
        for waiting in OrmQ.objects.all():
            self._search(place, repr(waiting.task).encode())

    def _search_files(self) -> None:
        from django.conf import settings

        for name in ("media", "quarantine", "scratch"):
            self._search_folder(name, settings.VAR_DIR / name)

    def _files_with_canaries(self, name: str) -> int:
        from django.conf import settings

        files = (path for path in (settings.VAR_DIR / name).rglob("*") if path.is_file())
        return sum(bool(canaries.hits(path.read_bytes())) for path in files)

    def _search_folder(self, place: str, folder: Path) -> None:
        self._search(place, b"")
        for path in folder.rglob("*"):
            self._search(place, path.relative_to(folder).as_posix().encode())
            if path.is_file():
                self._search(place, path.read_bytes())


def _plant_file(ds: FileDataset, *, wholly: bool) -> None:
    """Canaries everywhere but where the study is understood by; all dates are canaries.

    wholly: in every attribute of the dictionary and of Table E.1-1, not only in those it has.
    """
    words = {name: f"{ds.get(name) or ''} {STEM}".strip() for name in _WORDS}
    for element in list(ds):
        vr = dictionary_VR(element.tag) if not element.tag.is_private else ""
        if vr == "DA":
            element.value = DAY
        elif vr == "DT":
            element.value = f"{DAY}{str(element.value)[8:]}"
        elif vr == "UI" and element.keyword in {
            "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
        }:  # fmt: skip
            element.value = f"1.2.3.{DAY}.{str(element.value)[-24:].lstrip('.0')}"
        elif vr in {"PN", "LO", "SH", "LT", "ST", "AE", "UT"}:
            element.value = f"{STEM}{element.tag.element:04X}"
    for name, word in words.items():
        setattr(ds, name, word)
    clocks = {keyword for keyword in _CLOCKS if keyword not in ds}
    before = set(ds.keys())
    if wholly:
        canaries.plant(ds, replace=False)
    for tag in set(ds.keys()) - before:
        if keyword_for_tag(tag) in clocks:
            del ds[tag]
    canaries.plant_around(ds)
    ds.preamble = (STEM * 16).encode()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.SourceApplicationEntityTitle = STEM
    ds.file_meta.PrivateInformationCreatorUID = f"1.2.3.{DAY}"
    ds.file_meta.PrivateInformation = STEM.encode()


def _bytes_of(ds: FileDataset) -> bytes:
    buffer = io.BytesIO()
    with _silence():
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue() + STEM.encode()


@contextmanager
def _silence() -> Iterator[None]:
    """Canaries are no valid values, and pydicom says so thousands of times."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _records() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, from every level, with tracebacks."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    watched = [logging.getLogger(name) for name in ("", "django", "django-q")]
    before = [logger.handlers for logger in watched]
    for logger in watched:
        logger.handlers = [handler]
    try:
        yield text
    finally:
        for logger, handlers in zip(watched, before, strict=True):
            logger.handlers = handlers


class _People:
    """One person of each kind who may ask for the study."""

    def __init__(self) -> None:
        from accounts.roles import Role
        from tests.people import (
            make_administrator,
            make_project,
            make_released,
            make_trust,
            make_user,
        )  # fmt: skip

        trust = make_trust(research_allowed=True)
        self.sender, self.owner = make_user(trust), make_user(trust)
        self.grantee, self.stranger = make_user(make_trust()), make_user(make_trust())
        self.researcher = make_user(trust, Role.RESEARCHER)
        # Fewer than five studies are not exported.
        giving = make_trust(research_allowed=True)
        make_released(giving, 5)
        self.project = make_project(self.researcher, trust, giving)
        self.administrator = make_administrator()

    def everybody(self) -> list[tuple[str, Any]]:
        # The sender works in the owning trust, and sees what an owner sees.
        return [
            ("owner", self.sender), ("owner", self.owner), ("grantee", self.grantee),
            ("stranger", self.stranger), ("researcher", self.researcher),
            ("administrator", self.administrator), ("visitor", None),
        ]  # fmt: skip
