"""Cohorts of a thousand to a hundred thousand studies: counts, an export of all, memory, growth.

Rows are generated in the database by SQL; 16 segments for each study. The server is gunicorn, asked
over HTTP by a key.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from scripts.bench.table import Figure
from scripts.drill.database import scene
from scripts.drill.served import served

SIZES = (1_000, 10_000, 100_000)
MARK = 10_000
QUERIES: tuple[dict[str, Any], ...] = (
    {}, {"sex": "F"}, {"age_min": 60, "age_max": 80}, {"stress_mbf_max": 2, "light": "green"},
    {"field": ["1.5", "3"], "vendor": "SIEMENS"}, {"reserve_min": 2, "repeats": "first"},
    {"repeats": "repeated"}, {"engine": "mcaq 0.1.0", "rest_mbf_min": 0.5},
)  # fmt: skip
_STUDIES = """
INSERT INTO studies_study (public_id, reference, trust_id, study_uid, patient_pseudonym,
  patient_sex, patient_age, study_date, manufacturer, scanner_model, scanner_pseudonym, field_t,
  research_permission, research_consent, agent, stressor, protocol_wanted, hold_reason, created_at)
SELECT lpad(n::text, 26, '0'), lpad(n::text, 7, '0'), %(trust)s, '2.25.' || n, 'P' || n * 9 / 10,
  (ARRAY['F', 'M'])[1 + n %% 2], 25 + (n * 7) %% 65, date '2020-01-01' + n %% 1000,
  (ARRAY['SIEMENS', 'PHILIPS', 'GE'])[1 + n %% 3], '', '', (ARRAY[1.5, 3.0])[1 + n %% 2], true, '',
  '', '', '', '', now()
FROM generate_series(%(first)s, %(last)s) AS n
"""
_RESULTS = """
INSERT INTO studies_result (public_id, study_id, number, engine, engine_version, parameters, report,
  created_at, is_newest, stress_mbf, rest_mbf, reserve, endo_epi, light, reserves)
SELECT lpad(id::text, 26, '0'), id, 1, 'mcaq', '0.1.0', '{}', '{}', now(), true,
  1 + (id * 13) %% 300 / 100.0, 0.4 + (id * 11) %% 100 / 100.0, 1 + (id * 17) %% 350 / 100.0,
  0.6 + (id * 3) %% 70 / 100.0, (ARRAY['green', 'amber', 'red'])[1 + id %% 3],
  '{"1": 2.0, "2": 2.1}'
FROM studies_study WHERE trust_id = %(trust)s AND NOT EXISTS (
  SELECT 1 FROM studies_result r WHERE r.study_id = studies_study.id)
"""
_SEGMENTS = """
INSERT INTO studies_segmentflow (result_id, folder, state, level, segment, mbf, low, high)
SELECT r.id, 'stress', 'stress', 'mid', s, 1 + (r.id * s) %% 300 / 100.0, 0.9, 3.3
FROM studies_result r CROSS JOIN generate_series(1, 16) AS s
WHERE NOT EXISTS (SELECT 1 FROM studies_segmentflow f WHERE f.result_id = r.id)
"""


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    with scene():
        from django.db import connection

        from accounts import tokens
        from tests.people import make_project, make_trust, make_user

        trust = make_trust(research_allowed=True)
        user = make_user(trust, "researcher")
        project = make_project(user, trust)
        key = tokens.create(user, name="drill", scopes=["research"], days=1)[1]
        name = str(connection.settings_dict["NAME"])
        options = ("--threads", "4", "--timeout", "600")
        with served(name, *options) as (port, (pid,)):
            address = f"http://127.0.0.1:{port}"
            ask = _asker(address, key)
            seconds: dict[int, tuple[float, float]] = {}
            done = 0
            for size in SIZES:
                said(f"{size} studies: making rows")
                with connection.cursor() as cursor:
                    bounds = {"trust": trust.pk, "first": done + 1, "last": size}
                    cursor.execute(_STUDIES, bounds)
                    cursor.execute(_RESULTS, bounds)
                    cursor.execute(_SEGMENTS, bounds)
                    cursor.execute("ANALYZE")
                done = size
                said(f"{size} studies: asking")
                times = sorted(_timed(ask, query) for _ in range(5) for query in QUERIES)
                before = _memory(pid)
                first, whole, lines = _export(address, key, project.public_id)
                grown = (_memory(pid) - before) / 2**20
                p95 = times[int(0.95 * len(times))]
                seconds[size] = (median(times), whole)
                at_mark = size == MARK
                where = f"{size} studies"
                yield Figure("filter counts, p95, ms", where, 1000 * p95,
                             reach=300 if at_mark else None)  # fmt: skip
                yield Figure("export begins after, s", where, first, reach=1 if at_mark else None)
                yield Figure("export ends after, s", where, whole, reach=60 if at_mark else None)
                yield Figure("server memory for it, MB", where, grown, reach=100)
                yield Figure("rows that are missing", where, abs(lines - 16 * size - 1), reach=0)
    small, large = seconds[SIZES[0]], seconds[SIZES[-1]]
    times_more = SIZES[-1] / SIZES[0]
    for number, what in enumerate(("counts", "export")):
        yield Figure(
            f"growth of {what} over growth of studies", f"{SIZES[0]} to {SIZES[-1]}",
            large[number] / small[number] / times_more, reach=1.25,
            note="1 is linear",
        )  # fmt: skip


def _asker(address: str, key: str) -> Callable[[dict[str, Any]], bytes]:
    def ask(query: dict[str, Any]) -> bytes:
        url = f"{address}/api/v1/cohort/?{urlencode(query, doseq=True)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            body: bytes = answer.read()
        return body

    return ask


def _timed(ask: Callable[[dict[str, Any]], bytes], query: dict[str, Any]) -> float:
    begun = time.perf_counter()
    ask(query)
    return time.perf_counter() - begun


def _export(address: str, key: str, project: str) -> tuple[float, float, int]:
    """Seconds to the first byte and to the last, and how many lines."""
    query = urlencode({"project": project, "level": "segment", "purpose": "drill"})
    request = urllib.request.Request(  # noqa: S310
        f"{address}/api/v1/cohort/table.csv?{query}", headers={"Authorization": f"Bearer {key}"}
    )
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=900) as answer:  # noqa: S310
        lines = answer.read(1).count(b"\n")
        first = time.perf_counter() - begun
        while part := answer.read(2**20):
            lines += part.count(b"\n")
    return first, time.perf_counter() - begun, lines


def _memory(pid: int) -> int:
    """The most memory that the process has had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the process tells no memory")
