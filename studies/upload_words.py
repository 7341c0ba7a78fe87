"""What the upload says: its programs in the browser hold no words of their own."""

from __future__ import annotations

from django.utils.translation import gettext as _


def strings() -> dict[str, str]:
    """By name; what stands in braces is filled in by the program."""
    return {**_choosing(), **_listing(), **_sending(), **_rules()}


def _choosing() -> dict[str, str]:
    return {
        "file": _("1 file"),
        "files": _("{count} files"),
        "nothingToSend": _(
            "There is no file to send in what you chose. Choose the folder that holds the study’s "
            "DICOM files."
        ),
        "noDicom": _(
            "There is no DICOM file in what you chose. Choose the folder that holds the study’s "
            "images."
        ),
        "readingFolder": _("Reading the folder"),
        "readingHeaders": _("Reading the files’ headers"),
        "read": _("{count} of {files} read"),
        "moreLeftOut": _("{count} more are left out."),
        "notReadable": _("{name} could not be read from the disk and is left out."),
        "systemFile": _("1 file of the operating system is left out."),
        "systemFiles": _("{count} files of the operating system are left out."),
        "severalPatients": _(
            "These files are of {count} patients. Leave out those that are not meant."
        ),
        "severalStudies": _(
            "These files are of {count} examinations of one patient. Leave out those that are not "
            "meant."
        ),
        "chosen": _("{files} chosen, {mb} MB"),
        "upload": _("Upload {files}"),
        # Why files stay behind: one file by its name, or several of one kind.
        "emptyOne": _("{names} is empty. Export it again from the scanner or the archive. It is "
                      "not sent."),
        "otherOne": _("{names} is not a DICOM file. It is not sent."),
        "directoryOne": _("{names} is the index of a disc, and holds no image. It is not sent."),
        "largeOne": _("{names} is larger than the site takes. It is not sent."),
        "unreadableOne": _("{names} could not be read from the disk. Check that it may be read. "
                           "It is not sent."),
        "emptyMany": _("{count} files are not sent: {names}. Each of them is empty. Export it "
                       "again from the scanner or the archive."),
        "otherMany": _("{count} files are not sent: {names}. Each of them is not a DICOM file."),
        "directoryMany": _("{count} files are not sent: {names}. Each of them is the index of a "
                           "disc, and holds no image."),
        "largeMany": _("{count} files are not sent: {names}. Each of them is larger than the site "
                       "takes."),
        "unreadableMany": _("{count} files are not sent: {names}. Each of them could not be read "
                            "from the disk. Check that it may be read."),
        "andMore": _("{names} and {count} more"),
    }  # fmt: skip


def _listing() -> dict[str, str]:
    return {
        "archives": _("ZIP archives"),
        "archivesHint": _("{files}, opened on the site"),
        "unknown": _("DICOM files whose header this page cannot read"),
        "unknownHint": _("{files}, looked at on the site"),
        "noName": _("No name"),
        "born": _("born {day}"),
        "examination": _("Examination"),
        "examinationOf": _("Examination of {day}"),
        "seriesNumber": _("Series {number}"),
        "seriesWithoutNumber": _("Series without number"),
        "seriesSize": _("{files}, {mb} MB"),
        "noMr": _("{files}, {mb} MB. No MR image: left out"),
        "inOneSeries": _("{files} in 1 series"),
        "inSeries": _("{files} in {count} series"),
        "showSeries": _("Show its {count} series"),
        "noRules": _("The site did not tell its rules. Open this again in a moment."),
        "othersRemoved": _("{count} other elements of this file are removed"),
        "privateRemoved": _(
            "{count} private elements of the scanner are removed but for a few numbers"
        ),
        "othersKept": _(
            "{count} others, numbers and codes that flow is computed with, are kept"
        ),
    }  # fmt: skip


def _sending() -> dict[str, str]:
    return {
        "sent": _("{count} of {files} sent"),
        "sentBytes": _("{mb} of {all} MB"),
        "resumed": _("{files} had arrived before and are not sent again."),
        "stored": _("{count} of {files} stored"),
        "nothingChosen": _("Nothing is chosen. Tick at least one series."),
        "goOn": _("Go on sending"),
        "tryAgain": _("Try again"),
        "withdrawn": _("The upload was withdrawn."),
        "notSent": _("The files could not be sent. Load this page again and try once more."),
        "gone": _(
            "{name} could not be read. Check that it is still where it was, and go on."
        ),
        "lost": _(
            "The connection was lost, or a file is no longer where it was. Check both and go on; "
            "what was sent is kept."
        ),
        "signedOut": _(
            "You have been signed out. Load this page again, sign in and choose the folder again; "
            "what was sent is kept."
        ),
        "notThere": _(
            "This upload is no longer there. Load this page again and choose the folder again."
        ),
        "tooLarge": _(
            "A file is larger than the server takes. Leave it out and send the rest again."
        ),
        "notTaken": _(
            "The server did not take the files. Go on in a few minutes; what was sent is kept."
        ),
        "notUnderstood": _(
            "The server did not understand the upload. Load this page again and choose the folder "
            "again."
        ),
    }  # fmt: skip


def _rules() -> dict[str, str]:
    """What becomes of an element, by the name of the rule."""
    return {
        "ruleRemoved": _("Removed"),
        "ruleEmptied": _("Left empty"),
        "rulePseudonym": _("Replaced by a stand-in, made with your trust’s key"),
        "ruleMoved": _("Moved back by one to ten years, alike in all files of this patient"),
        "ruleWords": _("Written anew in the site’s own words"),
        "ruleLimited": _("Kept within limits"),
        "ruleChecked": _("Kept if it is a code of the standard"),
        "ruleKept": _("Kept"),
        "ruleEntered": _("What is inside is treated in the same way"),
        "ruleCleared": _("Written anew without compression"),
    }
