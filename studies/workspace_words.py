"""What the workspace says: its program in the browser holds no words of its own."""

from __future__ import annotations

from django.utils.translation import gettext as _


def strings() -> dict[str, str]:
    """By name; what stands in braces is filled in by the program."""
    return {
        "frame": _("Frame {frame} of {frames}, {time} s"),
        "leftOut": _("left out: {reason}"),
        "noSegment": _("no segment"),
        "signal": _("signal {value}"),
        "noFlow": _("no flow here"),
        "row": _("row {row}, column {column}"),
        "lost": _("This film could not be loaded. Check the connection, and load the page again."),
        "ended": _(
            "You are signed out, or the study is no longer shared with you. Load the page again."
        ),
        "kept": _("Kept at {at}."),
        "keeping": _("Keeping…"),
        "notKept": _("Not kept yet: no connection. It is tried again."),
        "conflict": _("{by} kept other outlines at {at}. Yours are still on the screen."),
        "somebody": _("Somebody else"),
        "nothingDrawn": _("Nothing has been drawn over this result."),
        "region": _("{pixels} pixels, {area} mm²"),
        "regionUnscaled": _("{pixels} pixels"),
        "regionFlow": _("flow {mean} ± {sd} {unit}, from {low} to {high}, in {count} pixels"),
        "regionNoFlow": _("no flow was computed in this region"),
        "regionHow": _("Click round a region; a double click, or the key C, closes it."),
        "explain": _(
            "Segment {number}, {name}: flow {mbf} {unit}{interval}. The fitted curve "
            "leaves {residual} % of the peak unexplained; {out} of {frames} frames were "
            "left out."
        ),
        "explainUnknown": _("Segment {number}, {name}: flow is not known here."),
        "interval": _(" (90 % interval {low} to {high})"),
        "noCurve": _(
            "No curve is kept for this segment: its flow comes from its pixels, or from "
            "another model."
        ),
        "input": _("Blood (input), right scale"),
        "measured": _("Muscle, measured"),
        "fitted": _("Muscle, fitted"),
        "out": _("Left out"),
        "residual": _("Measured less fitted"),
        "time": _("Time, s"),
        "unit": _("mmol/l"),
        "regionSignal": _("Signal in the region"),
        "play": _("Play"),
        "pause": _("Pause"),
        "missing": _("{count} pixels of the new wall have no flow yet."),
        "handle": _("{what}, point {number}"),
        "endocardium": _("inner outline"),
        "epicardium": _("outer outline"),
        "aif_region": _("region of the input function"),
        "rv_insertion_anterior": _("anterior insertion point"),
        "rv_insertion_inferior": _("inferior insertion point"),
        "crossing": _(
            "The inner outline crosses the outer one in {series}. Draw the wall between "
            "them before you analyse again."
        ),
        "discard": _("Take back all that was drawn over this result?"),
    }
