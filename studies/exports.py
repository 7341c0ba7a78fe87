"""What leaves for research: tables, their dictionary, and a cohort's maps or images, by project.

Everything is streamed: studies come from a server-side cursor, twenty at a time, and are
asked for anew with each batch, so that a withdrawal reaches an export that is on its way.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from accounts import audit
from accounts.models import User
from corecmr import spreadsheet
from studies import archive, cohorts
from studies.cohorts import CohortFilter
from studies.dicom.write.rename import renamed
from studies.intended_use import INTENDED_USE
from studies.models import Project, Result, SegmentFlow, StoredFile, Study

#: So many studies of an export are asked for at once.
_BATCH = 20
_MBF = "ml/min/g"


class ExportError(Exception):
    """Why nothing is exported; the text is for the person who asked."""


@dataclass(frozen=True)
class Column:
    """A column: its name with the unit in it, the type of Table Schema, what it says."""

    name: str
    type: str
    description: str


_STUDY = (
    Column("study", "string", "Pseudonym of the study; of this project alone"),
    Column("patient", "string", "Pseudonym of the patient; of this project alone"),
    Column("trust", "string", "The trust that owns the study"),
    Column("sex", "string", "F, M or O as the images say"),
    Column("age_years", "integer", "Age at the examination in years; 90 is 90 and more"),
    Column("field_t", "number", "Field strength in tesla"),
    Column("manufacturer", "string", "The scanner's maker"),
    Column("light", "string", "Quality of the result: green, amber or red"),
)
_ENGINE = (
    Column("engine", "string", "The engine that made the result"),
    Column("engine_version", "string", "Its version"),
)
_FLOW = (
    Column("mbf_ml_per_min_per_g", "number", "Myocardial blood flow in ml/min/g"),
    Column("mbf_low_ml_per_min_per_g", "number", "Lower end of its 90 % interval in ml/min/g"),
    Column("mbf_high_ml_per_min_per_g", "number", "Upper end of its 90 % interval in ml/min/g"),
)
_RESERVE = Column("mpr", "number", "Reserve: flow at stress ÷ flow at rest, no unit")
_STATE = Column("state", "string", "stress, rest or unknown")
_SERIES = Column("series", "string", "Folder of the series within the study")
_LEVEL = Column("level", "string", "Slice level: basal, mid, apical")
COLUMNS: dict[str, tuple[Column, ...]] = {
    "segment": (
        *_STUDY, _SERIES, _STATE, _LEVEL,
        Column("aha_segment", "integer", "AHA segment, 1 to 16"), *_FLOW, _RESERVE, *_ENGINE,
    ),
    "slice": (
        *_STUDY, _SERIES, _STATE, _LEVEL,
        Column("segments", "integer", "How many segments have a value"),
        Column("mbf_ml_per_min_per_g", "number", "Mean of the slice's segments in ml/min/g"),
        *_ENGINE,
    ),
    "study": (
        *_STUDY,
        Column("stress_mbf_ml_per_min_per_g", "number", "Whole heart at stress in ml/min/g"),
        Column("rest_mbf_ml_per_min_per_g", "number", "Whole heart at rest in ml/min/g"),
        Column("mpr", "number", "Reserve of the whole heart, no unit"),
        Column("endo_epi_ratio", "number", "Inner ÷ outer layer at stress, no unit"),
        *_ENGINE,
    ),
}  # fmt: skip
LEVELS = tuple(COLUMNS)
#: What may come with the table.
EXTRAS = ("table", "maps", "dicom")


@dataclass(frozen=True)
class Export:
    """One export: of which project and filters, one row for each of what, and for what purpose."""

    project: Project
    by: User
    level: str
    purpose: str
    definition: Mapping[str, list[str]]

    def found(self) -> QuerySet[Result]:
        """The results that count, asked anew at each call."""
        base = cohorts.results(self.by, self.project)
        found: CohortFilter = cohorts.chosen(dict(self.definition), base)
        return found.qs


def begin(export: Export, *, contents: str) -> int:
    """Record the export before its first byte; says of how many studies.

    Raises ExportError where it would be of fewer than five, or the project is over.
    """
    if not export.project.is_open:
        raise ExportError(_("The project is over, so its data cannot be exported any more."))
    count = export.found().count()
    if count < cohorts.LEAST:
        raise ExportError(
            _(
                "Fewer than %(least)s studies match, so nothing is exported. Take filters away, or "
                "ask more trusts to join."
            )
            % {"least": cohorts.LEAST}
        )
    audit.record(
        export.by, "research.export", export.project, purpose=export.purpose, studies=count,
        level=export.level, contents=contents,
    )  # fmt: skip
    return count


# --- pseudonyms ---------------------------------------------------------------------------------


def _key(project: Project) -> bytes:
    """A key of the project's own, from the site's."""
    site = settings.DEIDENTIFICATION_KEY.encode()
    return hmac.digest(site, f"research project:{project.public_id}".encode(), "sha256")


def study_pseudonym(project: Project, study: Study) -> str:
    return _pseudonym(project, "study", study.public_id)


def patient_pseudonym(project: Project, study: Study) -> str:
    """Of a patient whom the images do not tell apart the study stands alone."""
    own = f"{study.trust_id}:{study.patient_pseudonym}" if study.patient_pseudonym else None
    return _pseudonym(project, "patient", own or study.public_id)


def _pseudonym(project: Project, kind: str, value: str) -> str:
    return hmac.digest(_key(project), f"{kind}:{value}".encode(), "sha256").hex()[:16]


# --- tables -------------------------------------------------------------------------------------


def csv_lines(export: Export) -> Iterator[str]:
    """The table as CSV text, header first. No cell can be taken for a spreadsheet's formula."""
    return spreadsheet.csv_lines(_rows(export))


