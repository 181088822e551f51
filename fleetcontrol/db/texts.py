"""Texts as they are stored: in one form, so that what looks alike is alike, and without marks that nobody sees.

`tidied` mends what typing, pasting and other programs leave in a text. What cannot be mended is refused by name:
control characters anywhere, and every odd character inside of an ID or a secret, which may never be changed.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _

INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"
# Cyrillic and Greek letters that look like Latin ones.
_LOOK_ALIKES = "аеорсухіјѕԁһӏԛԝАВЕЗКМНОРСТУХІЈЅԌԚԜοανικρυωχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"

UNTIDY = _("Type this name anew: it holds marks that cannot be seen, or blanks around it.")

_ENDS = INVISIBLE + BLANKS + " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_MENDED = str.maketrans(dict.fromkeys(INVISIBLE, "") | dict.fromkeys(BLANKS, " "))
_PLAIN_HYPHENS = str.maketrans(dict.fromkeys(HYPHENS, "-"))
_NOT_PART = str.maketrans(dict.fromkeys(INVISIBLE + BLANKS + HYPHENS + " -\t\n\r", ""))
# Unicode's control characters, surrogates, and separators of lines and paragraphs.
_UNTYPABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNTYPABLE_IN_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ODD = frozenset(INVISIBLE + BLANKS + HYPHENS + _QUOTES)
# In a pattern of PostgreSQL: all that `tidied` mends or `PlainText` refuses.
_UNTIDY = (
    r"[\u0001-\u001f\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u2066-\u2069\u3000\ufeff]"
    r"|^\s|\s$"
)


def tidied(text: str) -> str:
    """The text in NFC with one kind of blank, and without marks that nobody sees or blanks around it."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_MENDED)).strip()


def tidied_plate(text: str) -> str:
    """A licence plate, tidied, with the plain hyphen for any other."""
    return text.strip() if text.isascii() and text.isprintable() else tidied(text.translate(_PLAIN_HYPHENS))


def trimmed(text: str) -> str:
    """The text without blanks and invisible marks around it, and otherwise untouched."""
    return text.strip() if text.isascii() and text.isprintable() else text.strip(_ENDS)


def compact(text: str) -> str:
    """The text in capitals, without blanks, hyphens and marks that nobody sees, as VINs are stored."""
    text = text.translate(_NOT_PART)
    return text.upper() if text.isascii() else text  # the capital of another letter may be ASCII, such as that of ſ


def untypable(text: str, *, lines: bool = False) -> str:
    """The name of the first control character in a text; "" if there is none. `lines` allows line breaks and tabs."""
    if text.isprintable():
        return ""
    found = (_UNTYPABLE_IN_LINES if lines else _UNTYPABLE).search(text)
    return _named(found[0]) if found else ""


def odd_in_exact(text: str) -> str:
    """The name of the first character that no ID and no secret has: unseen, typographic, or a look-alike of another.

    "" if there is none. A text of another alphabet may have its own letters.
    """
    if text.isascii() and text.isprintable():
        return ""
    is_latin = any(character.isascii() and character.isalpha() for character in text)
    for character in text:
        if character in _ODD or _UNTYPABLE.match(character) or (is_latin and character in _LOOK_ALIKES):
            return _named(character)
    if not unicodedata.is_normalized("NFC", text):
        return next((_named(one) for one in text if unicodedata.combining(one)), _named(text[0]))
    return ""


def _named(character: str) -> str:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{name} ({code})" if name else code


def refuse_odd(text: str) -> None:
    """A validator for an ID or a secret. Raises ValidationError that names the first odd character."""
    _refuse(odd_in_exact(text))


def refuse_untypable(text: str) -> None:
    """A validator. Raises ValidationError that names the first control character."""
    _refuse(untypable(text))


def refuse_untypable_in_lines(text: str) -> None:
    """A validator for a text of several lines. Raises ValidationError that names the first control character."""
    _refuse(untypable(text, lines=True))


def refuse_untypable_within(value: object) -> None:
    """A validator for the keys and texts of a JSON value, at any depth. Raises ValidationError."""
    for text in _texts_within(value):
        _refuse(untypable(text, lines=True))


def _refuse(character: str) -> None:
    if character:
        words = _("This holds the character %(character)s, which does not belong there. Take it out.")
        raise ValidationError(words, code="untypable", params={"character": character})


def _texts_within(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one


if TYPE_CHECKING:
    _Line = models.CharField[str, str]
else:
    _Line = models.CharField


class PlainText(_Line):
    """A line of text, stored and looked up tidied; a control character is refused."""

    default_validators = [refuse_untypable]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return tidied(value) if isinstance(value, str) else value


class PlainLines(PlainText):
    """A text that may have line breaks and tabs."""

    default_validators = [refuse_untypable_in_lines]


class ExactText(_Line):
    """An ID of which each character counts: stored trimmed; an odd character is refused."""

    default_validators = [refuse_odd]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return trimmed(value) if isinstance(value, str) else value


class _IsNormalized(Func):
    template = "%(expressions)s IS NFC NORMALIZED"
    output_field = models.BooleanField()


def is_tidy(field: str) -> Q:
    """The condition of a constraint: the database refuses a text that `PlainText` would have changed or refused."""
    return Q(_IsNormalized(F(field))) & ~Q(**{f"{field}__regex": _UNTIDY})
