"""Hold the heart still by the method of record: robust PCA, then references made by PCA.

Scannell 2019 (IEEE TMI, 10.1109/TMI.2019.2897044). A: robust PCA takes the passage of contrast
out of the film, and what is left is shifted onto one of its frames. B: PCA of the result tells
how each frame would look without motion and with its contrast, and each frame is registered to
that picture of itself by B-splines. ``correct_by_ladder`` goes after Hamy 2014 (MedIA,
10.1016/j.media.2013.10.016, RDDR): robust PCA and registration again and again, with a weight of
the sparse part that falls from rung to rung.

Not taken from the papers but chosen here, on phantoms: the weights, five components, the spacing
of the splines, a search of whole pixels by edges before the registration, mutual information where
contrast may differ (Hamy: residual complexity) and correlation where it should not.

A displacement means what it means in ``motion``, and a stage that does not improve the film is
left out as there. SimpleITK works in one thread and compares every pixel of the mask, none at
random: the same film gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import motion
from processing.mcaq.motion import F32, Motion
from processing.mcaq.rpca import pca_references, robust_pca

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]

#: Pixels of the heart have a say, those farther from its centre have none.
_HEART_MM = 44.0
#: The box is so much wider than the window: what moves in from outside must be known.
_MARGIN_MM = 24.0
_FARTHEST_MM = 50.0
_COARSE_GRID_MM, _FINE_GRID_MM = 44.0, 28.0
#: Weight of the sparse part, as a multiple of Candès' 1/√pixels in a film of 60 frames. With less
#: of it, motion is taken for sparse too.
_SPARSE = 1.5
_RUNGS = (1.5, 1.0, 0.7)
_FRAMES = 60
_COMPONENTS = 5
_REFINE_ROUNDS = 2
_MOST_STEPS = 12
_BINS = 24
#: A frame that agrees so much less with its neighbours than others do is not learnt from.
_WILD = 0.6
_BETTER = 0.995


@dataclass(frozen=True)
class _State:
    """A film on its way: rooted (T, rows, cols) on the whole field of view, and the field so far.

    field: (T, 2, r, c) on ``box``. inner: the window that is judged, within the box.
    weight: (r, c) of the window. mask: (r, c) of the box, where the heart is. tried, stages: as in
    ``Motion``.
    """

    rooted: F32
    box: Window
    inner: Window
    weight: F32
    mask: Mask
    spacing_mm: tuple[float, float]
    references: Mask
    field: F32
    roughness: float
    tried: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    def moved(self) -> F32:
        return motion.warp(self.rooted, self.field, self.box)

    def trying(self, name: str, field: F32, share: float = _BETTER) -> _State:
        """With ``field`` if the film is smoother by it, else with the field that it had."""
        field = motion.without_folds(field)
        now = self._roughness(field)
        tried = _with(self.tried, name)
        if now >= share * self.roughness:
            return replace(self, tried=tried)
        return replace(
            self, field=field, roughness=now, tried=tried, stages=_with(self.stages, name)
        )

    def _roughness(self, field: F32) -> float:
        moved = motion.warp(self.rooted, field, self.box)[:, self.inner[0], self.inner[1]]
        return motion.roughness(moved, self.weight, self.references)


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)


def correct(
    film: F32,
    window: Window,
    centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    references: Mask,
) -> Motion:
    """Correct ``film`` by Scannell's two stages; arguments and result as in ``motion.correct``."""
    return _corrected(film, window, centre, spacing_mm, references, _two_stages)


def correct_by_ladder(
    film: F32,
    window: Window,
    centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    references: Mask,
) -> Motion:
    """Correct ``film`` after Hamy's RDDR; arguments and result as in ``motion.correct``."""
    return _corrected(film, window, centre, spacing_mm, references, _ladder)


