"""The engine beside public programs: what of it can be told without them."""

import subprocess
import sys
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.mcaq.phantom import make_study
from scripts.bench import __main__ as bench
from scripts.bench import peer_program, peer_ways, peers
from scripts.bench.table import Figure, lines
from scripts.steps import CHECKOUT
from tests.scripts.test_processes import is_gone
from tests.waiting import wait_for

_LIMIT_S = 60.0
#: Row and column, px.
_SHIFTS = np.array([[0.0, 1.5], [-1.0, 0.0], [0.0, 0.0], [2.0, -1.0]])


def _blob(at: NDArray[np.float64]) -> NDArray[np.float32]:
    rows, cols = np.mgrid[:40, :40]
    away = (rows - 20 - at[0]) ** 2 / 40 + (cols - 20 - at[1]) ** 2 / 70
    return np.asarray(100 * np.exp(-away) + 5, dtype=np.float32)


def _film() -> peer_ways.Film:
    count = len(_SHIFTS)
    return peer_ways.Film(
        np.array([_blob(at) for at in _SHIFTS]), np.arange(count, dtype=float), np.ones(count), 1
    )


def test_naive_registration_finds_known_shifts() -> None:
    held = peer_ways.naive(_film(), _LIMIT_S)
    # Corrected(x) is original(x + d): where the blob went, the frame is read.
    found = held.displacement[:, :, 14:27, 14:27].mean(axis=(2, 3))
    before = np.hypot(*_SHIFTS.T)
    after = np.hypot(*(found - _SHIFTS).T)
    assert after.max() < 0.3
    assert np.sqrt((after**2).mean()) < 0.2 * np.sqrt((before**2).mean())


def test_frames_that_naive_registration_gives_up_are_counted() -> None:
    film = _film()
    film.frames[1] = 7.0  # nothing to register
    held = peer_ways.naive(film, _LIMIT_S)
    assert held.given_up == 1
    assert not held.displacement[1].any()


def test_naive_registration_keeps_its_time_limit() -> None:
    with pytest.raises(peer_ways.Missing, match="stopped after 0 s"):
        peer_ways.naive(_film(), 0.0)


def test_marks_that_moved_tell_the_displacement() -> None:
    marks = np.array([(r, c) for r in range(0, 21, 4) for c in range(0, 25, 4)], dtype=float)
    shift = np.array([1.25, -0.5])
    # A frame whose heart lies ``shift`` off is held still by moving its marks back.
    moved = peer_ways.from_marks(marks, (marks - shift)[None], (21, 25))
    assert moved.shape == (1, 2, 21, 25)
    np.testing.assert_allclose(moved, np.broadcast_to(shift[:, None, None], moved.shape))


def test_missing_programs_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(peer_ways.Missing, match=r"not installed.*mia-tools"):
        peer_ways.mia_ica(_film(), _LIMIT_S)
    monkeypatch.setitem(peer_program.MODULES, "mdreg", "no_such_module_is_there")
    with pytest.raises(peer_ways.Missing, match=r"not installed.*--peers-python"):
        peer_ways.by_program("mdreg", sys.executable, _LIMIT_S, {})


def test_a_program_that_fails_tells_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    # The module is there, but it is none of the peers.
    monkeypatch.setitem(peer_program.MODULES, "dcmri", "json")
    given = {"times_s": np.arange(3.0), "blood": np.ones(3), "tissue": np.ones((2, 3))}
    with pytest.raises(peer_ways.Missing, match=r"failed: .*dcmri"):
        peer_ways.by_program("dcmri", sys.executable, _LIMIT_S, given)


_BENCH = """
import sys
from pathlib import Path
from scripts.bench import peer_ways
peer_ways.run([sys.executable, "-c", sys.argv[2]], 60.0, Path(sys.argv[1]))
"""
_PEER = """
import os, signal
from pathlib import Path
Path("pid").write_text(str(os.getpid()))
signal.pause()
"""


def test_a_peer_ends_with_the_bench(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _BENCH, str(tmp_path), _PEER]
    with subprocess.Popen(command, cwd=CHECKOUT) as running:
        told = tmp_path / "pid"
        wait_for(lambda: told.exists() and told.read_text(), "the peer to begin")
        peer = int(told.read_text())
        assert not is_gone(peer)
        running.terminate()
    wait_for(lambda: is_gone(peer), "the peer to end with the bench")


@pytest.fixture(scope="module")
def one() -> peers.Slice:
    series = make_study(1, frames=20, states=("stress",), levels=("mid",)).series[0]

    def judge(moved: NDArray[np.floating]) -> tuple[float, list[float]]:
        return float(np.abs(moved).max()), [1.0]

    return peers.Slice("here", series, (slice(0, 8), slice(0, 8)), (4.0, 4.0), np.ones(20), judge)


def test_the_table_names_peers_that_are_missing(one: peers.Slice) -> None:
    def way() -> peer_ways.Held:
        raise peer_ways.Missing("not installed: it is elsewhere")

    figures = list(peers.of_peer(one, "some peer", way, (slice(0, 8), slice(0, 8)), 1.0))
    assert [isnan(figure.value) for figure in figures] == [True]
    assert not figures[0].falls_short
    (line,) = [line for line in lines(figures) if line.startswith("some peer")]
    assert "–" in line
    assert "not installed: it is elsewhere" in line


def test_a_peer_is_judged_on_the_window_and_beside_the_engine(one: peers.Slice) -> None:
    moved = np.zeros((20, 2, 12, 12))
    moved[:, :, :2] = 9.0  # outside the window
    held = peer_ways.Held(moved, 50.0, given_up=3)
    inner = (slice(2, 10), slice(2, 10))
    told = {f.quantity: f for f in peers.of_peer(one, peers.NAIVE, lambda: held, inner, 0.5)}
    assert told[f"{peers.NAIVE}: LV drift, rms px"].value == 0
    ratio = told[f"{peers.NAIVE}: times as long as {peers.ENGINE}"]
    assert ratio.value == 100
    assert told[f"{peers.NAIVE}: frames given up"].value == 3
    assert not ratio.falls_short


def test_a_window_is_widened_within_the_picture() -> None:
    window = (slice(10, 30), slice(0, 20))
    assert peers.around(window, (200, 160), 40) == (slice(0, 40), slice(0, 40))
    assert peers.around(window, (30, 160), 40) == (slice(0, 30), slice(0, 40))
    assert peers.around((slice(60, 122), slice(90, 152)), (192, 160), 96) == (
        slice(43, 139),
        slice(64, 160),
    )


def test_a_value_without_a_note_is_never_hidden() -> None:
    *_, line = lines([Figure("something", "here", float("nan"), 1.0)])
    assert "nan" in line
    assert "SHORT" in line


def test_peers_run_only_when_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "peers" not in bench.PARTS
    assert bench.main(["--only", "peer"]) == 2
    assert "no part peer." in capsys.readouterr().err
