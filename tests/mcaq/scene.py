"""A heart drawn by formulas: its borders, curves and shifts are known to any part of a pixel.

No phantom: nothing of the engine or of its phantom is used to draw it. Angles are anticlockwise as
seen, in radians, 0 to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.mcaq.series import Acquisition, GivenContours, Series


def gamma_variate(times_s, arrival_s, to_peak_s, shape=3.0):
    """A bolus of height 1 that arrives and peaks so late."""
    late = np.maximum(times_s - arrival_s, 0) / to_peak_s
    return late**shape * np.exp(shape * (1 - late))


def blood_of(times_s, arrival_s=4.0, to_peak_s=4.0):
    """First pass, and what comes round again at a fifth of it."""
    return gamma_variate(times_s, arrival_s, to_peak_s) + 0.2 * gamma_variate(
        times_s, arrival_s + 9, 12.0, 1.0
    )


def muscle_of(times_s, blood, stays_s=20.0):
    """Uptake that lags blood and washes out slowly, height 1."""
    fine = np.arange(0, times_s[-1] + 0.05, 0.05)
    taken = np.convolve(np.interp(fine, times_s, blood), np.exp(-fine / stays_s))[: len(fine)]
    curve = np.interp(times_s, fine, taken)
    return curve / curve.max()


@dataclass(frozen=True)
class Scene:
    """A left ventricle in lung, the right one round its septum, liver and vessels beside it.

    centre: of the left ventricle, (row, column) pixels. rv_angle: where the right one lies.
    """

    rows: int = 80
    cols: int = 80
    pixel_mm: float = 2.0
    centre: tuple[float, float] = (40.0, 42.0)
    endo_mm: float = 19.0
    wall_mm: float = 9.0
    rv_angle: float = np.pi
    septum: float = np.radians(115.0)
    frames: int = 40
    step_s: float = 0.8
    enhancing: bool = True

    @property
    def times_s(self):
        return self.step_s * np.arange(self.frames)

    @property
    def spacing_mm(self):
        return self.pixel_mm, self.pixel_mm

    @property
    def epi_mm(self):
        return self.endo_mm + self.wall_mm

    def point(self, angle, radius_mm):
        """(row, column) of a direction and distance from the left ventricle's centre."""
        return (
            self.centre[0] - np.sin(angle) * radius_mm / self.pixel_mm,
            self.centre[1] + np.cos(angle) * radius_mm / self.pixel_mm,
        )

    @property
    def rv_centre(self):
        return self.point(self.rv_angle, self.epi_mm + 16)

    @property
    def insertions(self):
        """Anterior and inferior: the wall's points where the septum begins and ends."""
        return (
            self.point(self.rv_angle - self.septum / 2, self.epi_mm),
            self.point(self.rv_angle + self.septum / 2, self.epi_mm),
        )

    def contours(self, *, insertions=True):
        """What a person would draw."""
        turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        endo, epi = (
            np.stack(self.point(turn, radius), axis=1) for radius in (self.endo_mm, self.epi_mm)
        )
        anterior, inferior = self.insertions
        if not insertions:
            return GivenContours(endo, epi)
        return GivenContours(endo, epi, anterior, inferior)

    def angle_and_radius(self, shift=(0.0, 0.0)):
        """Of each pixel from the centre, radians and mm; the heart having moved by ``shift``."""
        rows, cols = np.mgrid[: self.rows, : self.cols].astype(float)
        down = (rows - shift[0] - self.centre[0]) * self.pixel_mm
        right = (cols - shift[1] - self.centre[1]) * self.pixel_mm
        return np.arctan2(-down, right), np.hypot(down, right)

    def parts(self, shift=(0.0, 0.0)):
        """Coverage of each pixel by each part, (parts, rows, cols): edges are a pixel wide."""
        angle, radius = self.angle_and_radius(shift)
        x, y = radius * np.cos(angle), -radius * np.sin(angle)

        def soft(inside_mm):
            return np.clip(inside_mm / self.pixel_mm + 0.5, 0, 1)

        def ellipse(centre, half, turn=0.0):
            dx, dy = x - centre[0], y - centre[1]
            along = (dx * np.cos(turn) - dy * np.sin(turn)) / half[0]
            across = (dx * np.sin(turn) + dy * np.cos(turn)) / half[1]
            return (1 - np.hypot(along, across)) * min(half)

        def at(angle, radius_mm):
            return radius_mm * np.cos(angle), -radius_mm * np.sin(angle)

        outside_epi = 1 - soft(self.epi_mm - radius)
        # An ellipse whose border crosses the epicardium at both insertions.
        half_across = 33.0
        reach = self.epi_mm * np.sin(self.septum / 2) / half_across
        middle = self.epi_mm * np.cos(self.septum / 2) + 21.0 * np.sqrt(1 - min(reach, 0.98) ** 2)
        right = soft(ellipse(at(self.rv_angle, middle), (21.0, half_across), self.rv_angle))
        left = soft(self.endo_mm - radius)
        wall = soft(self.epi_mm - radius) - left
        right = right * outside_epi
        liver = soft(ellipse(at(self.rv_angle + 1.9, 75), (45, 32), 0.3)) * outside_epi
        liver = liver * (1 - right)
        vessels = sum(
            soft(ellipse(at(self.rv_angle + turn, far), (size, size)))
            for turn, far, size in ((2.7, 48, 4), (3.6, 44, 5), (4.4, 50, 4), (-1.0, 52, 5))
        )
        vessels = np.clip(vessels, 0, 1) * (1 - liver)
        return np.stack([left, right, wall, liver, vessels])

    def curves(self):
        """Signal of each part and of lung, (T, parts) and (T,)."""
        times = self.times_s
        early, late = blood_of(times, 4.0, 3.0), blood_of(times, 8.0, 4.5)
        if not self.enhancing:
            early, late = np.zeros_like(times), np.zeros_like(times)
        muscle = muscle_of(times, late) if self.enhancing else late
        flat = np.ones_like(times)
        return np.stack(
            [60 + 500 * late, 60 + 600 * early, 70 + 170 * muscle, 110 + 60 * muscle, 150 * flat],
            axis=1,
        )

    def film(self, shifts=None, noise=0.0, seed=0):
        """(T, rows, cols) float32; shifts (T, 2): how far all of it has moved in each frame."""
        curves = self.curves()
        still = self.parts()
        frames = []
        for t in range(self.frames):
            parts = still if shifts is None else self.parts(shifts[t])
            rest = np.clip(1 - parts.sum(axis=0), 0, 1)
            frames.append(20 * rest + np.tensordot(curves[t], parts, axes=1))
        film = np.array(frames)
        if noise:
            film = film + noise * np.random.default_rng(seed).standard_normal(film.shape)
        return np.maximum(film, 0).astype(np.float32)

    def series(self, film=None, **changes):
        film = self.film(noise=4.0) if film is None else film
        made = Series(
            uid="scene",
            signal=film,
            times_s=self.times_s,
            roles=("dynamic",) * len(film),
            state="stress",
            level="mid",
            pixel_spacing_mm=self.spacing_mm,
            acquisition=Acquisition(),
        )
        return replace(made, **changes)


def window_round(scene, half_mm=62.0):
    """The part of the picture round the heart."""
    half = round(half_mm / scene.pixel_mm)
    row, col = (round(place) for place in scene.centre)
    return (
        slice(max(0, row - half), min(scene.rows, row + half)),
        slice(max(0, col - half), min(scene.cols, col + half)),
    )
