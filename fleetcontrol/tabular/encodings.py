"""Tell in which encoding a text was saved that is no Unicode: what Excel calls ANSI, MS-DOS and Macintosh.

Every byte means something in each of these encodings, so each reading is judged by its letters: whether they are
letters of Western European languages, stand where such letters stand, and are not a capital or a sign in the middle of
a word. Where two readings are both plausible, only a person can tell.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

NAMES = {
    "cp1252": "Windows-1252",
    "cp850": "MS-DOS (850)",
    "cp437": "MS-DOS (437)",
    "mac_roman": "Macintosh",
}
"""The single-byte encodings that are told apart, likeliest first, with the names that people see."""

# Codecs of Python that are no character sets: they read escapes, host names or nothing at all.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf_7", "mbcs", "oem"}
)

_PRIORS = {"cp1252": 0.0, "cp850": -0.2, "cp437": -0.25, "mac_roman": -0.25}
_MOST_JUDGED = 500
_WORD = re.compile(r"[^\s,;|\"']{0,40}[^\x00-\x7f][^\s,;|\"']{0,40}")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_COMMON = frozenset("äöüßéèàç")
_USUAL = frozenset("âáêëíîïóôúûñåøæœšžã")
_VOWELS = frozenset("aeiouyäöüáéíóúàèâêîôûAEIOUYÄÖÜ")
# A reading that is at least this good, per character, may be right.
_PLAUSIBLE = 0.35
# The best reading is taken if it is better than every other by this factor for each character.
_CLEARLY_BETTER = 2.0


@dataclass(frozen=True)
class Reading:
    """One way to read the bytes. `sample` is the first line with a character beyond ASCII, as this reading has it."""

    encoding: str
    sample: str

    @property
    def name(self) -> str:
        return NAMES[self.encoding]

    @property
    def word(self) -> str:
        """The first word of the sample with a character beyond ASCII."""
        found = _WORD.search(self.sample)
        return found[0] if found else ""


def readings(data: bytes) -> Sequence[Reading]:
    """The plausible readings of bytes that are no Unicode and of which some are beyond ASCII: the best one if it is
    clearly the best, else all that a person has to choose from. Readings that give the same text count once.
    """
    spots = [match.start() for match, _ in zip(_BEYOND_ASCII.finditer(data), range(_MOST_JUDGED), strict=False)]
    judged = {}
    seen = set()
    for encoding in NAMES:
        windows = [_window(data, spot, encoding) for spot in spots]
        if (text := "".join(windows)) not in seen:
            seen.add(text)
            judged[encoding] = sum(log(_plausibility(*window)) for window in windows) / len(spots) + _PRIORS[encoding]
    best = max(judged, key=lambda encoding: judged[encoding])
    close = [
        encoding
        for encoding, score in judged.items()
        if encoding == best or (exp(score) > _PLAUSIBLE and score > judged[best] - log(_CLEARLY_BETTER))
    ]
    return [Reading(encoding, _sample(data, spots[0], encoding)) for encoding in close]


def known(name: str) -> str:
    """The codec of an encoding that a person names, such as "cp850" or "MS-DOS (850)". Raises LookupError."""
    for codec, words in NAMES.items():
        if name.strip().casefold() in (codec, words.casefold()):
            return codec
    try:
        info = codecs.lookup(name.strip())
    except ValueError:  # a NUL, or half of a character
        raise LookupError(name) from None
    if not info._is_text_encoding or info.name.replace("-", "_") in _NO_CHARSETS:
        raise LookupError(name)
    return info.name


def _window(data: bytes, spot: int, encoding: str) -> str:
    """The character with its two neighbours and the one before them; a blank stands where there is none."""
    before = data[max(spot - 2, 0) : spot].rjust(2)
    after = data[spot + 1 : spot + 2] or b" "
    return (before + data[spot : spot + 1] + after).decode(encoding, "replace")


def _sample(data: bytes, spot: int, encoding: str) -> str:
    start = max(data.rfind(b"\n", 0, spot), data.rfind(b"\r", 0, spot), spot - 60) + 1
    end = re.compile(rb"[\r\n]|\Z").search(data, spot).start()  # type: ignore[union-attr]  # \Z always matches
    return data[start : min(end, spot + 60)].decode(encoding, "replace")


def _plausibility(second_before: str, before: str, character: str, after: str) -> float:
    """How often a character stands between such neighbours, from 0 to 1. A rule of thumb, not a statistic."""
    if character.isalpha() and character not in "ªºµπΣΩΓΘΦτ":
        return _of_letter(second_before, before, character, after)
    if before.isalpha() and after.isalpha():
        return 0.9 if character == "’" else 0.02
    if character in "„‚“«" and not before.isalnum():
        return 0.6
    if character in "”’»…“«" and not after.isalnum():
        return 0.6
    if character in "–—" and not before.isalpha():
        return 0.8
    if character in "€£" and not before.isalpha() and not after.isalpha():
        return 0.8
    if character in "°²³½¼¾%‰":
        return 0.8 if before.isdigit() or before in "m " else 0.2
    if character in "©®™§•·¿¡ªº\u00a0":
        return 0.5
    return 0.02


def _of_letter(second_before: str, before: str, letter: str, after: str) -> float:
    is_capital = letter.isupper()
    if before.isalpha() and after.isalpha():
        fits = before.isupper() and after.isupper() if is_capital else not (before.isupper() and after.isupper())
    elif before.isalpha():
        fits = before.isupper() if is_capital else not (before.isupper() and second_before.isupper())
    else:
        fits = not (after.isupper() and not is_capital)
    if not fits:
        return 0.03
    lower = letter.lower()
    if lower == "ß" and (before not in _VOWELS or is_capital):
        return 0.05
    if lower in _VOWELS and before in _VOWELS and after in _VOWELS:
        return 0.1
    if not before.isalpha() and not after.isalpha():
        return 0.5 if lower in _VOWELS and not is_capital else 0.1
    return 1.0 if lower in _COMMON else 0.6 if lower in _USUAL else 0.15