def _corrected(
    film: F32,
    window: Window,
    centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    references: Mask,
    way: Callable[[_State], _State],
) -> Motion:
    begun = _begin(film, window, centre, spacing_mm, references)
    ended = way(begun)
    field = ended.field[:, :, ended.inner[0], ended.inner[1]]
    field = motion.recentre(np.ascontiguousarray(field), references)
    corrected = motion.warp(film, field, window)
    matched = motion.agreement(corrected, ended.weight, references)
    return Motion(
        corrected, field, matched, ended.tried, ended.stages, (begun.roughness, ended.roughness)
    )


def _begin(
    film: F32,
    window: Window,
    centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    references: Mask,
) -> _State:
    rooted = np.sqrt(np.maximum(film, 0)).astype(np.float32)
    box = []
    for side, size, pixel in zip(window, film.shape[1:], spacing_mm, strict=True):
        more = round(_MARGIN_MM / pixel)
        box.append(slice(max(0, side.start - more), min(size, side.stop + more)))
    inner = tuple(
        slice(side.start - out.start, side.stop - out.start)
        for side, out in zip(window, box, strict=True)
    )
    shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    middle = (centre[0] - window[0].start, centre[1] - window[1].start)
    weight = motion.heart_weight(shape, middle, spacing_mm)
    rows, cols = np.mgrid[box[0], box[1]]
    distance = np.hypot((rows - centre[0]) * spacing_mm[0], (cols - centre[1]) * spacing_mm[1])
    crop = motion.crop(rooted, window)
    return _State(
        rooted=rooted,
        box=(box[0], box[1]),
        inner=(inner[0], inner[1]),
        weight=weight,
        mask=np.asarray(distance < _HEART_MM),
        spacing_mm=spacing_mm,
        references=references,
        field=np.zeros((len(film), 2, *rows.shape), dtype=np.float32),
        roughness=motion.roughness(crop, weight, references),
    )


# --- Scannell 2019 ------------------------------------------------------------------------------
def _two_stages(state: _State) -> _State:
    state = _translated(_translated(state, _SPARSE), _SPARSE, again=True)
    for _ in range(_REFINE_ROUNDS):
        before, state = state, _bent_to_own(state)
        if state.field is before.field:
            break
    return state


def _translated(state: _State, sparse: float, *, again: bool = False) -> _State:
    """Each frame's low-rank part shifted onto that of the frame most like the others.

    Once that is done, their median is a better reference: what went astray is found ``again``.
    """
    moved = state.moved()
    plain = _low_rank(moved, state.references, sparse)
    numbers = np.flatnonzero(state.references)
    shifts = np.zeros((len(moved), 2), dtype=np.float32)
    # Edges tell the whole pixels, whichever side of them is brighter; the rest is told by values.
    outlines = motion.edges(plain, 1)
    if again:
        fixed, target = np.median(outlines, axis=0), np.median(plain, axis=0)
    else:
        one = _most_typical(outlines, state.mask)
        fixed, target = outlines[one], plain[one]
    for t, frame, outline in zip(numbers, plain, outlines, strict=True):
        start = _nearest_shift(fixed, outline, state.mask, state.spacing_mm)
        shifts[t] = _shift(target, frame, start, state.mask, state.spacing_mm)
    others = np.flatnonzero(~state.references)
    if len(others):
        # Of another contrast: they are laid on the corrected film by their edges.
        field = motion.constant(shifts, moved.shape[1:])
        still = motion.warp(moved, field, motion.whole(moved))
        usual = motion.edges(still, 1)[numbers].mean(axis=0)
        edges = motion.edges(moved, 1)
        for t in others:
            start = _nearest_shift(usual, edges[t], state.mask, state.spacing_mm)
            shifts[t] = _shift(usual, edges[t], start, state.mask, state.spacing_mm)
    return state.trying("translation", state.field + motion.constant(shifts, moved.shape[1:]), 1.0)


