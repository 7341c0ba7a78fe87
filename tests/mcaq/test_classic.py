"""The older ways to hold the heart still, against the phantom's true motion."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from processing.mcaq import classic, pipeline, quality
from processing.mcaq.engine import Mcaq, McaqClassic, McaqClassicRddr
from processing.mcaq.phantom import make_study
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM
from tests.mcaq.scene import Scene, window_round

WAYS = pytest.mark.parametrize(
    "way", [classic.correct, classic.correct_by_ladder], ids=["Scannell", "Hamy"]
)
FRAMES, PD, WILD = 18, 2, 12
#: Of the heart's motion at most so much is left. The marks of the engine of record, in
#: test_motion.py, do not hold for these: they are there to be compared with it.
MOST_LEFT = 0.2
#: A wild frame may add so much to the drift of the others, pixels rms: the usual drift of
#: test_motion.py.
MOST_ADDED = 0.25


@cache
def gasping():
    """One slice with a deep breath: film, window, centre, spacing, references; truth, heart."""
    study = make_study(
        207, states=("rest",), levels=("mid",), rows=96, cols=80, frames=FRAMES, pd_frames=PD,
        breathing="gasp", breathing_mm=14.0,
    )  # fmt: skip
    one, truth = study.series[0], study.truth[0]
    centre = ndimage.center_of_mass(truth.segmentation == LV_BLOOD)
    window = tuple(
        slice(max(0, round(at) - 31), min(size, round(at) + 31))
        for at, size in zip(centre, one.signal.shape[1:], strict=True)
    )
    heart = np.isin(truth.segmentation, (MYOCARDIUM, LV_BLOOD))[window]
    told = truth.displacement[:, :, window[0], window[1]]
    references = np.array([role == "dynamic" for role in one.roles])
    return one.signal, window, centre, one.pixel_spacing_mm, references, told, heart


@cache
def corrected(way):
    return way(*gasping()[:5])


def drift(field, frames, rest):
    """Root mean square shift of the heart in ``frames``; that of ``rest`` tells the usual place."""
    *_, told, heart = gasping()
    off = (field - told)[:, :, heart].mean(axis=2)
    off = off - np.median(off[rest], axis=0)
    return float(np.sqrt((off[frames] ** 2).sum(axis=1).mean()))


def least_determinant(field):
    down_down, down_right = np.gradient(field[0])
    right_down, right_right = np.gradient(field[1])
    return ((1 + down_down) * (1 + right_right) - down_right * right_down).min()


@WAYS
def test_the_heart_is_held_still_through_a_deep_breath(way):
    references = gasping()[4]
    found = corrected(way)
    before = drift(np.zeros_like(found.displacement), references, references)
    assert before > 2
    assert drift(found.displacement, references, references) < MOST_LEFT * before
    assert found.stages[0] == "translation"
    assert found.roughness[1] < found.roughness[0]


@WAYS
def test_nothing_is_folded(way):
    assert min(least_determinant(field) for field in corrected(way).displacement) > 0


@WAYS
def test_proton_density_frames_are_carried_along(way):
    references = gasping()[4]
    found = corrected(way)
    assert len(found.corrected) == len(references) == FRAMES + PD
    before = drift(np.zeros_like(found.displacement), ~references, references)
    after = drift(found.displacement, ~references, references)
    # Their contrast is another: they are shifted and not bent.
    assert before > 1
    assert after < before / 2


@WAYS
def test_the_same_film_gives_the_same_bits(way):
    again = way(*gasping()[:5])
    first = corrected(way)
    np.testing.assert_array_equal(again.displacement, first.displacement)
    np.testing.assert_array_equal(again.corrected, first.corrected)
    np.testing.assert_array_equal(again.matched, first.matched)


@WAYS
def test_corrected_is_the_original_at_the_displaced_place(way):
    film, window, *_ = gasping()
    found = corrected(way)
    rows, cols = np.mgrid[window]
    for frame, field, picture in zip(film, found.displacement, found.corrected, strict=True):
        at = (rows + field[0], cols + field[1])
        told = ndimage.map_coordinates(frame.astype(float), at, order=1, mode="nearest")
        np.testing.assert_allclose(picture, told, atol=1e-3 * film.max())


@WAYS
@pytest.mark.parametrize("spoil", ["noise", "far away"])
def test_a_wild_frame_does_not_pull_the_others(way, spoil):
    film, window, centre, spacing, references, *_ = gasping()
    film = film.copy()
    film[WILD] = (
        np.random.default_rng(5).gamma(2, 100, film[WILD].shape)
        if spoil == "noise"
        else np.roll(film[WILD], (12, -10), (0, 1))
    )
    found = way(film, window, centre, spacing, references)
    others = references & (np.arange(len(film)) != WILD)
    before = drift(np.zeros_like(found.displacement), others, others)
    without = drift(corrected(way).displacement, others, others)
    assert drift(found.displacement, others, others) < min(MOST_LEFT * before, without + MOST_ADDED)
    assert min(least_determinant(field) for field in found.displacement) > 0
    if spoil == "noise":
        assert found.matched.argmin() == WILD


@WAYS
def test_a_film_that_is_still_and_constant_is_left_alone(way):
    scene = Scene(frames=12, enhancing=False)
    film = scene.film()
    window = window_round(scene)
    found = way(film, window, scene.centre, scene.spacing_mm, np.ones(len(film), dtype=bool))
    np.testing.assert_array_equal(found.displacement, 0)
    np.testing.assert_array_equal(found.corrected, film[:, window[0], window[1]])
    assert found.stages == ()


def test_engines_differ_in_how_the_heart_is_held_still_and_say_their_names():
    study = make_study(206, states=("stress",), levels=("mid",), rows=96, cols=80, frames=24)
    stages, told = {}, {}
    for engine in (Mcaq(), McaqClassic(), McaqClassicRddr()):
        result = engine.analyse(study.series, {}, lambda *_: None)
        assert [one.uid for one in result.series] == [study.series[0].uid]
        stages[engine.name] = result.series[0].parameters["motion_stages"]
        told[engine.name] = result.series[0].motion.stages
    assert list(stages) == ["mcaq", "mcaq-classic", "mcaq-classic-rddr"]
    assert all(used for used in stages.values())
    # What was tried is told of each by its own stages, and in words.
    for name, used in stages.items():
        assert [stage for stage, helped in told[name] if helped] == used
    rungs = [stage for stage, _ in told["mcaq-classic-rddr"]]
    assert rungs == ["translation", "rung 1.5", "rung 1", "rung 0.7"][: len(rungs)]
    assert len(rungs) > 1
    assert [stage for stage, _ in told["mcaq-classic"]] == ["translation", "non-rigid"]
    assert pipeline.ENGINE_NAME == "mcaq"


def test_all_rungs_have_words_and_one_that_did_not_help_is_said():
    found = corrected(classic.correct_by_ladder)
    assert set(found.stages) <= set(found.tried)
    assert len(found.tried) - len(found.stages) <= 1
    every = tuple((f"rung {sparse:g}", sparse > 1) for sparse in (1.5, 1.0, 0.7))
    sentence = quality.stages_sentence((("translation", True), *every))
    assert not any(name in sentence for name, _ in every)
    assert "(third rung) did not make it steadier and were left out" in sentence
