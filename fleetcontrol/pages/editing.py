"""Forms that edit a stored row, and what they do when somebody else saved the row meanwhile.

Such a form carries the version of the row that it showed, and a digest of each value that it showed. The verb compares
the version with the locked row and raises ChangedMeanwhile. The form then comes back with status 409: a field that both
changed keeps what this person typed, with the other value beside it, and a field that only the other changed shows the
other value. The form carries the new version then, so that saving again saves what it shows.

A form without a valid version is treated like an outdated one, unless it differs in nothing from the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from django import forms
from django.core import signing
from django.http import QueryDict
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from fleetcontrol.audit.versions import ChangedMeanwhile, version_of

if TYPE_CHECKING:
    _Form = forms.BaseForm
else:
    _Form = object

FIELD = "version"
TAKE = "take"
SHOWN_CHARACTERS = 200

type Raw = list[str]  # what a browser sends for a field; [] for nothing


class EditForm(_Form):
    """A form of a stored row. A subclass has `initial_of` and calls `edit` at the end of its `__init__`."""

    version = ""  # for the form's field of this name
    version_fields: tuple[str, ...] = ()  # compared instead of the row's `versioned_fields`, which other forms change
    conflicted = False
    row: Any = None

    def initial_of(self, row: Any) -> dict[str, Any]:
        """What the form shows of this row, by field name."""
        raise NotImplementedError

    def stays(self, name: str) -> bool:
        """Whether nobody can replace the value of this field once somebody has entered one."""
        return False

    def edit(self, row: Any, kept: Mapping[str, Any] | None = None) -> None:
        """Show this row, or compare what was typed with it. `kept` is what was typed before a sign-in."""
        self.row = row
        now = self.initial_of(row)
        self._now = self._shown(now)
        self.initial = {**self.initial, **now}
        if self.is_bound:
            self.version = self.data.get(FIELD, "")
            self._take_theirs()
        elif kept and self._opened(kept.get(FIELD, "")):
            self.version = kept[FIELD]
            self.initial.update(kept)
        else:
            self.version = self._signed(row, self._now)

    @property
    def expected_version(self) -> str:
        """The version that this form showed, for the verb; one that no row has if the form sent none."""
        opened = self._opened(self.version)
        if opened:
            return opened[0]
        return "" if self._differs else version_of(self.row, self.version_fields)

    @property
    def http_status(self) -> int:
        if self.conflicted:
            return 409
        return 422 if self.errors else 200

    def changed_meanwhile(self, conflict: ChangedMeanwhile) -> None:
        """Show both values of each field that somebody else changed, and who changed them when."""
        self.conflicted = True
        opened = self._opened(self.version)
        base = opened[1] if opened else {}
        theirs = self._shown(self.initial_of(conflict.row))
        who = conflict.by or _("Somebody")
        data: Any = QueryDict(mutable=True)
        data.update(self.data)
        for name, value in theirs.items():
            mine = self._typed(name)
            if value == mine or base.get(name) == _digest(value):
                continue
            words = {"who": who, "mine": self._in_words(name, mine), "theirs": self._in_words(name, value)}
            if base.get(name) == _digest(mine):
                _set(data, self.add_prefix(name), value)
                sentence = _("%(who)s changed this from “%(mine)s” to “%(theirs)s”, which the field shows now.")
            elif self.stays(name):
                _set(data, self.add_prefix(name), value)
                sentence = _("%(who)s entered “%(theirs)s”, which stays. You entered “%(mine)s”.")
            else:
                self.fields[name].theirs = words["theirs"]  # type: ignore[attr-defined]  # for the template of fields
                sentence = _("%(who)s entered “%(theirs)s” and you entered “%(mine)s”. Saving again saves yours.")
            self.add_error(name, sentence % words)
        self.add_error(None, self._summary(conflict, who))
        if hasattr(self, "ask_again"):
            self.ask_again()
        self.data, self.row = data, conflict.row
        self.version = self._signed(conflict.row, theirs)

    def _summary(self, conflict: ChangedMeanwhile, who: str) -> str:
        when = date_format(timezone.localtime(conflict.at), "DATETIME_FORMAT") if conflict.at else ""
        words = _(
            "%(who)s saved a change while you were editing (%(when)s). Nothing of yours is saved yet. "
            "Compare the values and save again."
        )
        return words % {"who": who, "when": when}

    @property
    def _differs(self) -> bool:
        """Whether anything that was typed differs from the row."""
        secrets = [name for name, field in self.fields.items() if _is_secret(field)]
        typed_secret = any(self.data.get(self.add_prefix(name)) for name in secrets)
        return typed_secret or any(self._typed(name) != value for name, value in self._now.items())

    def _take_theirs(self) -> None:
        """Replace what was typed by the row's value in each field where the person chose that."""
        chosen = self.data.getlist(TAKE) if hasattr(self.data, "getlist") else []
        if chosen:
            data: Any = QueryDict(mutable=True)
            data.update(self.data)
            for name, value in self._now.items():
                if self.add_prefix(name) in chosen:
                    _set(data, self.add_prefix(name), value)
            self.data = data

    def _compared(self) -> Iterator[tuple[str, forms.Field]]:
        return ((name, field) for name, field in self.fields.items() if not field.disabled and not _is_secret(field))

    def _shown(self, initial: Mapping[str, Any]) -> dict[str, Raw]:
        return {name: _raw_of(field, initial.get(name, field.initial)) for name, field in self._compared()}

    def _typed(self, name: str) -> Raw:
        return _raw(self.fields[name].widget.value_from_datadict(self.data, self.files, self.add_prefix(name)))

    def _in_words(self, name: str, raw: Raw) -> str:
        """A value as the person sees it in the form."""
        field: Any = self.fields[name]
        labels: list[str] = raw
        if isinstance(field, forms.BooleanField):
            labels = [_("Yes") if raw else _("No")]
        elif isinstance(field, forms.ModelChoiceField):
            rows: Any = field.queryset
            labels = [str(row) for row in rows.filter(pk__in=raw)] if raw else []
        elif isinstance(field, forms.ChoiceField):
            choices: Any = field.choices
            names = {str(key): str(label) for key, label in choices}
            labels = [names.get(one, one) for one in raw]
        return ", ".join(labels)[:SHOWN_CHARACTERS] or _("(empty)")

    def _salt(self) -> str:
        return f"{type(self).__module__}:{self.row._meta.label if self.row else ''}:{self.row.pk if self.row else ''}"

    def _signed(self, row: Any, shown: Mapping[str, Raw]) -> str:
        digests = {name: _digest(value) for name, value in shown.items()}
        return signing.dumps([version_of(row, self.version_fields), digests], salt=self._salt(), compress=True)

    def _opened(self, version: str) -> tuple[str, dict[str, str]] | None:
        """The row's version and the digests of the shown values. None if the form sent no version of this row."""
        try:
            number, digests = signing.loads(version, salt=self._salt())
        except signing.BadSignature:
            return None
        return number, digests


def _is_secret(field: forms.Field) -> bool:
    return getattr(field.widget, "holds_secret", False) or getattr(field.widget, "input_type", "") in (
        "password",
        "file",
    )


def _raw_of(field: forms.Field, value: Any) -> Raw:
    """What a browser sends for a field that shows this value and that nobody touches."""
    widget: Any = getattr(field.widget, "widget", field.widget)  # the Django admin wraps the widgets of relations
    value = field.prepare_value(value)
    if isinstance(widget, forms.CheckboxInput):
        return _raw(widget.check_test(value))
    return _raw(widget.format_value(value))


def _raw(value: Any) -> Raw:
    if isinstance(value, list | tuple):
        return sorted(str(one) for one in value if one not in (None, ""))
    if isinstance(value, bool):
        return ["on"] if value else []
    text = str(value if value is not None else "").replace("\r\n", "\n").strip()
    return [text] if text else []


def _digest(raw: Raw) -> str:
    return blake2s(json.dumps(raw).encode(), digest_size=6).hexdigest()


def _set(data: Any, name: str, raw: Raw) -> None:
    if raw:
        data.setlist(name, raw)
    else:
        data.pop(name, None)
