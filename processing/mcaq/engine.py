"""MCAQ as an engine: motion correction and quantification, the engine of record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from processing.mcaq import pipeline
from processing.mcaq.series import Series, StudyResult


class Mcaq:
    """The pipeline under its name and version."""

    name = pipeline.ENGINE_NAME
    version = pipeline.ENGINE_VERSION

    def analyse(
        self,
        series: Sequence[Series],
        parameters: Mapping[str, object],
        progress: Callable[[str, float], None],
    ) -> StudyResult:
        """Analyse the series of one study; see ``pipeline.analyse``."""
        return pipeline.analyse(series, parameters, progress)