def _bent_to_own(state: _State) -> _State:
    """Each frame bent onto what PCA says it should look like at its own time."""
    moved = state.moved()
    matched = motion.agreement(
        np.square(moved[:, state.inner[0], state.inner[1]]), state.weight, state.references
    )
    numbers = np.flatnonzero(state.references & np.isfinite(matched))
    tame = numbers[matched[numbers] >= _WILD * np.median(matched[numbers])]
    flat = moved[tame].reshape(len(tame), -1)
    told = pca_references(flat, components=min(_COMPONENTS, len(tame) - 1))
    field = state.field.copy()
    for t, target in zip(tame, told.reshape(moved[tame].shape), strict=True):
        step = _bend(target, moved[t], state.mask, state.spacing_mm, _FINE_GRID_MM, alike=True)
        field[t] = _composed(field[t], step)
    return state.trying("non-rigid", field)


# --- Hamy 2014 ----------------------------------------------------------------------------------
def _ladder(state: _State) -> _State:
    state = _translated(_translated(state, _RUNGS[0]), _RUNGS[0], again=True)
    for sparse in _RUNGS:
        before, state = state, _bent_to_usual(state, sparse)
        if state.field is before.field:
            break
    return state


def _bent_to_usual(state: _State, sparse: float) -> _State:
    """Each frame's low-rank part bent onto the usual one."""
    plain = _low_rank(state.moved(), state.references, sparse)
    usual = np.median(plain, axis=0).astype(np.float32)
    field = state.field.copy()
    for t, frame in zip(np.flatnonzero(state.references), plain, strict=True):
        step = _bend(usual, frame, state.mask, state.spacing_mm, _COARSE_GRID_MM, alike=False)
        field[t] = _composed(field[t], step)
    return state.trying(f"rung {sparse:g}", field)


# --- parts --------------------------------------------------------------------------------------
def _low_rank(moved: F32, references: Mask, sparse: float) -> F32:
    """The film of its references without what is sparse: the passage of contrast."""
    body = moved[references].reshape(int(references.sum()), -1)
    # What is in f of T frames costs weight × T f as sparse, but only √(T f) as low rank.
    weight = sparse * np.sqrt(_FRAMES / len(body)) / np.sqrt(body.shape[1])
    low_rank, _ = robust_pca(body.T.astype(np.float64), weight=float(weight))
    return np.ascontiguousarray(low_rank.T, dtype=np.float32).reshape(-1, *moved.shape[1:])


def _most_typical(frames: F32, mask: Mask) -> int:
    """The frame that correlates best with the others inside the mask."""
    flat = frames[:, mask].astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
    return int(np.median(flat @ flat.T, axis=1).argmax())


def _composed(first: F32, step: F32) -> F32:
    """(2, r, c) d with x + d(x) = y + first(y) at y = x + step(x)."""
    rows, cols = np.mgrid[: first.shape[1], : first.shape[2]].astype(np.float32)
    at = (rows + step[0], cols + step[1])
    return np.stack(
        [
            step[axis] + ndimage.map_coordinates(first[axis], at, order=1, mode="nearest")
            for axis in (0, 1)
        ]
    ).astype(np.float32)


