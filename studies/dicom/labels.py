"""What a scanner's free text says about a series, in our own few words.

Only these words survive de-identification, so that sorting finds the same before and after.
"""

from __future__ import annotations

import re
from typing import Literal

State = Literal["stress", "rest", "unknown"]
SliceWord = Literal["basal", "mid", "apical"]

_STRESS = re.compile(
    r"stress|str[eé]s|adeno|regaden|dipyri|persantin|dobuta|rapiscan|lexiscan|belastung|vasodil",
    re.IGNORECASE,
)
_REST = re.compile(r"(?<![a-z])rest(?![a-z])|repos|ruhe|riposo|reposo|in rust", re.IGNORECASE)
_AIF = re.compile(r"(?<![a-z])aif(?![a-z])|arterial.?input|low.?res", re.IGNORECASE)
_SLICES: tuple[tuple[SliceWord, re.Pattern[str]], ...] = (
    ("basal", re.compile(r"(?<![a-z])(basal|base|bas)(?![a-z])|[_ -]b$", re.IGNORECASE)),
    ("mid", re.compile(r"(?<![a-z])(mid|medial|middle)(?![a-z])|[_ -]m$", re.IGNORECASE)),
    ("apical", re.compile(r"(?<![a-z])(apical|apex|apic)(?![a-z])|[_ -]a$", re.IGNORECASE)),
)
_BALANCED = re.compile(r"tfi|trufi|fisp|fiesta|bffe|b-?tfe|bssfp", re.IGNORECASE)
_SPOILED = re.compile(r"tfl|flash|fl[23]d|fgre|spgr|tfe|ffe", re.IGNORECASE)
_SHOT = re.compile(r"_(\d{1,3})$")
_AGENTS = (
    ("gadobutrol", re.compile(r"gadobutrol|gadovist|gadavist", re.IGNORECASE)),
    ("gadoterate", re.compile(r"gadoter[ia]|dotarem|clariscan|gd-?dota", re.IGNORECASE)),
    ("gadoteridol", re.compile(r"gadoteridol|prohance", re.IGNORECASE)),
    ("gadobenate", re.compile(r"gadobenate|multihance", re.IGNORECASE)),
    ("gadopentetate", re.compile(r"gadopentet|magnevist", re.IGNORECASE)),
    ("gadodiamide", re.compile(r"gadodiamide|omniscan", re.IGNORECASE)),
    ("gadopiclenol", re.compile(r"gadopiclenol|elucirem|vueway", re.IGNORECASE)),
)
#: What a series is for, if it is no film of the contrast's passage; the first that fits is taken.
_KINDS = (
    ("flow map", re.compile(r"flow.?map|mbf|myocardial.?blood.?flow", re.IGNORECASE)),
    (
        "scanner map",
        re.compile(r"scanner.?map|(volume|perf|ps|extraction|delay).?map", re.IGNORECASE),
    ),
    (
        "late enhancement",
        re.compile(r"late.?(enh|gad)|(?<![a-z])lge|delayed?.?enh|psir|viabil", re.IGNORECASE),
    ),
    ("T2* map", re.compile(r"t2.?(star|\*)", re.IGNORECASE)),
    ("T2 map", re.compile(r"t2.?map|t2.?prep|(?<![a-z])(stir|tirm)(?![a-z])", re.IGNORECASE)),
    ("T1 map", re.compile(r"t1.?map|molli|sasha|(?<![a-z])ecv(?![a-z])", re.IGNORECASE)),
    ("cine", re.compile(r"cine|retro|fiesta.?sax", re.IGNORECASE)),
    ("localiser", re.compile(r"locali[sz]er|scout|survey|pilot|haste", re.IGNORECASE)),
    ("phase contrast", re.compile(r"venc|phase.?contrast|through.?plane|q.?flow", re.IGNORECASE)),
    ("proton density", re.compile(r"proton.?dens|(?<![a-z])pd(?![a-z])", re.IGNORECASE)),
)
#: SNOMED CT codes of the agents' substances, as enhanced objects have them.
AGENT_CODES = {
    "407976008": "gadobutrol",
    "712714000": "gadoterate",
    "353946009": "gadoteridol",
    "792865009": "gadobenate",
}
_CORRECTED = re.compile(r"moco|motion.?corr|_mc(?![a-z])", re.IGNORECASE)


def state_of(text: str) -> State:
    """Stress or rest as the words say; unknown where they say neither, or both."""
    stress, rest = bool(_STRESS.search(text)), bool(_REST.search(text))
    if stress == rest:
        return "unknown"
    return "stress" if stress else "rest"


def is_aif(text: str) -> bool:
    return bool(_AIF.search(text))


def agent_of(text: str) -> str | None:
    """The contrast agent by the name of its substance, whatever its brand; ``None`` if unknown."""
    return next((name for name, pattern in _AGENTS if pattern.search(text)), None)


def is_corrected(text: str) -> bool:
    """Whether the scanner moved the frames already."""
    return bool(_CORRECTED.search(text))


def kind_of(text: str) -> str:
    """What the words say a series is for, in our own words; "" where they say nothing of it."""
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), "")


def slice_word(text: str) -> SliceWord | None:
    """Basal, mid or apical if exactly one of them is said, by word or by a last letter."""
    said = {word for word, pattern in _SLICES if pattern.search(text.strip())}
    return said.pop() if len(said) == 1 else None


def controlled_sequence(name: str) -> str:
    """A sequence's name in two words, "*tfi2d1" (balanced) or "*tfl2d1" (spoiled), or "".

    Siemens names the lines of a shot behind it, "*tfl2d1_51"; the number is kept.
    """
    name = name.strip()
    if _BALANCED.search(name):
        kind = "*tfi2d1"
    elif _SPOILED.search(name):
        kind = "*tfl2d1"
    else:
        return ""
    lines = _SHOT.search(name)
    return f"{kind}_{lines[1]}" if lines else kind


def controlled(description: str, protocol: str) -> str:
    """The description in our own words: all that sorting may use of it."""
    words: list[str] = []
    state = state_of(description)
    if state == "unknown":
        state = state_of(controlled_protocol(description, protocol))
    if state != "unknown":
        words.append(state)
    words.append("perfusion")
    if is_aif(description):
        words.append("AIF")
    if is_corrected(description):
        words.append("moco")
    kind = kind_of(description)
    if kind:
        words.append(kind)
    level = slice_word(description)
    if level is not None:
        words.append(level)
    return " ".join(words)


def controlled_protocol(description: str, protocol: str) -> str:
    """The protocol's name in our own words: the state, if the description is silent about it.

    A description that speaks of both states is not silent: the series may hold both.
    """
    silent = not (_STRESS.search(description) or _REST.search(description))
    state = state_of(protocol) if silent else "unknown"
    return "perfusion" if state == "unknown" else f"{state} perfusion"
