"""A table of a brand file, whose values are read with their type; a refusal names file, brand and
key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import lazy
from django.utils.translation import get_language

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


@dataclass(frozen=True, slots=True)
class Table:
    """`place` is "FILE, brand ID"; `under` is what stands before this table's keys, such as
    "unit.".
    """

    place: str
    values: dict[str, Any]
    under: str = ""

    def refuse(self, key: str, what: str) -> NoReturn:
        raise ImproperlyConfigured(f"{self.place}, key {self.under}{key}: {what}.")

    def only(self, known: set[str]) -> Table:
        """This table; refuses any other key, which may be a misspelt one."""
        for key in self.values.keys() - known:
            self.refuse(key, f"is not known; the keys here are {', '.join(sorted(known))}")
        return self

    def inner(self, key: str) -> Table:
        found = self.values.get(key, {})
        if not isinstance(found, dict):
            self.refuse(key, "must be a table")
        return Table(self.place, found, f"{self.under}{key}.")

    def string(self, key: str, *, needed: bool = False) -> str:
        found = self.values.get(key, "")
        if not isinstance(found, str) or (needed and not found.strip()):
            self.refuse(key, "must be a text that is not empty" if needed else "must be a text")
        return found

    def boolean(self, key: str, *, default: bool) -> bool:
        found = self.values.get(key, default)
        if not isinstance(found, bool):
            self.refuse(key, "must be true or false")
        return found

    def number(self, key: str, *, default: int, most: int) -> int:
        found = self.values.get(key, default)
        if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= most:
            self.refuse(key, f"must be a number from 1 to {most}")
        return found

    def one_of(self, key: str, allowed: tuple[str, ...], default: str = "") -> str:
        found = self.values.get(key, default)
        if found not in allowed:
            self.refuse(key, f"must be one of {', '.join(allowed)}")
        return str(found)

    def strings(self, key: str) -> tuple[str, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.refuse(key, "must be a list of texts")
        return tuple(found)

    def hosts(self) -> tuple[str, ...]:
        for host in self.strings("hosts"):
            if not _HOST.fullmatch(host):
                example = "auth.example.com or *.example.com"
                self.refuse("hosts", f'"{host}" must be a host name such as {example}')
        return self.strings("hosts")

    def https(self, key: str) -> str:
        found = self.string(key)
        if found and not found.startswith("https://"):
            self.refuse(key, "must start with https://")
        return found

    def pattern(self) -> str:
        pattern = self.string("pattern")
        try:
            re.compile(pattern)
        except re.error as error:
            self.refuse("pattern", f"is not a regular expression: {error}")
        return pattern

    def text(self, key: str) -> StrOrPromise:
        """A text for people, in the reader's language when the file has several."""
        return self.worded(key, self.values.get(key, ""))

    def texts(self, key: str) -> tuple[StrOrPromise, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list):
            self.refuse(key, "must be a list of texts")
        return tuple(self.worded(key, one) for one in found)

    def worded(self, key: str, found: Any) -> StrOrPromise:
        if isinstance(found, str):
            return found
        if not isinstance(found, dict) or not found:
            self.refuse(key, f"must be a text, or one per language such as {key}.en and {key}.de")
        for language, words in found.items():
            if not re.fullmatch(r"[a-z]{2}(-[a-z]{2})?", language) or not isinstance(words, str):
                self.refuse(f"{key}.{language}", "must be a language such as en or de, with a text")
        return _in_language(tuple(found.items()))


def _pick(words: tuple[tuple[str, str], ...]) -> str:
    by_language = dict(words)
    language = get_language() or "en"
    for one in (language, language.split("-")[0], "en"):
        if one in by_language:
            return by_language[one]
    return words[0][1]


_in_language = lazy(_pick, str)
