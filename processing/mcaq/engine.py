"""MCAQ as engines: the engine of record, and the same with older ways to correct motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from processing.mcaq import motion, pipeline
from processing.mcaq.series import Series, StudyResult


class Mcaq:
    """The pipeline under its name and version."""

    name = pipeline.ENGINE_NAME
    version = pipeline.ENGINE_VERSION

    def hold_still(self) -> pipeline.HoldStill:
        """The way in which motion is corrected."""
        return motion.correct

    def analyse(
        self,
        series: Sequence[Series],
        parameters: Mapping[str, object],
        progress: Callable[[str, float], None],
    ) -> StudyResult:
        """Analyse the series of one study; see ``pipeline.analyse``."""
        return pipeline.analyse(series, parameters, progress, self.hold_still())


# SimpleITK is loaded by those who ask for it alone: the engine of record does without.
class McaqClassic(Mcaq):
    """All as MCAQ, but motion is corrected as Scannell 2019 did."""

    name = "mcaq-classic"

    def hold_still(self) -> pipeline.HoldStill:
        from processing.mcaq import classic

        return classic.correct


class McaqClassicRddr(Mcaq):
    """All as MCAQ, but motion is corrected after Hamy 2014."""

    name = "mcaq-classic-rddr"

    def hold_still(self) -> pipeline.HoldStill:
        from processing.mcaq import classic

        return classic.correct_by_ladder
