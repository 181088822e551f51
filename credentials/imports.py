"""Credentials from a file: the brands' own fields as columns, their own cleaning, secrets sealed on the way in.

A secret leaves this process sealed only: the temporary table never holds one in plain. Credentials that change go
through the model's verbs one at a time, because replacing a secret is more than writing a column.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from credentials import imports_sql as sql
from credentials.models import Credential, CredentialSecret, fingerprints_of, shared_brand
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import Ids
from fleetcontrol.imports.checks import AUDIT, NEW
from fleetcontrol.imports.columns import Field
from fleetcontrol.imports.importer import Importer, Key, OnDuplicate, Options, Say
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import Sealed

_OWN = (
    Field("name", _("Name"), "credential credentialname bezeichnung"),
    Field("brand", _("Brand"), "telematicsbrand oem make hersteller marke"),
    Field("note", _("Note"), "notes comment description notiz bemerkung"),
    Field("ends_on", _("Ends on"), "expires expireson validuntil endson gueltigbis ablaufdatum"),
)
_LONGEST = {one.name: one.max_length or 0 for one in Credential._meta.fields if one.name in ("name", "note")}
_WORDS = {one.name: getattr(one, "violation_error_message", "") for one in Credential._meta.constraints}
_BRANDS_KEPT = 1000
_REPLACED = "replaced"
_NOTHING = brands.Cleaned()


def _fields() -> tuple[Field, ...]:
    """Name, brand, note and end, and every field of every brand of the catalogue once."""
    own = {one.key for one in _OWN}
    found: dict[str, Field] = {}
    for brand in brands.catalogue().values():
        for one in brand.fields:
            if one.key not in own:
                is_secret = one.stored_as is brands.StoredAs.SECRET or (one.key in found and found[one.key].is_secret)
                found[one.key] = Field(one.key, one.label, is_secret=is_secret)
    return (*_OWN, *found.values())


class CredentialImporter(Importer):
    """See `Importer`."""

    kind = "credential"
    list_page = "credentials:index"
    same_for_all = ("brand",)
    table = "credentials_credential"
    staging = sql.STAGING
    fields = _fields()
    keys: ClassVar[Sequence[Key]] = (
        Key(
            "name",
            ("lower(r.name)",),
            ("lower(v.name)",),
            _("This name stands on line %(first)s already."),
            _WORDS["credential_name_unique_in_fleet"],
        ),
    )

    def __init__(self, fleet: Fleet, actor: Actor, options: Options, given: frozenset[str]) -> None:
        super().__init__(fleet, actor, options, given)
        self._ids = Ids()
        own = {one.key for one in _OWN}
        self._places = [(one.key, place) for place, one in enumerate(self.fields) if one.key in given - own]
        self._secret_keys = {one.key for one in self.fields if one.is_secret}
        self._brands: dict[str, brands.Brand | str] = {}
        self._updates = options.on_duplicate is OnDuplicate.UPDATE

    @sensitive_variables()
    def stage(self, cells: Sequence[str], say: Say) -> Sequence[str]:
        name, brand_text, note, ends_on = map(str.strip, cells[: len(_OWN)])
        if len(name) > _LONGEST["name"]:
            _checked("name", name, say)
        if len(note) > _LONGEST["note"]:
            _checked("note", note, say)
        if not name:
            say("name", "", _WORDS["credential_name_not_empty"])
        brand = self._brand(brand_text, say)
        values = {key: cells[place] for key, place in self._places if cells[place].strip()}
        cleaned = self._clean(brand, values, say) if brand else _NOTHING
        credential_id = self._ids.next()
        sealed = fingerprints = ""
        if cleaned.secret:
            sealed = CredentialSecret.sealed(cleaned.secret, credential_id, 1).token.decode()
            fingerprints = "{" + ",".join(fingerprints_of(cleaned.secret, self.fleet.pk)) + "}"
        return (
            credential_id,
            name,
            brand.id if brand else "",
            cleaned.identifier,
            json.dumps(dict(cleaned.settings)) if cleaned.settings else "",
            note,
            _checked("ends_on", ends_on, say) if ends_on else "",
            sealed,
            fingerprints,
            cleaned.ends_on.isoformat() if cleaned.ends_on else "",
            json.dumps(dict(cleaned.facts)) if cleaned.facts else "",
        )

    def look_up(self, cursor: Any) -> None:
        """A credential refers to nothing but its brand, which `stage` knows."""

    def check_updates(self, cursor: Any) -> None:
        words = str(_("This cannot be changed. A different value is a different credential."))
        fields = {one.id: one.identifier_field.key for one in brands.catalogue().values() if one.identifier_field}
        cursor.execute(sql.FIXED, {"cause": words, "identifiers": json.dumps(fields)})

    def changes(self, cursor: Any, most: int) -> list[list[Any]]:
        if not self._updates:
            return []
        found = []
        cursor.execute(sql.CHANGES, {"most": most})
        for line, name, old_note, note, old_end, ends_on, is_new_secret in cursor.fetchall():
            pairs = {"note": (old_note, note), "ends_on": (old_end and str(old_end), ends_on and str(ends_on))}
            changes = {field: list(pair) for field, pair in pairs.items() if pair[1] is not None and pair[0] != pair[1]}
            found.append([line, name, changes | ({"secret": [_REPLACED, _REPLACED]} if is_new_secret else {})])
        return found

    @classmethod
    def counted(cls, count: int) -> str:
        return ngettext("%(count)d credential", "%(count)d credentials", count) % {"count": count}

    @classmethod
    def choices(cls, fleet: Fleet, key: str) -> list[tuple[str, str]]:
        return [(one.id, one.name) for one in brands.catalogue().values() if one.kind == "shared"]

    def insert(self, cursor: Any, pages: Mapping[str, Any]) -> int:
        params = {**self.params, **pages}
        cursor.execute(sql.INSERT.format(new=NEW), params)
        written: int = cursor.rowcount
        cursor.execute(sql.INSERT_SECRETS.format(new=NEW), params)
        cursor.execute(sql.INSERT_EVENTS.format(**AUDIT, new=NEW), params)
        return written

    @sensitive_variables()
    def update(self, cursor: Any) -> int:
        cursor.execute(sql.DIFFERENT)
        changed = 0
        for made_for, target, note, new_end, ends_on, token in cursor.fetchall():
            changes = {key: value for key, value in (("note", note), ("ends_on", new_end)) if value is not None}
            if not changes and token is None:
                continue
            changed += 1
            credential = Credential.objects.get(pk=target)
            if token is not None:
                values = json.loads(Sealed(bytes(token)).open(CredentialSecret.owner(made_for, 1)))
                credential.rotate(actor=self.actor, values=values, ends_on=ends_on)
                changes.pop("ends_on", None)
            if changes:
                credential.change(actor=self.actor, **changes)
        return changed

    def _brand(self, text: str, say: Say) -> brands.Brand | None:
        if not text:
            say("brand", "", _("Enter the brand."))
            return None
        brand = self._brands.get(text)
        if brand is None:
            try:
                brand = shared_brand(text)
            except ValidationError as error:
                brand = error.messages[0]
            if len(self._brands) < _BRANDS_KEPT:
                self._brands[text] = brand
        if isinstance(brand, str):
            say("brand", text, brand)
            return None
        return brand

    @sensitive_variables()
    def _clean(self, brand: brands.Brand, values: Mapping[str, str], say: Say) -> brands.Cleaned:
        """The brand's own cleaning. In an update a row may leave out the identifier, or all of the secret."""
        try:
            cleaned = brand.clean(values)
        except ValidationError as error:
            partly = self._updates and any(one.key in values for one in brand.secret_fields)
            for key, errors in error.error_dict.items():
                is_needed = partly and key in {one.key for one in brand.secret_fields}
                value = "" if key in self._secret_keys else values.get(key, "")
                if_new = self._updates and key not in values and not is_needed
                say(key, value, errors[0].messages[0], if_new=if_new)
            return self._given(brand, values)
        for words in cleaned.notes:
            say(brand.secret_fields[0].key, "", str(words), note=True)
        return cleaned

    @sensitive_variables()
    def _given(self, brand: brands.Brand, values: Mapping[str, str]) -> brands.Cleaned:
        """What an incomplete row does say, for an update; what is wrong with it was said."""
        if not self._updates:
            return brands.Cleaned()
        kept: dict[str, dict[brands.StoredAs, str]] = {}
        for one in brand.fields:
            if one.key in values:
                try:
                    kept[one.key] = {one.stored_as: one.clean(values[one.key])}
                except ValidationError:
                    return brands.Cleaned()
        stored_as = brands.StoredAs
        return brands.Cleaned(
            identifier=next((by[stored_as.IDENTIFIER] for by in kept.values() if stored_as.IDENTIFIER in by), ""),
            settings={key: by[stored_as.SETTING] for key, by in kept.items() if stored_as.SETTING in by},
            secret={key: by[stored_as.SECRET] for key, by in kept.items() if stored_as.SECRET in by},
        )


def _checked(key: str, text: str, say: Say) -> str:
    """The text if the model's field takes it, else "" and the field's own words."""
    try:
        return _clean_own(key, text)
    except ValidationError as error:
        say(key, text, error.messages[0])
        return ""


@lru_cache(maxsize=1024)
def _clean_own(key: str, text: str) -> str:
    field: Any = Credential._meta.get_field(key)
    return str(field.clean(text, None))
