"""The phantom as enhanced MR objects, Philips style: one multi-frame file for each state.

Every frame names its own time, place, position in time and scaling. Stored values are scaled
differently for stress and rest; what can be compared is stored · RS / (RS · SS), with the slope
RS of the standard and the scale slope SS of the maker's private tag (2005,100E).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage

from processing import phantom_vendors
from processing.mcaq.phantom import PhantomStudy, SeriesTruth
from processing.mcaq.series import Series
from processing.phantom_vendors import Film

_SCALE_SLOPE = {"stress": 4.75, "rest": 3.6}
_SLOPE = {"stress": 1.37, "rest": 1.12}


def philips(study: PhantomStudy, head: Dataset, start: datetime) -> Iterator[Dataset]:
    """One object for each state, and one for its input series if there is one."""
    for state in dict.fromkeys(one.state for one in study.series):
        mine = [film for film in phantom_vendors.films(study) if film[1].state == state]
        for is_input in (True, False):
            group = [film for film in mine if film[3] is is_input]
            if group:
                yield one_object(study, head, start, state, group, is_input)


def scale_slope(group: Dataset) -> float:
    """The maker's scale slope of a frame's functional groups."""
    outer = group.private_block(0x2005, "Philips MR Imaging DD 005")
    inner = outer[0x0F].value[0].private_block(0x2005, "Philips MR Imaging DD 001")
    return float(inner[0x0E].value)


def one_object(
    study: PhantomStudy, head: Dataset, start: datetime, state: str, films: list[Film],
    is_input: bool,
) -> Dataset:  # fmt: skip
    """One multi-frame file of films that have their frames in the same beats."""
    ds = copy.deepcopy(head)
    stress = state == "stress"
    how = films[0][1].acquisition
    number = 2 * int(stress) + int(is_input)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = phantom_vendors.uid(study.seed, 6, number)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "PERFUSION", "NONE"]
    ds.Manufacturer = "Philips Medical Systems"
    ds.ManufacturerModelName = "Ingenia"
    ds.DeviceSerialNumber = "90003"
    ds.SoftwareVersions = "5.6.1"
    ds.SeriesInstanceUID = phantom_vendors.uid(study.seed, 7, number)
    ds.SeriesNumber = str(301 if stress else 601) if not is_input else str(300 if stress else 600)
    ds.SeriesDescription = f"sPERF {state}{' AIF' if is_input else ''}"
    ds.ProtocolName = f"sPERF {state}"
    clocks = [phantom_vendors.clock(series, truth) for _, series, truth, _ in films]
    begun = start + timedelta(seconds=min(clock[0] for clock in clocks))
    ds.SeriesTime = begun.strftime("%H%M%S.%f")
    ds.ContentTime = (begun + timedelta(seconds=95)).strftime("%H%M%S.%f")
    ds.AcquisitionDateTime = begun.strftime("%Y%m%d%H%M%S.%f")
    del ds.AcquisitionDate
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.AcquisitionDuration = max(clock[-1] for clock in clocks) - min(c[0] for c in clocks)
    _sequence(ds, how.field_t or 1.5)
    # The standard has no place for the time after saturation; the maker calls it prepulse delay.
    ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(
        0x1B, "FL", how.saturation_time_ms
    )
    _organisation(ds, study.seed, number)
    _agent(ds)
    ds.AcquisitionContextSequence = Sequence()
    ds.SharedFunctionalGroupsSequence = [_shared(films[0])]
    stack = {truth.level: n for n, truth in enumerate({t.level: t for *_, t, _ in films}.values())}
    frames, pictures = [], []
    for frame in range(len(films[0][1].times_s)):
        for place, (_, series, truth, _) in enumerate(films):
            when = start + timedelta(seconds=clocks[place][frame])
            frames.append(_frame(series, truth, frame, stack[truth.level], when, state))
            pictures.append(series.signal[frame] * _SCALE_SLOPE[state])
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.NumberOfFrames = str(len(frames))
    ds.Rows, ds.Columns = films[0][1].signal.shape[1:]
    phantom_vendors.pixels(ds, np.stack(pictures))
    del ds.WindowCenter, ds.WindowWidth
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"
    return ds


def _sequence(ds: Dataset, field: float) -> None:
    ds.PulseSequenceName = "T1TFE"
    ds.MagneticFieldStrength = field
    ds.ResonantNucleus = "1H"
    ds.KSpaceFiltering = "NONE"
    ds.ApplicableSafetyStandardAgency = "IEC"
    ds.ContentQualification = "PRODUCT"
    ds.MRAcquisitionType = "2D"
    ds.EchoPulseSequence = "GRADIENT"
    ds.MultiPlanarExcitation = "NO"
    ds.PhaseContrast = "NO"
    ds.TimeOfFlightContrast = "NO"
    ds.SteadyStatePulseSequence = "NONE"
    ds.EchoPlanarPulseSequence = "NO"
    ds.SaturationRecovery = "YES"
    ds.SpectrallySelectedSuppression = "NONE"
    ds.OversamplingPhase = "NONE"
    ds.GeometryOfKSpaceTraversal = "RECTILINEAR"
    ds.RectilinearPhaseEncodeReordering = "LINEAR"
    ds.SegmentedKSpaceTraversal = "FULL"
    ds.NumberOfKSpaceTrajectories = 1
    ds.PatientPosition = "HFS"
    ds.CardiacSynchronizationTechnique = "PROSPECTIVE"
    ds.CardiacSignalSource = "ECG"
    ds.CardiacRRIntervalSpecified = 700.0
    ds.CardiacBeatRejectionTechnique = "NONE"
    ds.LowRRValue = ds.HighRRValue = "0"
    ds.IntervalsAcquired = ds.IntervalsRejected = "0"
    ds.RespiratoryMotionCompensationTechnique = "NONE"
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.ComplexImageComponent = "MAGNITUDE"
    ds.AcquisitionContrast = "PERFUSION"


def _agent(ds: Dataset) -> None:
    """Enhanced objects have the agent in a sequence, by code."""
    (item,) = _code("407976008", "SCT", "Gadobutrol")
    item.ContrastBolusAgentNumber = 1
    item.ContrastBolusAdministrationRouteSequence = _code("47625008", "SCT", "Intravenous route")
    item.ContrastBolusVolume = "5.6"
    ds.ContrastBolusAgentSequence = [item]


def _organisation(ds: Dataset, seed: int, number: int) -> None:
    """Frames are counted by slice, then by time."""
    organisation = phantom_vendors.uid(seed, 8, number)
    item = Dataset()
    item.DimensionOrganizationUID = organisation
    ds.DimensionOrganizationSequence = [item]
    indices = []
    for pointer in ("InStackPositionNumber", "TemporalPositionIndex"):
        index = Dataset()
        index.DimensionOrganizationUID = organisation
        index.DimensionIndexPointer = _tag(pointer)
        index.FunctionalGroupPointer = _tag("FrameContentSequence")
        indices.append(index)
    ds.DimensionIndexSequence = indices


def _tag(keyword: str) -> int:
    return Tag(keyword)


def _macro(group: Dataset, name: str, **values: object) -> Dataset:
    """Add a functional group: a sequence of one item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    setattr(group, name, [item])
    return item


