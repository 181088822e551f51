"""The two forms of an import: the file, and what its columns mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol import tabular
from fleetcontrol.imports.columns import match_columns, proposed
from fleetcontrol.imports.importer import Importer, OnDuplicate, importers
from fleetcontrol.imports.models import LARGEST_UPLOAD
from fleetcontrol.pages.widgets import ChoiceCards
from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular.encodings import NAMES as ENCODINGS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class UploadForm(forms.Form):
    """A file that is a table, and the noun it holds. A valid form has the names of its columns as `header`."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx,.jsonl,.ndjson,.json"}),
        error_messages={
            "required": gettext_lazy("Choose a file."),
            "empty": gettext_lazy("The file is empty."),
        },
    )

    encoding = forms.ChoiceField(
        label=gettext_lazy("Encoding"),
        choices=[("", gettext_lazy("Found by itself")), ("utf-8", "UTF-8"), *ENCODINGS.items()],
        required=False,
    )
    header_row = forms.IntegerField(
        label=gettext_lazy("Line of the header"),
        help_text=gettext_lazy("Found by itself if left empty; 0: the file has none."),
        min_value=0,
        required=False,
        widget=forms.TextInput({"inputmode": "numeric"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        nouns = importers().values()
        self.fields["kind"] = forms.ChoiceField(
            label=gettext_lazy("What does the file hold?"),
            choices=[(noun.kind, noun.label) for noun in nouns],
            initial=next(iter(importers())),
            widget=ChoiceCards(hints={noun.kind: noun.hint for noun in nouns}),
        )
        self.order_fields(["kind", "file", "encoding", "header_row"])

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST_UPLOAD:
            raise ValidationError(self.too_large())
        return file

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            file = self.cleaned_data["file"]
            try:
                table = self._table(importers()[self.cleaned_data["kind"]], file)
                next(iter(table))
            except tabular.UnclearEncoding as unclear:
                self.add_error("encoding", _which_reading(unclear))
            except tabular.TabularProblem as problem:
                self.add_error("file", problem.reason)
            else:
                self.header, self.line_of_header = table.header, table.header_row
            file.seek(0)
        return self.cleaned_data

    def _table(self, noun: type[Importer], file: Any) -> tabular.Table:
        """The file as a table. Of one without a header every row is kept, and a person says what its columns are."""
        encoding, header_row = self.cleaned_data["encoding"], self.cleaned_data["header_row"]
        try:
            return noun.read(file, encoding=encoding, header_row=header_row, limits=tabular.IN_REQUEST)
        except tabular.NoHeader:
            file.seek(0)
            return noun.read(file, encoding=encoding, header_row=0, limits=tabular.IN_REQUEST)

    def too_large(self) -> str:
        """The refusal of a file above the limit. It names the noun's command, which takes files of any size."""
        nouns = importers()
        noun = nouns.get(str(self["kind"].value())) or next(iter(nouns.values()))
        words = _("The file must be smaller than %(size)s. The command %(command)s takes larger ones.")
        return words % {"size": filesizeformat(LARGEST_UPLOAD), "command": noun.command}


def _which_reading(unclear: tabular.UnclearEncoding) -> str:
    """The question which reading is right, with the first word that they read differently."""
    words = _(
        "Several encodings make sense. Choose the one that reads this word rightly: %(readings)s. "
        "Then choose the file again."
    )
    return words % {"readings": ", ".join(f"“{one.word}” ({one.name})" for one in unclear.readings)}


class ColumnsForm(forms.Form):
    """Which field each column of the file fills, and values that hold for all rows."""

    on_duplicate = forms.ChoiceField(
        label=gettext_lazy("When the fleet has it already"),
        choices=[
            (OnDuplicate.FAIL, gettext_lazy("Count the row as wrong")),
            (OnDuplicate.SKIP, gettext_lazy("Leave it as it is")),
            (OnDuplicate.UPDATE, gettext_lazy("Change it to what the file says")),
        ],
        widget=ChoiceCards(
            hints={OnDuplicate.UPDATE: gettext_lazy("Empty cells change nothing.")},
        ),
    )

    def __init__(
        self, importer: type[Importer], fleet: Fleet, header: Sequence[str], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.importer = importer
        self.header = header
        self.named_columns = [(position, name) for position, name in enumerate(header) if name]
        fields = [("", _("Ignore")), *((one.key, str(one.label)) for one in importer.fields)]
        matched = proposed(importer.fields, header)
        for position, _name in self.named_columns:
            label = matched.name_at(position)
            self.fields[f"column_{position}"] = forms.ChoiceField(label=label, choices=fields, required=False)
        labels = {one.key: one.label for one in importer.fields}
        self.unsaid = [key for key in importer.same_for_all if key not in matched.positions]
        asked = importer.lacking(matched.positions, {}, OnDuplicate.FAIL)
        for key in importer.same_for_all:
            nothing = _("Choose what holds for all rows") if key in self.unsaid else _("As the file says")
            choices = [("", nothing), *importer.choices(fleet, key)]
            missing = _("The file has no column for “%(field)s”. Choose what holds for all rows.")
            self.fields[f"same_{key}"] = forms.ChoiceField(
                label=labels[key],
                choices=choices,
                required=key == asked,
                error_messages={"required": missing % {"field": labels[key]}},
            )

    @property
    def columns(self) -> dict[str, str]:
        """The column of each field; "" for a field that no column fills, so that its header does not match either."""
        chosen = {one.key: "" for one in self.importer.fields}
        for position, name in self.named_columns:
            if key := self.cleaned_data.get(f"column_{position}"):
                chosen[key] = name
        return chosen

    @property
    def constants(self) -> dict[str, str]:
        """The values that hold for all rows, by field."""
        return {key: value for key in self.importer.same_for_all if (value := self.cleaned_data.get(f"same_{key}"))}

    def clean(self) -> dict[str, Any]:
        seen: dict[str, StrOrPromise] = {}
        for position, _name in self.named_columns:
            name = f"column_{position}"
            key = self.cleaned_data.get(name)
            if key and key in seen:
                words = _("“%(column)s” fills this field already. Choose another, or ignore one of the two.")
                self.add_error(name, words % {"column": seen[key]})
            elif key:
                seen[key] = self.fields[name].label or ""
        if not seen:
            raise ValidationError(_("Choose a field for at least one column."))
        self._require_columns(seen)
        return self.cleaned_data

    def _require_columns(self, seen: Collection[str]) -> None:
        """Ask for what every row would lack, at its field."""
        on_duplicate = OnDuplicate(self.cleaned_data.get("on_duplicate") or OnDuplicate.FAIL)
        key = self.importer.lacking({*seen, *self.constants}, self.constants, on_duplicate)
        for one in self.importer.same_for_all:
            if one != key and "required" in [error.code for error in self.errors.as_data().get(f"same_{one}", [])]:
                del self.errors[f"same_{one}"]  # a column has it after all, or an update needs none
        name = f"same_{key}"
        if name in self.fields and name not in self.errors:
            words = _("The file has no column for “%(field)s”. Choose what holds for all rows.")
            self.add_error(name, words % {"field": self.importer.label_of(key)})
        elif key and name not in self.fields:
            words = _("The file has no column for “%(field)s”. Choose the column that has it.")
            raise ValidationError(words % {"field": self.importer.label_of(key)})


def initial_columns(
    importer: type[Importer], header: Sequence[str], columns: Mapping[str, str], rows: Sequence[tabular.Row]
) -> dict[str, Any]:
    """Initial values of a ColumnsForm: the earlier choice, else the fields that the headers and first rows mean."""
    if columns:
        found = match_columns(importer.fields, header, columns)
    else:
        found, _notes = importer.without_foreign(proposed(importer.fields, header), rows, ())
    return {f"column_{position}": key for key, position in found.positions.items()}
