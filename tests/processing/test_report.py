"""The report and the files of a series: their contract, key by key, and no NaN in JSON."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from processing import report
from processing.mcaq.series import (
    Flag,
    LayerRatio,
    ModelFlow,
    MotionEvidence,
    SegmentFlow,
    Series,
    SeriesRefusal,
    SeriesResult,
    StudyResult,
)
from studies.dicom.frames import frames_of
from studies.dicom.sort import sort_frames
from tests.dicom.make import film

T, ROWS, COLS = 12, 20, 24


def _made():
    files = {str(n): ds for n, ds in enumerate(film(T, FlipAngle=lambda n: 5 if n < 2 else 12))}
    study = sort_frames(f for name, ds in files.items() for f in frames_of(ds, name))
    sorted_film = study.series[0]
    series = Series(
        uid="stress_mid",
        signal=np.ones((T, 36, 34), np.float32),
        times_s=np.array(sorted_film.times_s),
        roles=("pd",) * 2 + ("dynamic",) * (T - 2),
        state="stress",
        level="mid",
        pixel_spacing_mm=(2.0, 2.0),
    )
    mbf = np.full((ROWS, COLS), np.nan)
    mbf[5:9, 5:9] = 2.5
    labels = np.where(np.isfinite(mbf), 1, 0)
    aif = np.linspace(0, 4, T)
    aif[:2] = np.nan
    result = SeriesResult(
        uid="stress_mid",
        offset=(np.int64(7), np.int64(3)),
        corrected=np.random.default_rng(1).uniform(0, 9, (T, ROWS, COLS)),
        displacement=np.zeros((T, 2, ROWS, COLS)),
        segmentation=labels.astype(np.int64),
        aha=(labels * 7).astype(np.int64),
        mbf=mbf,
        aif_mmol_l=aif,
        used=np.array([False] * 2 + [True] * (T - 2)),
        reasons=("proton-density frame",) * 2 + (None,) * (T - 2),
        mbf_global=np.float32(2.5),
        segments={
            7: SegmentFlow(2.5, 2.0, 3.0, False),
            8: SegmentFlow(float("nan"), None, np.float64(1), np.bool_(True)),
        },
        quality=(Flag("time_gaps", "info", "There is a gap in time."),),
        seconds=1.5,
        endocardium=np.array([[1.234567, 2.0]]),
        parameters={"aif_peak": np.float64("inf"), "stages": ("a", "b")},
        motion=MotionEvidence(
            displacement_mm=np.arange(2.0 * T).reshape(T, 2) / 3,
            folds=np.int64(2),
            roughness=(0.9, 0.3),
            overlap=np.array([np.nan] * 4 + [0.95] * (T - 4)),
            stages=(("translation", True), ("non-rigid", False)),
            departing=np.zeros(T, bool),
        ),
    )
    return sorted_film, series, result


def _report(**changes):
    sorted_film, series, result = _made()
    entry = report.series_entry(sorted_film, series, result)
    study = StudyResult((result,), (), {7: 2.0, 3: 1.0}, {"motion": 1.0}, {"model": "x"})
    given = {
        "engine": ("mcaq", "0.1.0"),
        "result": study,
        "protocol": {"field_t": 3.0},
        "seconds": {"read": 0.5, "total": 2.0},
        "peak_memory_bytes": 123,
        "series": [entry],
        "aif_series": [],
        "unused": [("notes.txt", "It is not a DICOM file.")],
    }
    return report.report(**{**given, **changes})


def test_the_keys_of_the_contract():
    found = json.loads(json.dumps(_report(), allow_nan=False))
    assert found["format"] == 1
    assert found["engine"] == {"name": "mcaq", "version": "0.1.0"}
    assert found["parameters"] == {"model": "x", "protocol": {"field_t": 3.0}}
    assert found["seconds"] == {"read": 0.5, "total": 2.0}
    assert found["peak_memory_bytes"] == 123
    assert found["aif_series"] == []
    assert found["reserve"] == {"3": 1.0, "7": 2.0}
    assert found["unused"] == [{"file": "notes.txt", "reason": "It is not a DICOM file."}]
    (series,) = found["series"]
    assert (series["folder"], series["state"], series["level"]) == ("stress_mid", "stress", "mid")
    assert series["series_uid"] == "1.2.3.5.1"
    assert series["sop_instance_uids"] == [f"1.2.3.4.1.{n + 1}" for n in range(T)]
    assert series["frame_times_s"] == pytest.approx([0.8 * n for n in range(T)])
    assert series["time_source"] == "AcquisitionTime"
    assert series["offset"] == [7, 3]
    assert series["frames"][0] == {
        "sop_instance_uid": "1.2.3.4.1.1",
        "frame_number": 1,
        "time_s": 0.0,
        "role": "pd",
        "used": False,
        "reason": "proton-density frame",
    }
    assert series["frames"][5]["role"] == "dynamic"
    assert series["frames"][5]["used"] is True
    assert series["frames"][5]["reason"] is None
    assert len(series["frames"]) == T
    assert series["mbf"] == {
        "global": 2.5,
        "segments": {
            "7": {"mbf": 2.5, "low": 2.0, "high": 3.0, "ischaemic": False},
            "8": {"mbf": None, "low": None, "high": 1.0, "ischaemic": True},
        },
    }
    assert series["quality"] == [
        {"flag": "time_gaps", "severity": "info", "sentence": "There is a gap in time."}
    ]
    assert series["seconds"] == 1.5
    assert series["parameters"]["aif_peak"] is None


def test_the_evidence_of_motion_is_in_the_report():
    (series,) = json.loads(json.dumps(_report(), allow_nan=False))["series"]
    assert series["motion"] == {
        "displacement_mm": [[round(2 * n / 3, 2), round((2 * n + 1) / 3, 2)] for n in range(T)],
        "folds": 2,
        "roughness": {"before": 0.9, "after": 0.3},
        "overlap": [None] * 4 + [0.95] * (T - 4),
        "stages": [{"name": "translation", "used": True}, {"name": "non-rigid", "used": False}],
        "sentence": "Shifting each frame made the film steadier and was used; bending each frame "
        "(non-rigid) did not make it steadier and was left out.",
    }


def test_findings_of_reading_count_for_the_light_of_series_and_study():
    assert _report()["light"] == _report()["series"][0]["light"]
    assert _report()["light"]["colour"] == "green"
    sorted_film, series, result = _made()
    clock = Flag("time_source_uncertain", "warning", "The clock is uncertain.")
    found = _report(series=[report.series_entry(sorted_film, series, result, [clock])])
    assert found["series"][0]["light"] == {"colour": "amber", "sentence": clock.sentence}
    assert found["light"] == {"colour": "amber", "sentence": f"Stress, mid: {clock.sentence}"}


def test_a_series_that_was_refused_is_missed_in_the_light_of_the_study():
    *_, result = _made()
    study = StudyResult((result,), (SeriesRefusal("rest_mid", "No heart."),), {}, {}, {})
    assert _report(result=study)["light"]["colour"] == "amber"


def test_an_engine_without_evidence_of_motion_has_no_pictures_of_it(tmp_path):
    sorted_film, series, result = _made()
    result = replace(result, motion=None)
    assert report.series_entry(sorted_film, series, result)["motion"] is None
    report.write_series(tmp_path / "stress_mid", sorted_film, series, result)
    assert not (tmp_path / "stress_mid" / "motion.png").exists()
    assert (tmp_path / "stress_mid" / "mbf.png").exists()


def test_no_number_that_json_does_not_know_is_written(tmp_path):
    report.write_report(tmp_path, _report(seconds={"total": math.nan}))
    text = (tmp_path / "report.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the report"))
    assert json.loads(text)["seconds"] == {"total": None}


def test_models_and_numbers_are_told_only_where_they_are_known():
    plain = _report()
    assert {"models", "spread", "endo_epi"} & set(plain["series"][0]) == set()
    assert {"summary", "model_reserve"} & set(plain) == set()


def test_models_and_numbers_of_the_study():
    sorted_film, series, result = _made()
    result = replace(
        result,
        models={"fermi": ModelFlow("ml/min/g", {8: None, 7: np.float64(2.1)}, 2.1)},
        spread={7: np.float64(0.3), 8: None},
        endo_epi={7: LayerRatio(np.float64(0.9)), 8: LayerRatio(None, "The wall is thin.")},
    )
    entry = report.series_entry(sorted_film, series, result)
    study = StudyResult(
        (result,), (), {}, {}, {}, {"fermi": {7: 2.0}}, {"rest": {"mbf": float("nan")}}
    )
    found = json.loads(json.dumps(_report(result=study, series=[entry]), allow_nan=False))
    (told,) = found["series"]
    assert told["models"] == {
        "fermi": {"unit": "ml/min/g", "segments": {"7": 2.1, "8": None}, "global": 2.1}
    }
    assert told["spread"] == {"7": 0.3, "8": None}
    assert told["endo_epi"]["7"] == {"ratio": 0.9, "reason": None}
    assert told["endo_epi"]["8"] == {"ratio": None, "reason": "The wall is thin."}
    assert found["model_reserve"] == {"fermi": {"7": 2.0}}
    assert found["summary"] == {"rest": {"mbf": None}}


def test_the_files_of_a_series(tmp_path):
    sorted_film, series, result = _made()
    folder = tmp_path / "stress_mid"
    report.write_series(folder, sorted_film, series, result)
    expected = {
        "mbf.npy": ("float32", (ROWS, COLS)),
        "segmentation.npy": ("uint8", (ROWS, COLS)),
        "aha.npy": ("uint8", (ROWS, COLS)),
        "corrected.npy": ("float32", (T, ROWS, COLS)),
        "displacement.npy": ("float32", (T, 2, ROWS, COLS)),
    }
    for name, (dtype, shape) in expected.items():
        array = np.load(folder / name, allow_pickle=False)
        assert (str(array.dtype), array.shape) == (dtype, shape), name
    assert np.isnan(np.load(folder / "mbf.npy")[0, 0])
    lines = list(csv.reader((folder / "aif.csv").read_text().splitlines()))
    assert lines[0] == ["time_s", "concentration_mmol_l"]
    assert len(lines) == T + 1
    assert lines[1] == ["0", "nan"]
    assert [float(time) for time, _ in lines[1:]] == pytest.approx(list(series.times_s))
    np.testing.assert_allclose(
        [float(value) for _, value in lines[3:]], result.aif_mmol_l[2:], rtol=1e-5
    )
    assert {path.name for path in folder.iterdir()} == {
        *expected, "aif.csv", "mbf.png", "cine.mp4", "poster.png", "motion.png", "strip.png",
        "original.mp4", "corrected.frames", "original.frames", "curves.json",
    }  # fmt: skip