def _code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return [code]


def _shared(film: Film) -> Dataset:
    _, series, truth, _ = film
    how = series.acquisition
    group = Dataset()
    _macro(
        group, "PixelMeasuresSequence",
        PixelSpacing=[f"{size:.8g}" for size in series.pixel_spacing_mm],
        SliceThickness="8", SpacingBetweenSlices="18",
    )  # fmt: skip
    _macro(
        group, "PlaneOrientationSequence",
        ImageOrientationPatient=phantom_vendors.decimals(
            (*truth.placement.along_row, *truth.placement.along_column), 8
        ),
    )  # fmt: skip
    _macro(
        group, "FrameAnatomySequence",
        FrameLaterality="U", AnatomicRegionSequence=_code("80891009", "SCT", "Heart"),
    )  # fmt: skip
    _macro(
        group, "MRImageFrameTypeSequence",
        FrameType=["ORIGINAL", "PRIMARY", "PERFUSION", "NONE"], PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME", VolumeBasedCalculationTechnique="NONE",
        ComplexImageComponent="MAGNITUDE", AcquisitionContrast="PERFUSION",
    )  # fmt: skip
    _macro(
        group, "MRModifierSequence",
        InversionRecovery="NO", FlowCompensation="NONE", Spoiling="RF_AND_GRADIENT",
        T2Preparation="NO", SpectrallySelectedExcitation="NONE", SpatialPresaturation="NONE",
        PartialFourier="NO", ParallelAcquisition="YES", ParallelAcquisitionTechnique="SENSE",
        ParallelReductionFactorInPlane=2.0, ParallelReductionFactorOutOfPlane=1.0,
        ParallelReductionFactorSecondInPlane=1.0,
    )  # fmt: skip
    _macro(
        group, "MRImagingModifierSequence",
        MagnetizationTransfer="NONE", BloodSignalNulling="NO", Tagging="NONE",
        TransmitterFrequency=(how.field_t or 1.5) * 42.577, PixelBandwidth="1000",
    )  # fmt: skip
    _macro(
        group, "MRFOVGeometrySequence",
        InPlanePhaseEncodingDirection="ROW", MRAcquisitionFrequencyEncodingSteps=192,
        MRAcquisitionPhaseEncodingStepsInPlane=96, PercentSampling="82",
        PercentPhaseFieldOfView="83.3",
    )  # fmt: skip
    _macro(group, "MRAveragesSequence", NumberOfAverages="1")
    _macro(
        group, "MRReceiveCoilSequence",
        ReceiveCoilName="CARDIAC", ReceiveCoilManufacturerName="Philips",
        ReceiveCoilType="MULTICOIL", QuadratureReceiveCoil="YES",
        MultiCoilDefinitionSequence=[_coil()],
    )  # fmt: skip
    _macro(
        group, "MRTransmitCoilSequence",
        TransmitCoilName="BODY", TransmitCoilManufacturerName="Philips", TransmitCoilType="BODY",
    )  # fmt: skip
    return group


