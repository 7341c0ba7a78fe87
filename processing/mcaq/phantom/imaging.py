"""From still tissue to the scanner's picture: motion, coils, a finite k-space, noise.

Pictures are drawn three times finer than their pixels, moved, and cut to the acquired part of
k-space, which gives partial volume, the blur of a coarse phase direction and ringing at sharp
borders (the dark rim) as on a scanner. Noise is complex before the magnitude is taken (Rician).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import make_interp_spline

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FINER = 3
_COARSER = 4


@dataclass(frozen=True)
class Grid:
    """rows, cols of the picture; pixel_mm; origin: row and column of the heart's centre.

    turn_deg: how far the picture shows the body turned anticlockwise; mirrored: before that, as
    in a looking glass. The coordinates that the grid gives are those of the upright body.
    """

    rows: int
    cols: int
    pixel_mm: float
    origin: tuple[float, float]
    turn_deg: float = 0.0
    mirrored: bool = False

    @property
    def upright(self) -> bool:
        return not self.mirrored and self.turn_deg % 360 == 0

    @property
    def axes(self) -> F64:
        """(2, 2) orthogonal: (x, y) in the body is ``axes`` times (right, down) in the picture."""
        if self.upright:
            return np.eye(2)
        turn = np.radians(self.turn_deg)
        # A quarter of a turn is exact.
        cos, sin = np.round([np.cos(turn), np.sin(turn)], 15)
        turned = np.array([[cos, -sin], [sin, cos]])
        return np.asarray(np.diag([-1.0 if self.mirrored else 1.0, 1.0]) @ turned)

    def in_picture(self, field: F64) -> F64:
        """Vectors (…, 2, n) of the body, down first, as vectors of the picture, down first."""
        if self.upright:
            return field
        back = self.axes.T[::-1, ::-1]
        return np.asarray(back @ field)

    def seen_at(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where the picture shows a point (x, y) of the body: mm right and down of the origin."""
        if self.upright:
            return point
        right, down = self.axes.T @ point
        return float(right), float(down)

    def axes_mm(self) -> tuple[F32, F32]:
        """The fine grid's columns and rows, mm right and down of the origin."""
        half = (FINER - 1) / 2
        down, right = (
            (((np.arange(count * FINER) - half) / FINER) - start) * self.pixel_mm
            for count, start in zip((self.rows, self.cols), self.origin, strict=True)
        )
        return right.astype(np.float32), down.astype(np.float32)

    def pixels_mm(self) -> tuple[F32, F32]:
        """x and y of each pixel, (rows, cols) mm from the heart's centre."""
        return self._mesh(np.arange(self.rows), np.arange(self.cols))

    def fine_mm(self) -> tuple[F32, F32]:
        """x and y of the fine grid; pixel i has the fine ones 3i, 3i + 1, 3i + 2."""
        half = (FINER - 1) / 2
        return self._mesh(
            (np.arange(self.rows * FINER) - half) / FINER,
            (np.arange(self.cols * FINER) - half) / FINER,
        )

    def knots_mm(self) -> tuple[F32, F32]:
        """x and y of a coarse grid for smooth fields."""
        return self._mesh(_knots(self.rows), _knots(self.cols))

    def _mesh(self, rows: NDArray[np.generic], cols: NDArray[np.generic]) -> tuple[F32, F32]:
        y = (rows.astype(np.float64) - self.origin[0]) * self.pixel_mm
        x = (cols.astype(np.float64) - self.origin[1]) * self.pixel_mm
        full_x, full_y = np.meshgrid(x, y)
        if not self.upright:
            full_x, full_y = np.einsum("ij,j...->i...", self.axes, np.stack([full_x, full_y]))
        return full_x.astype(np.float32), full_y.astype(np.float32)

    def refine(self, field: F64, finer: int) -> F32:
        """A smooth field (…, knots) as (…, rows·finer, cols·finer), by cubic splines."""
        over = [_spline(count, finer) for count in (self.rows, self.cols)]
        return np.asarray(over[0] @ field.astype(np.float32) @ over[1].T)


