"""Flow of AHA segments and slices, and reserve, as a structured report (TID 1500)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementProperties,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.uid import EnhancedSRStorage

from studies.dicom.quiet import quiet
from studies.dicom.write import codes
from studies.dicom.write.corrected import Corrected
from studies.dicom.write.film import SOFTWARE_VERSION, Film, uid_of
from studies.dicom.write.flow_map import quantity
from studies.dicom.write.head import MANUFACTURER, MODEL, made_at, same_for_all, stamp
from studies.dicom.write.masks import aha_label, parts
from studies.intended_use import INTENDED_USE

_SERIES_NUMBER = 9601
#: What the report's content says of itself.
_ROOT = (
    "ValueType", "ConceptNameCodeSequence", "ContinuityOfContent", "ContentTemplateSequence",
    "ContentSequence",
)  # fmt: skip
_INTERVAL = "Ranges of uncertainty are those of a 90 % interval."
_Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


@dataclass(frozen=True)
class Slice:
    """A film with the objects that were made of it."""

    film: Film
    frames: Corrected
    segmentation: Dataset | None


@quiet
def report(slices: Sequence[Slice], reserve: Mapping[int, float]) -> Dataset:
    """One report of the whole study. slices: at least one; reserve: by AHA number."""
    first = slices[0].film
    key = b"".join(one.film.key for one in slices)
    groups: list[_Group] = []
    for one in slices:
        groups += _of_slice(one)
    groups += [_of_reserve(key, first, number, reserve[number]) for number in sorted(reserve)]
    ds = same_for_all(first)
    # A report lies nowhere in the patient.
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    root = _content(groups, key)[0]
    for keyword in _ROOT:
        ds[keyword] = root[keyword]
    ds.SOPClassUID = EnhancedSRStorage
    ds.Modality = "SR"
    ds.SeriesInstanceUID, ds.SOPInstanceUID = uid_of(key, "report"), uid_of(key, "report", 1)
    ds.SeriesNumber, ds.InstanceNumber = _SERIES_NUMBER, 1
    ds.SeriesDescription = "Flow by AHA segment, research"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = [codes.CARDIAC_MRI]
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    ds.CurrentRequestedProcedureEvidenceSequence = [_evidence(slices)]
    ds.CodingSchemeIdentificationSequence = [codes.own_scheme()]
    stamp(ds, max(made_at(one.film) for one in slices))
    return ds


def _evidence(slices: Sequence[Slice]) -> Dataset:
    """The objects that the report refers to, by series."""
    study = Dataset()
    study.StudyInstanceUID = str(slices[0].film.head.StudyInstanceUID)
    series = []
    for one in slices:
        for ds in (one.frames.last, one.segmentation):
            if ds is not None:
                instance, item = Dataset(), Dataset()
                instance.ReferencedSOPClassUID = ds.SOPClassUID
                instance.ReferencedSOPInstanceUID = ds.SOPInstanceUID
                item.SeriesInstanceUID = ds.SeriesInstanceUID
                item.ReferencedSOPSequence = [instance]
                series.append(item)
    study.ReferencedSeriesSequence = series
    return study


def _content(groups: Sequence[_Group], key: bytes) -> ContentSequence:
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=standard.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=uid_of(b"CoreCMR", SOFTWARE_VERSION),
                    name=MODEL,
                    manufacturer_name=MANUFACTURER,
                    model_name=MODEL,
                    serial_number=f"CoreCMR-{SOFTWARE_VERSION}",
                ),
            )
        ),
        procedure_reported=codes.CARDIAC_MRI,
        imaging_measurements=groups,
        title=standard.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(
        TextContentItem(
            name=codes.COMMENT,
            value=f"{INTENDED_USE} {_INTERVAL}",
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
    )
    return content


def _of_slice(one: Slice) -> list[_Group]:
    film = one.film
    numbers = {name: n for n, (name, _) in enumerate(parts(film), start=1)}
    groups: list[_Group] = []
    for number, flow in sorted(film.segments.items()):
        if flow.mbf is None:
            continue
        label = aha_label(number)
        measured = [_flow(film, flow.mbf, flow.low, flow.high)]
        said = _state(film)
        if flow.ischaemic is not None:
            said.append(
                QualitativeEvaluation(
                    codes.BELOW_ISCHAEMIA_CUT, codes.YES if flow.ischaemic else codes.NO
                )
            )
        tracking = TrackingIdentifier(
            uid=film.uid("track", label), identifier=f"{film.folder} {label}"
        )
        if one.segmentation is not None and label in numbers:
            groups.append(
                PlanarROIMeasurementsAndQualitativeEvaluations(
                    tracking_identifier=tracking,
                    referenced_segment=_region(one.segmentation, one.frames.last, numbers[label]),
                    finding_type=codes.MYOCARDIUM,
                    method=codes.method(film.making.model),
                    algorithm_id=_algorithm(film),
                    finding_sites=[FindingSite(codes.AHA[number])],
                    measurements=measured,
                    qualitative_evaluations=said,
                )
            )
        else:
            groups.append(_group(film, tracking, codes.AHA[number], measured, said))
    if film.mbf_global is not None:
        tracking = TrackingIdentifier(uid=film.uid("slice"), identifier=f"{film.folder} slice")
        measured = [_flow(film, film.mbf_global, None, None)]
        groups.append(_group(film, tracking, codes.MYOCARDIUM, measured, _state(film)))
    return groups


def _region(segmentation: Dataset, frame: Dataset, number: int) -> ReferencedSegmentationFrame:
    """A segment of the object; each has one frame there, in the order of the segments."""
    region = ReferencedSegmentationFrame(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        frame_number=number,
        segment_number=number,
        source_image=SourceImageForSegmentation(frame.SOPClassUID, frame.SOPInstanceUID),
    )
    # The standard has either the frame's number or the segment's, never both.
    del region[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return region


def _group(
    film: Film,
    tracking: TrackingIdentifier,
    site: CodedConcept,
    measured: list[Measurement],
    said: list[QualitativeEvaluation],
) -> MeasurementsAndQualitativeEvaluations:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=codes.MYOCARDIUM,
        method=codes.method(film.making.model),
        algorithm_id=_algorithm(film),
        finding_sites=[FindingSite(site)],
        measurements=measured,
        qualitative_evaluations=said,
    )


def _flow(film: Film, value: float, low: float | None, high: float | None) -> Measurement:
    """Flow with its 90 % interval as ranges above and below the value."""
    unit = codes.ML_PER_MIN_PER_G if film.is_flow else codes.NO_UNIT
    properties = None
    if low is not None and high is not None:
        properties = MeasurementProperties(
            upper_measurement_uncertainty=float(high - value),
            lower_measurement_uncertainty=float(value - low),
        )
        for item in properties:
            # Ranges have the unit of the value; highdicom gives them none.
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [unit]
    return Measurement(
        name=quantity(film),
        value=float(value),
        unit=unit,
        derivation=codes.MEAN,
        properties=properties,
    )


def _state(film: Film) -> list[QualitativeEvaluation]:
    state = codes.STATES.get(film.state)
    return [] if state is None else [QualitativeEvaluation(codes.PATIENT_STATE, state)]


def _algorithm(film: Film) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=film.making.engine,
        version=film.making.version,
        parameters=[f"sha256 {film.making.parameters_sha256}"],
    )


def _of_reserve(
    key: bytes, film: Film, number: int, value: float
) -> MeasurementsAndQualitativeEvaluations:
    tracking = TrackingIdentifier(
        uid=uid_of(key, "reserve", number), identifier=f"reserve {aha_label(number)}"
    )
    measured = Measurement(name=codes.PERFUSION_RESERVE, value=float(value), unit=codes.RATIO)
    return _group(film, tracking, codes.AHA[number], [measured], [])