def _coil() -> Dataset:
    coil = Dataset()
    coil.MultiCoilElementName, coil.MultiCoilElementUsed = "1", "YES"
    return coil


def _frame(
    series: Series, truth: SeriesTruth, frame: int, place: int, when: datetime, state: str
) -> Dataset:
    how = series.acquisition
    group = Dataset()
    stamp = when.strftime("%Y%m%d%H%M%S.%f")
    _macro(
        group, "FrameContentSequence",
        FrameAcquisitionNumber=1, FrameReferenceDateTime=stamp, FrameAcquisitionDateTime=stamp,
        FrameAcquisitionDuration=105.0, StackID="1", InStackPositionNumber=place + 1,
        TemporalPositionIndex=frame + 1, DimensionIndexValues=[place + 1, frame + 1],
    )  # fmt: skip
    _macro(
        group, "PlanePositionSequence",
        ImagePositionPatient=phantom_vendors.decimals(
            phantom_vendors.first_pixel(series, truth)
        ),
    )  # fmt: skip
    _macro(group, "MREchoSequence", EffectiveEchoTime=float(how.echo_time_ms or 1.1))
    _macro(
        group, "CardiacSynchronizationSequence",
        NominalCardiacTriggerDelayTime=truth.trigger_delay_ms,
        ActualCardiacTriggerDelayTime=truth.trigger_delay_ms,
        RRIntervalTimeNominal=float(truth.beat_ms[frame]),
    )  # fmt: skip
    pd = series.roles[frame] == "pd"
    _macro(
        group, "MRTimingAndRelatedParametersSequence",
        RepetitionTime=f"{how.repetition_time_ms:g}",
        FlipAngle=f"{how.pd_flip_angle_deg if pd else how.flip_angle_deg:g}",
        EchoTrainLength="0", RFEchoTrainLength=0, GradientEchoTrainLength=48,
        SpecificAbsorptionRateSequence=[_sar()], GradientOutputType="DB_DT", GradientOutput=0.0,
        OperatingModeSequence=[_mode(kind) for kind in ("STATIC FIELD", "RF", "GRADIENT")],
    )  # fmt: skip
    slope = _SLOPE[state]
    _macro(
        group, "PixelValueTransformationSequence",
        RescaleIntercept="0", RescaleSlope=f"{slope:g}", RescaleType="US",
    )  # fmt: skip
    _macro(group, "FrameVOILUTSequence", WindowCenter="1200", WindowWidth="2400")
    real = _macro(
        group, "RealWorldValueMappingSequence",
        LUTLabel="Philips", LUTExplanation="no units", RealWorldValueIntercept=0.0,
        RealWorldValueSlope=slope,
        MeasurementUnitsCodeSequence=_code("1", "UCUM", "no units"),
    )  # fmt: skip
    real.add_new(0x00409216, "US", 0)
    real.add_new(0x00409211, "US", 4095)
    outer = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
    private = Dataset()
    private.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(
        0x0E, "FL", _SCALE_SLOPE[state]
    )
    outer.add_new(0x0F, "SQ", [private])
    return group


def _sar() -> Dataset:
    sar = Dataset()
    sar.SpecificAbsorptionRateDefinition, sar.SpecificAbsorptionRateValue = "IEC_WHOLE_BODY", 0.3
    return sar


def _mode(kind: str) -> Dataset:
    mode = Dataset()
    mode.OperatingModeType, mode.OperatingMode = kind, "IEC_NORMAL"
    return mode