def _image(array: NDArray[np.generic], spacing_mm: tuple[float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((spacing_mm[1], spacing_mm[0]))
    return image


def _shift(fixed: F32, frame: F32, start: F32, mask: Mask, spacing_mm: tuple[float, float]) -> F32:
    """(row, column) pixels near ``start`` with frame(x + shift) like fixed(x) inside the mask."""
    transform = sitk.TranslationTransform(
        2, (float(start[1] * spacing_mm[1]), float(start[0] * spacing_mm[0]))
    )
    method = _method(mask, spacing_mm, alike=False)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=0.02, numberOfIterations=30, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    if not _registered(method, fixed, frame, mask, spacing_mm):
        return start
    col, row = transform.GetOffset()
    found = np.array([row / spacing_mm[0], col / spacing_mm[1]], dtype=np.float32)
    # The search has seen every whole pixel; what goes far from its answer has lost its way.
    return found if np.abs(found - start).max() < 2 else start


def _nearest_shift(fixed: F32, frame: F32, mask: Mask, spacing_mm: tuple[float, float]) -> F32:
    """The whole shift of highest correlation, all within reach being tried (Padfield 2012)."""
    part = _part(mask)
    top, left = part[0].start, part[1].start
    search = sitk.MaskedFFTNormalizedCorrelationImageFilter()
    search.SetNumberOfThreads(1)
    search.SetNumberOfWorkUnits(1)
    search.SetRequiredFractionOfOverlappingPixels(0.6)
    likeness = sitk.GetArrayFromImage(
        search.Execute(
            sitk.GetImageFromArray(frame),
            sitk.GetImageFromArray(fixed[part]),
            sitk.GetImageFromArray(np.ones_like(frame)),
            sitk.GetImageFromArray(mask[part].astype(np.float32)),
        )
    )
    size = (part[0].stop - top, part[1].stop - left)
    far = [np.arange(likeness.shape[k]) - (size[k] - 1) - (top, left)[k] for k in (0, 1)]
    near = np.hypot(far[0][:, None] * spacing_mm[0], far[1][None] * spacing_mm[1]) <= _FARTHEST_MM
    row, col = np.unravel_index(np.where(near, likeness, -2).argmax(), likeness.shape)
    return np.array([far[0][row], far[1][col]], dtype=np.float32)


def _part(mask: Mask) -> Window:
    """The rows and columns in which the mask lies."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _bend(
    fixed: F32,
    frame: F32,
    mask: Mask,
    spacing_mm: tuple[float, float],
    grid_mm: float,
    *,
    alike: bool,
) -> F32:
    """(2, r, c) pixels d with frame(x + d(x)) like fixed(x), of cubic B-splines; 0 if none."""
    rows, cols = part = _part(mask)
    nothing = np.zeros((2, *fixed.shape), dtype=np.float32)
    image = _image(fixed, spacing_mm)[cols, rows]
    mesh = [
        max(1, round(size * pixel / grid_mm))
        for size, pixel in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    transform = sitk.BSplineTransformInitializer(image, mesh, 3)
    method = _method(mask, spacing_mm, alike=alike)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5,
        numberOfIterations=_MOST_STEPS,
        maximumNumberOfCorrections=5,
    )
    method.SetInitialTransform(transform, inPlace=True)
    if not _registered(method, fixed, frame, mask, spacing_mm):
        return nothing
    told = sitk.GetArrayFromImage(
        sitk.TransformToDisplacementField(
            transform, sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(),
            image.GetSpacing(),
        )
    )  # fmt: skip
    field = np.stack([told[..., 1] / spacing_mm[0], told[..., 0] / spacing_mm[1]])
    if not np.isfinite(field).all():
        return nothing
    # Around the splines the picture moves as their border does.
    around = [(side.start, size - side.stop) for side, size in zip(part, fixed.shape, strict=True)]
    return np.pad(field, [(0, 0), *around], mode="edge").astype(np.float32)


def _method(
    mask: Mask, spacing_mm: tuple[float, float], *, alike: bool
) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    if alike:
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricFixedMask(_image(mask.astype(np.uint8), spacing_mm))
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _registered(
    method: sitk.ImageRegistrationMethod,
    fixed: F32,
    frame: F32,
    mask: Mask,
    spacing_mm: tuple[float, float],
) -> bool:
    """Whether the transform was found; a frame without any structure has none."""
    smooth = [_image(ndimage.gaussian_filter(one, 0.7), spacing_mm) for one in (fixed, frame)]
    rows, cols = _part(mask)
    try:
        # Only pixels of the mask are compared: the rest of the picture would cost time.
        method.Execute(smooth[0][cols, rows], smooth[1])
    except RuntimeError:
        return False
    return True