def _rows(export: Export) -> Iterator[list[object]]:
    yield [column.name for column in COLUMNS[export.level]]
    make = _MAKERS[export.level]
    for batch in _batches(export):
        yield from make(export.project, batch)


def _batches(export: Export) -> Iterator[list[Result]]:
    """The results, of those that may still be used, without their long reports."""
    wanted = export.found().order_by("pk").values_list("pk", flat=True)
    waiting: list[int] = []
    for pk in wanted.iterator(chunk_size=_BATCH):
        waiting.append(pk)
        if len(waiting) == _BATCH:
            yield _still(export, waiting)
            waiting = []
    if waiting:
        yield _still(export, waiting)


def _still(export: Export, pks: list[int]) -> list[Result]:
    allowed = cohorts.results(export.by, export.project).filter(pk__in=pks)
    return list(allowed.select_related("study__trust").defer("report", "parameters").order_by("pk"))


def _about(project: Project, result: Result) -> list[object]:
    study = result.study
    return [
        study_pseudonym(project, study), patient_pseudonym(project, study), study.trust.name,
        study.patient_sex,
        # Ages above 89 would single people out.
        min(study.patient_age, 90) if study.patient_age is not None else None,
        study.field_t, study.manufacturer, result.light,
    ]  # fmt: skip


def _flows(batch: list[Result]) -> dict[int, list[SegmentFlow]]:
    flows: dict[int, list[SegmentFlow]] = {result.pk: [] for result in batch}
    for flow in SegmentFlow.objects.filter(result__in=batch).order_by("folder", "segment"):
        flows[flow.result_id].append(flow)
    return flows


def _segment_rows(project: Project, batch: list[Result]) -> Iterator[list[object]]:
    flows = _flows(batch)
    for result in batch:
        about, engine = _about(project, result), [result.engine, result.engine_version]
        for flow in flows[result.pk]:
            yield [
                *about, flow.folder, flow.state, flow.level, flow.segment, flow.mbf, flow.low,
                flow.high, result.reserves.get(str(flow.segment)), *engine,
            ]  # fmt: skip


def _slice_rows(project: Project, batch: list[Result]) -> Iterator[list[object]]:
    flows = _flows(batch)
    for result in batch:
        about, engine = _about(project, result), [result.engine, result.engine_version]
        series: dict[str, list[SegmentFlow]] = {}
        for flow in flows[result.pk]:
            series.setdefault(flow.folder, []).append(flow)
        for folder, own in series.items():
            known = [flow.mbf for flow in own if flow.mbf is not None]
            mean = sum(known) / len(known) if known else None
            yield [*about, folder, own[0].state, own[0].level, len(known), mean, *engine]


def _study_rows(project: Project, batch: list[Result]) -> Iterator[list[object]]:
    for result in batch:
        yield [
            *_about(project, result), result.stress_mbf, result.rest_mbf, result.reserve,
            result.endo_epi, result.engine, result.engine_version,
        ]  # fmt: skip


_MAKERS: dict[str, Callable[[Project, list[Result]], Iterator[list[object]]]] = {
    "segment": _segment_rows,
    "slice": _slice_rows,
    "study": _study_rows,
}


# --- packages -----------------------------------------------------------------------------------