def _knots(count: int) -> F64:
    return np.linspace(-0.5, count - 0.5, count // _COARSER + 1)


@lru_cache(maxsize=16)
def _spline(count: int, finer: int) -> F32:
    """Cubic splines through the knots as a matrix (count·finer, knots)."""
    knots = _knots(count)
    places = (np.arange(count * finer) - (finer - 1) / 2) / finer
    return np.asarray(make_interp_spline(knots, np.eye(len(knots)), k=3)(places), dtype=np.float32)


@dataclass(frozen=True)
class _Warp:
    """Bilinear reading of a fine picture at moved places, only where anything moves."""

    shape: tuple[int, int]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    def __call__(self, picture: F32, by: F32) -> F32:
        """picture (r, c) read at x + by(x), by (2, r, c) in fine pixels."""
        here = self.rows, self.cols
        down = np.clip(by[0][here] + self.rows.astype(np.float32), 0, self.shape[0] - 1.01)
        across = np.clip(by[1][here] + self.cols.astype(np.float32), 0, self.shape[1] - 1.01)
        top, left = down.astype(np.int32), across.astype(np.int32)
        down -= top
        across -= left
        corner = top * np.int32(self.shape[1]) + left
        flat = picture.ravel()
        upper = flat[corner]
        upper += across * (flat[corner + 1] - upper)
        corner += np.int32(self.shape[1])
        lower = flat[corner]
        lower += across * (flat[corner + 1] - lower)
        result = picture.copy()
        result[here] = upper + down * (lower - upper)
        return result


def coils(x: F32, y: F32, front_mm: float, back_mm: float) -> F32:
    """Sensitivity of a chest and a back array together, 1 at the heart's centre."""
    total = np.zeros_like(x)
    origin = 0.0
    for cx, cy, weight in [
        (front_mm - 12, -75.0, 1.0), (front_mm - 16, 15.0, 1.0), (front_mm - 12, 105.0, 0.9),
        (back_mm + 18, -40.0, 0.65), (back_mm + 18, 70.0, 0.65),
    ]:  # fmt: skip
        total += weight / (1 + ((x - cx) ** 2 + (y - cy) ** 2) / 85**2) ** 2
        origin += weight / (1 + (cx**2 + cy**2) / 85**2) ** 2
    # Beyond the ends of the arrays there is hardly any signal.
    ends = np.exp(-((np.maximum(np.abs(y - 15) - 105, 0) / 52) ** 2))
    return np.asarray(np.sqrt(total / origin) * ends + 0.02)


@dataclass(frozen=True)
class Camera:
    """One way to take pictures of a grid.

    matrix: rows and cols of the picture, which may be coarser than the grid.
    coverage: the acquired share of k-space along rows and columns. noise: standard deviation in
    signal units where sensitivity is 1. normalised: share of the coils' shading that the scanner
    takes out again (with it goes noise). cut_off: whether k-space ends as it was acquired, without
    the usual soft filter, so that sharp borders ring in full.
    """

    grid: Grid
    sensitivity: F32
    matrix: tuple[int, int]
    coverage: tuple[float, float] = (1.0, 0.8)
    noise: float = 0.0
    normalised: float = 0.45
    cut_off: bool = False

    def film(self, still: F32, moved: F64 | None, rng: np.random.Generator) -> F32:
        """Pictures (T, rows, cols) of a still film on the fine grid (T, P).

        moved: u on the knots (T, 2, …) in mm, row first, or None if nothing moves.
        """
        rows, cols = self.matrix
        fine = (self.grid.rows * FINER, self.grid.cols * FINER)
        keep = cols // 2 + 1
        window, turn_rows, turn_cols = self._window(rows, cols, keep)
        shading = self.sensitivity ** np.float32(1 - self.normalised)
        amplify = self._noise_map(rows, cols)
        moving = np.zeros(fine, dtype=bool)
        if moved is not None:
            most = np.abs(moved).max(axis=(0, 1))
            moving = self.grid.refine(most, FINER) > 0.01
        warp = _Warp(fine, *np.nonzero(moving))
        scale = np.float32(rows * cols / (fine[0] * fine[1]))
        result = np.empty((len(still), rows, cols), dtype=np.float32)
        for n, flat in enumerate(still):
            picture = flat.reshape(fine)
            if moved is not None:
                by = self.grid.refine(moved[n] * (FINER / self.grid.pixel_mm), FINER)
                picture = warp(picture, by)
            lines = fft.rfft(picture * shading, axis=1)[:, :keep]
            space = fft.fft(lines, axis=0)
            half = rows // 2
            space = np.concatenate([space[: rows - half], space[-half:]])
            space = space * (window * turn_rows * turn_cols)
            image = fft.irfft2(space, s=(rows, cols)) * scale
            if self.noise > 0:
                white = rng.standard_normal((2, rows, cols), dtype=np.float32)
                grain = fft.irfft2(fft.rfft2(white) * window, s=(rows, cols))
                grain *= amplify
                image = np.hypot(image + grain[0], grain[1])
            result[n] = np.abs(image)
        return result

    def _window(
        self, rows: int, cols: int, keep: int
    ) -> tuple[F32, NDArray[np.complex64], NDArray[np.complex64]]:
        """The acquired part of k-space, softly ended, and the turn that centres the pixels."""
        down, across = fft.fftfreq(rows)[:, None], np.arange(keep)[None, :] / cols

        def ends(frequency: F64, coverage: float) -> F64:
            edge = 0.5 * coverage
            if self.cut_off:
                return np.asarray(np.abs(frequency) < edge, dtype=np.float64)
            away = np.clip((edge - np.abs(frequency)) / (0.35 * edge), 0, 1)
            return np.asarray(0.15 * (away > 0) + 0.85 * np.sin(np.pi / 2 * away) ** 2)

        window = (ends(down, self.coverage[0]) * ends(across, self.coverage[1])).astype(np.float32)
        # The middle of a pixel lies half a pixel, less half a fine pixel, after its first corner.
        turns = []
        for frequency, full, size in (
            (down, self.grid.rows, rows),
            (across, self.grid.cols, cols),
        ):
            shift = 0.5 - 0.5 * size / (full * FINER)
            turns.append(np.exp(2j * np.pi * frequency * shift).astype(np.complex64))
        return window, turns[0], turns[1]

    def _noise_map(self, rows: int, cols: int) -> F32:
        down = ((np.arange(rows) + 0.5) * self.sensitivity.shape[0] / rows).astype(int)
        across = ((np.arange(cols) + 0.5) * self.sensitivity.shape[1] / cols).astype(int)
        coarse = self.sensitivity[np.ix_(down, across)]
        amplify = np.maximum(coarse, 0.12) ** np.float32(-self.normalised)
        return np.asarray(self.noise * amplify, dtype=np.float32)


def to_pixels(fine: F32, grid: Grid) -> F32:
    """Mean over the fine pixels of each pixel: (P,) → (rows, cols)."""
    shape = (grid.rows, FINER, grid.cols, FINER)
    return np.asarray(fine.reshape(shape).mean(axis=(1, 3)))
