"""What an engine's result must be, and that nothing of a broken one is kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from processing import contract
from processing.analysis import NothingToAnalyse, analyse_folder
from processing.engines import get_engine
from processing.mcaq.phantom import make_study
from processing.mcaq.series import SegmentFlow, StudyResult
from processing.phantom_dicom import write_study


@pytest.fixture(scope="module")
def study():
    return make_study(3, states=("stress",), levels=("mid",), frames=24, rows=96, cols=80)


@pytest.fixture(scope="module")
def result(study) -> StudyResult:
    return get_engine("mcaq").analyse(study.series, {}, lambda stage, done: None)


def changed(result: StudyResult, **changes) -> StudyResult:
    (one,) = result.series
    made = {name: make(one) if callable(make) else make for name, make in changes.items()}
    return dataclasses.replace(result, series=(dataclasses.replace(one, **made),))


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[0] = value
    return array


def test_our_own_results_keep_it(study, result):
    assert list(contract.faults(study.series, result)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"corrected": lambda one: one.corrected[:-1]}, "corrected has the shape"),
        ({"displacement": lambda one: one.displacement[:, :1]}, "displacement has the shape"),
        ({"aif_mmol_l": lambda one: one.aif_mmol_l[:3]}, "aif_mmol_l has the shape (3,)"),
        ({"mbf": lambda one: one.mbf[None]}, "mbf has not two dimensions"),
        ({"mbf": lambda one: spoilt(one.mbf, -1)}, "mbf holds a value below zero"),
        ({"mbf": lambda one: spoilt(one.mbf, np.inf)}, "mbf holds a value"),
        ({"corrected": lambda one: spoilt(one.corrected, np.nan)}, "corrected holds values"),
        ({"offset": (95, 0)}, "does not lie within the picture"),
        ({"reasons": ()}, "0 reasons for 24 frames"),
        ({"segmentation": lambda one: spoilt(one.segmentation, 9)}, "another label"),
        ({"aha": lambda one: spoilt(one.aha, 17)}, "another segment"),
        ({"segments": {17: SegmentFlow(1, 1, 1, None)}}, "no AHA segment 17"),
        ({"segments": {7: SegmentFlow(1, 2, 3, None)}}, "not in this order"),
        ({"segments": {7: SegmentFlow(float("nan"), None, None, None)}}, "no numbers"),
        ({"uid": "another"}, "was not given"),
    ],
)
def test_each_fault_is_told(study, result, changes, said):
    told = list(contract.faults(study.series, changed(result, **changes)))
    assert any(said in fault for fault in told), told


def test_nothing_of_a_broken_result_is_kept(study, tmp_path, monkeypatch):
    from processing.mcaq.engine import Mcaq

    whole = Mcaq.analyse

    def broken(self, series, parameters, progress):
        found = whole(self, series, parameters, progress)
        return changed(found, mbf=lambda one: np.full(one.mbf.shape, -1.0))

    monkeypatch.setattr(Mcaq, "analyse", broken)
    write_study(study, tmp_path / "in")
    with pytest.raises(NothingToAnalyse, match="gave a result that cannot be used: series 1: mbf"):
        analyse_folder(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