def package(export: Export, *, extras: str) -> Iterator[bytes]:
    """A ZIP: the table, a Data Package that describes it, how to cite it, and checksums.

    extras: "maps" adds flow and segments of each pixel as arrays, "dicom" the images and results as
    DICOM objects under the project's own pseudonyms.
    """
    root = f"corecmr-{timezone.localdate().isoformat()}"
    whole = ZipStream(compress_type=ZIP_DEFLATED)
    sums: dict[str, tuple[str, int]] = {}
    table = f"{export.level}s.csv" if export.level != "study" else "studies.csv"

    def add(name: str, parts: Iterator[bytes] | bytes, compress: int = ZIP_DEFLATED) -> None:
        parts = iter([parts]) if isinstance(parts, bytes) else parts
        whole.add(_summed(parts, name, sums), f"{root}/{name}", compress_type=compress)

    add("definition.json", _json({"filters": dict(export.definition)}))
    add(table, (line.encode() for line in csv_lines(export)))
    yield from whole.all_files()
    if extras in ("maps", "dicom"):
        for name, parts in _files(export, extras):
            add(name, parts, ZIP_STORED)
            yield from whole.all_files()
    add("README.txt", _readme(export).encode())
    yield from whole.all_files()
    add("datapackage.json", _json(_data_package(export, table, sums[table])))
    yield from whole.all_files()
    lines = [f"{digest}  {name}\n" for name, (digest, _size) in sorted(sums.items())]
    whole.add("".join(lines).encode(), f"{root}/SHA256SUMS")
    yield from whole.finalize()


def _summed(parts: Iterator[bytes], name: str, sums: dict[str, tuple[str, int]]) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
        yield part
    sums[name] = (digest.hexdigest(), size)


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _files(export: Export, extras: str) -> Iterator[tuple[str, Iterator[bytes] | bytes]]:
    """The files of the cohort's studies, by a name that tells the pseudonym alone."""
    for batch in _batches(export):
        for result in batch:
            name = study_pseudonym(export.project, result.study)
            if extras == "maps":
                chosen = result.files.filter(name__in=("mbf.npy", "aha.npy"))
                for stored in chosen:
                    yield f"maps/{name}/{stored.folder}/{stored.name}", archive.chunks(stored)
            else:
                yield from _images(export, result, name)


def _images(export: Export, result: Result, name: str) -> Iterator[tuple[str, bytes]]:
    key, patient = _key(export.project), patient_pseudonym(export.project, result.study)
    sources = result.study.files.filter(kind=StoredFile.Kind.SOURCE)
    for number, stored in enumerate(sources, start=1):
        data = b"".join(archive.chunks(stored))
        yield f"dicom/{name}/source/{number:04}.dcm", renamed(data, key=key, patient=patient)
    for stored in result.files.filter(kind=StoredFile.Kind.OBJECTS):
        for path, data in archive.objects_of(stored):
            yield f"dicom/{name}/{path}", renamed(data, key=key, patient=patient)


def _engines(export: Export) -> list[str]:
    there = export.found().order_by().values_list("engine", "engine_version").distinct()
    return sorted(f"{name} {version}" for name, version in there)


def citation(export: Export) -> str:
    """How the data may be named in a paper."""
    day = timezone.localdate().isoformat()
    engines = ", ".join(_engines(export)) or "no engine"
    return (
        f"CoreCMR, project “{export.project.name}” ({export.project.ethics_number}), exported "
        f"{day}; engines: {engines}."
    )


def _readme(export: Export) -> str:
    project = export.project
    filters = [f"  {name}: {', '.join(v)}" for name, v in export.definition.items()]
    lines = [
        INTENDED_USE, "", f"Project: {project.name}", f"Ethics approval: {project.ethics_number}",
        f"Purpose of this export: {export.purpose}", "", "Cite as:", f"  {citation(export)}", "",
        "Filters:", *(filters or ["  none"]), "",
        "Pseudonyms are of this project alone. What is not known is empty, never zero.",
        "datapackage.json describes each column; SHA256SUMS is checked by sha256sum -c SHA256SUMS.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _data_package(export: Export, table: str, summed: tuple[str, int]) -> dict[str, Any]:
    """A descriptor after the Data Package and Table Schema standards (datapackage.org)."""
    fields = [
        {"name": column.name, "type": column.type, "description": column.description}
        for column in COLUMNS[export.level]
    ]
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "corecmr-export",
        "title": export.project.name,
        "description": INTENDED_USE,
        "created": timezone.now().isoformat(timespec="seconds"),
        "citation": citation(export),
        "engines": _engines(export),
        "definition": dict(export.definition),
        "resources": [
            {
                "name": table.removesuffix(".csv"),
                "type": "table",
                "path": table,
                "scheme": "file",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "bytes": summed[1],
                "hash": f"sha256:{summed[0]}",
                "schema": {"fields": fields, "missingValues": [""]},
            }
        ],
    }
