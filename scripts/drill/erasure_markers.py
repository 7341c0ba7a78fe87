"""Erasure: markers planted wherever a study leaves something, then looked for everywhere."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench.table import Figure

STUDIES = 20


def measure(said: Callable[[str], None]) -> list[Figure]:
    from scripts.drill.database import scene

    with scene():
        planted = [plant() for _ in range(STUDIES + 1)]
        kept, ended = planted[0], planted[1:]
        before = sum(bool(find(one.markers)) for one in planted)
        slowest = 0.0
        for number, one in enumerate(ended):
            said(f"erasing {number}")
            begun = time.perf_counter()
            one.erase()
            slowest = max(slowest, time.perf_counter() - begun)
        said("looking")
        left = find([marker for one in ended for marker in one.markers])
        still = len({marker for marker, _ in find(kept.markers)})
    return [
        Figure("studies whose markers are found before", f"of {STUDIES + 1}", before,
               reach=STUDIES + 1, larger_is_better=True),
        Figure("markers found after erasure", "database, files, cache", len(left), reach=0,
               note=", ".join(sorted({place for _, place in left}))),
        Figure("markers of the study that stays, %", f"of {len(kept.markers)}",
               100 * still / len(kept.markers), reach=100, larger_is_better=True),
        Figure("slowest erasure, s", f"{STUDIES} studies", slowest, reach=60),
    ]  # fmt: skip


@dataclass
class Planted:
    """A study full of markers, and the two people who end it."""

    study: Any
    people: tuple[Any, Any]
    markers: list[str] = field(default_factory=list)

    def mark(self, prefix: str = "") -> str:
        marker = f"{prefix}mark{secrets.token_hex(8)}"
        self.markers.append(marker)
        return marker

    def erase(self) -> Any:
        from studies import erasure

        first, second = self.people
        asked = erasure.request(self.study, by=first, reason="patient")
        erasure.confirm(asked, by=second)
        erasure.finish(asked.pk)
        asked.refresh_from_db()
        return asked


def plant() -> Planted:
    """A study that was uploaded, shared, analysed and downloaded, with a marker in every text."""
    from django.core.files.base import ContentFile
    from django.test import Client

    from processing import runs
    from processing.models import RunEvent
    from studies import reporting, sharing, uploads
    from studies.models import Result, Series, StoredFile, UploadItem
    from tests.people import make_result, make_study, make_trust, make_user, store_source

    trust = make_trust()
    people = (make_user(trust), make_user(trust))
    made = Planted(make_study(trust), people)
    study = made.study
    study.study_uid, study.patient_pseudonym = made.mark("2.25."), made.mark()
    study.manufacturer, study.scanner_model = made.mark(), made.mark()
    study.save()
    Series.objects.create(
        study=study, uid=made.mark(), description=made.mark(), frames=1, rows=1, cols=1,
        time_source=made.mark(), reasons=[made.mark()],
    )  # fmt: skip
    result = make_result(study)
    Result.objects.filter(pk=result.pk).update(
        report={**result.report, "marker": made.mark()}, parameters={"marker": made.mark()}
    )
    store_source(study, [(f"{made.mark()}.dcm", made.mark().encode())])
    picture = made.mark().encode()
    derived = StoredFile(
        study=study, result=result, kind=StoredFile.Kind.MAP, folder=made.mark(),
        name=f"{made.mark()}.png", content_type="image/png", size=len(picture),
        sha256=hashlib.sha256(picture).hexdigest(),
    )  # fmt: skip
    derived.file.save("mbf.png", ContentFile(picture))
    reporting.save(study, by=people[0], text=made.mark(), seen=None)
    guest = make_user(make_trust())
    sharing.share(study, by=people[0], to_user=guest, reason=made.mark())
    run = runs.submit(study, engine="mcaq", parameters={"marker": made.mark()}, by=people[0])
    type(run).objects.filter(pk=run.pk).update(reason=made.mark())
    RunEvent.objects.create(run=run, after="queued", detail=made.mark())
    upload = uploads.start(people[0])
    # The name of a file lies sealed: it could not be found even while it is there.
    uploads.add_files(upload, [("IM_0001.dcm", ContentFile(made.mark().encode()))])
    UploadItem.objects.filter(upload=upload).update(
        reason=made.mark(), state=UploadItem.State.REJECTED
    )
    upload.reason = made.mark()
    upload.save(update_fields=["reason"])
    upload.studies.add(study)
    for person in (*people, guest):
        client = Client()
        client.force_login(person)
        client.get(f"/studies/{study.public_id}/")
        client.post("/look-up/", {"reference": study.reference})
        b"".join(client.get(f"/studies/{study.public_id}/everything.zip"))  # type: ignore[arg-type]
    return made


def find(markers: list[str]) -> list[tuple[str, str]]:
    """Where markers still are, as (marker, place): every row of every table, every file."""
    wanted = [(marker, form) for marker in markers for form in _forms(marker)]
    return [
        (marker, place)
        for place, content in _everything()
        for marker, form in wanted
        if form in content
    ]


def _forms(marker: str) -> list[bytes]:
    """As it is, in hex as the database shows bytes, and in base64 wherever it begins."""
    raw = marker.encode()
    shifted = [base64.b64encode(bytes(lead) + raw)[4 if lead else 0 : -4] for lead in range(3)]
    return [raw, raw.hex().encode(), *shifted]


def _everything() -> Iterator[tuple[str, bytes]]:
    from django.conf import settings
    from django.db import connection
    from django_q.models import OrmQ  # noqa: TID251 - a queue's rows are packed: unpack them

    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            name = connection.ops.quote_name(table)
            cursor.execute(f"SELECT entry::text FROM {name} AS entry")  # noqa: S608
            yield f"table {table}", "\n".join(row for (row,) in cursor.fetchall()).encode()
    yield "queue", repr([message.task for message in OrmQ.objects.all()]).encode()
    for path in Path(settings.VAR_DIR).rglob("*"):
        if path.is_file():
            yield (
                f"file below {path.relative_to(settings.VAR_DIR).parts[0]}",
                (str(path).encode() + b"\n" + path.read_bytes()),
            )
