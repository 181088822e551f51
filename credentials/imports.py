"""Import credentials: the fields of all brands as columns, cleaned as their brand says, secrets sealed on the way in.

A secret leaves this process only sealed: the temporary table never holds one in plain text. Credentials that change go
through the model's verbs one by one, because replacing a secret is more than writing a column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from credentials import imports_sql as sql
from credentials.models import Credential, CredentialSecret, fingerprints_of, shared_brand
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import Ids
from fleetcontrol.db.texts import tidied, untypable
from fleetcontrol.imports.checks import IS_NEW
from fleetcontrol.imports.columns import Field
from fleetcontrol.imports.importer import FieldCleaner, Importer, Key, OnDuplicate, Options, RowFindings
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import Sealed

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# The headers that registers use: English, German, French, Spanish, Italian, Dutch and Polish ones.
_OWN = (
    Field(
        "name",
        _("Name"),
        "credential credentialname title account bezeichnung titel nom titre nombre titulo nome titolo "
        "naam nazwa tytuł",
        is_shown=True,
    ),
    Field("brand", _("Brand"), "telematicsbrand oem make manufacturer hersteller marke marque marca merk marka"),
    Field(
        "note",
        _("Note"),
        "notes comment comments description extra notiz notizen bemerkung bemerkungen kommentar beschreibung "
        "remarque remarques commentaire nota notas comentario commento opmerking opmerkingen notitie "
        "uwaga uwagi notatka",
    ),
    Field(
        "ends_on",
        _("Ends on"),
        "expires expireson expiry expirydate expirationdate validuntil validto endson enddate "
        "laeuftab laeuftabam ablauf ablaufdatum gueltigbis endetam "
        "expirele dateexpiration datedexpiration valablejusquau caduca caducidad fechadecaducidad validohasta "
        "scadenza datadiscadenza validofinoal verlooptop vervaldatum geldigtot wygasa datawygasniecia waznydo",
        is_date=True,
    ),
)
# Other headers for the fields of brands, by the field's key.
_HEADERS = {
    "client_id": "appid applicationid consumerkey identifiantclient idcliente idclient klantid idklienta",
    "client_secret": "secret consumersecret appsecret apisecret geheimnis clientgeheimnis secretclient "
    "secreto segreto geheim sekret tajnyklucz",
    "username": "user login loginusername loginname benutzer benutzername nutzername utilisateur nomdutilisateur "
    "identifiant usuario nombredeusuario utente nomeutente gebruikersnaam gebruiker uzytkownik nazwauzytkownika",
    "password": "loginpassword pass kennwort passwort motdepasse contrasena clave wachtwoord hasło",
    "api_key": "apischluessel schluessel key apitoken token accesskey cleapi claveapi clavedeapi chiaveapi "
    "apisleutel kluczapi",
    "token_url": "tokenendpoint tokenuri",
    "region": "area regione regio gebiet",
    "certificate": "cert clientcertificate zertifikat certificat certificado certificato certificaat certyfikat",
    "private_key": "keyfile privaterschluessel cleprivee claveprivada chiaveprivata privesleutel kluczprywatny",
    "passphrase": "keypassword phrasesecrete passwortdesschluessels",
}
_LONGEST = {one.name: one.max_length or 0 for one in Credential._meta.fields if one.name in ("name", "note")}
# The sentence of each of the model's constraints.
_SENTENCES = {one.name: getattr(one, "violation_error_message", "") for one in Credential._meta.constraints}
_SPELLINGS_KEPT = 1000
_REPLACED = "replaced"
_NOTHING = brands.Cleaned()
_field_cleaner = FieldCleaner(Credential, texts_kept=1024)


def _fields() -> tuple[Field, ...]:
    """The fields of every credential, and every field of every brand of the catalogue once."""
    own = {one.key for one in _OWN}
    found: dict[str, Field] = {}
    for brand in brands.catalogue().values():
        for one in brand.fields:
            if one.key not in own:
                is_secret = one.stored_as is brands.StoredAs.SECRET or (one.key in found and found[one.key].is_secret)
                found[one.key] = Field(one.key, one.label, _HEADERS.get(one.key, ""), is_secret)
    return (*_OWN, *found.values())


class BrandColumn:
    """Reads the column with the brand, of credentials as of vehicles. Looks up each spelling once.

    `find` gives the brand of a text, or raises UnknownBrand or ValidationError with a sentence. `missing` is the
    sentence for an empty cell, a finding only of new rows with `if_new`.
    """

    def __init__(
        self, key: str, find: Callable[[str], brands.Brand], *, missing: StrOrPromise, if_new: bool = False
    ) -> None:
        self._key = key
        self._find = find
        self._missing = missing
        self._if_new = if_new
        self._found: dict[str, brands.Brand | str] = {}

    def read(self, text: str, findings: RowFindings) -> brands.Brand | None:
        """The brand of a cell; if there is none, add a finding."""
        if not text:
            findings.add(self._key, "", self._missing, if_new=self._if_new)
            return None
        brand = self._found.get(text)
        if brand is None:
            brand = self._look_up(text)
            if len(self._found) < _SPELLINGS_KEPT:
                self._found[text] = brand
        if isinstance(brand, str):
            findings.add(self._key, text, brand)
            return None
        return brand

    def _look_up(self, text: str) -> brands.Brand | str:
        """The brand, or the sentence that refuses it."""
        try:
            return self._find(text)
        except brands.UnknownBrand as error:
            return str(error)
        except ValidationError as error:
            return error.messages[0]


def known_brand(text: str, find: Callable[[str], brands.Brand]) -> str:
    """The id of the brand that the text means; "" if it means none."""
    try:
        return find(text).id
    except (brands.UnknownBrand, ValidationError):
        return ""


class CredentialImporter(Importer):
    kind = "credential"
    label = _("OEM Credentials")
    hint = _("Client IDs and secrets as the manufacturers issued them.")
    order = 2
    command = "import_credentials"
    list_page = "credentials:index"
    table = "credentials_credential"
    fields = _fields()
    keys: ClassVar[Sequence[Key]] = (
        Key(
            "name",
            ("lower(r.name)",),
            ("lower(v.name)",),
            _("This name stands on line %(first)s already."),
            _SENTENCES["credential_name_unique_in_fleet"],
        ),
    )
    row_query = sql.ROW_QUERY
    same_for_all = ("brand",)

    def __init__(self, fleet: Fleet, actor: Actor, options: Options, given: frozenset[str]) -> None:
        super().__init__(fleet, actor, options, given)
        self._ids = Ids()
        own = {one.key for one in _OWN}
        self._brand_fields = [(one.key, position) for position, one in enumerate(self.fields) if one.key in given - own]
        self._secret_keys = {one.key for one in self.fields if one.is_secret}
        self._brands = BrandColumn("brand", shared_brand, missing=_("Enter the brand."))

    @sensitive_variables()
    def clean_row(self, cells: Sequence[str], findings: RowFindings) -> Sequence[str]:
        name, brand_text, note, ends_on = map(tidied, cells[: len(_OWN)])
        if len(name) > _LONGEST["name"] or untypable(name):
            _field_cleaner.clean("name", name, findings)
        if len(note) > _LONGEST["note"] or untypable(note, lines=True):
            _field_cleaner.clean("note", note, findings)
        if not name:
            findings.add("name", "", _SENTENCES["credential_name_not_empty"])
        brand = self._brands.read(brand_text, findings)
        values = {key: cells[position] for key, position in self._brand_fields if cells[position].strip()}
        cleaned = self._clean_by_brand(brand, values, findings) if brand else _NOTHING
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
            _field_cleaner.clean("ends_on", ends_on, findings) if ends_on else "",
            sealed,
            fingerprints,
            cleaned.ends_on.isoformat() if cleaned.ends_on else "",
            json.dumps(dict(cleaned.facts)) if cleaned.facts else "",
        )

    def look_up(self, cursor: Any) -> None:
        """Do nothing: a credential refers only to its brand, which `clean_row` has looked up."""

    def add_notes(self, cursor: Any) -> None:
        """Do nothing: a row says all that is worth a note by itself."""

    def check_updates(self, cursor: Any) -> None:
        words = str(_("This cannot be changed. A different value is a different credential."))
        fields = {one.id: one.identifier_field.key for one in brands.catalogue().values() if one.identifier_field}
        cursor.execute(sql.FIXED, {"cause": words, "identifiers": json.dumps(fields)})

    def changes(self, cursor: Any, most: int) -> list[list[Any]]:
        if not self.is_update:
            return []
        found = []
        cursor.execute(sql.CHANGES, {"most": most})
        for line, name, old_note, note, old_end, ends_on, is_new_secret in cursor.fetchall():
            pairs = {"note": (old_note, note), "ends_on": (old_end and str(old_end), ends_on and str(ends_on))}
            changes = {field: list(pair) for field, pair in pairs.items() if pair[1] is not None and pair[0] != pair[1]}
            found.append([line, name, changes | ({"secret": [_REPLACED, _REPLACED]} if is_new_secret else {})])
        return found

    @classmethod
    def lacking(cls, given: Collection[str], constants: Mapping[str, str], on_duplicate: OnDuplicate) -> str:
        return next((key for key in ("brand", "name") if key not in given), "")

    @classmethod
    def counted(cls, count: int) -> str:
        return ngettext("%(count)d credential", "%(count)d credentials", count) % {"count": count}

    @classmethod
    def known(cls, fleet: Fleet, key: str, text: str) -> str:
        return known_brand(text, shared_brand) if key == "brand" else ""

    @classmethod
    def choices(cls, fleet: Fleet, key: str) -> list[tuple[str, str]]:
        return [(one.id, one.name) for one in brands.catalogue().values() if one.kind == "shared"]

    @classmethod
    def label_of(cls, key: str) -> str:
        return gettext("Secret") if key == "secret" else super().label_of(key)

    def insert(self, cursor: Any, pages: Mapping[str, Any]) -> int:
        params = {**self.params, **pages}
        cursor.execute(sql.INSERT.format(is_new=IS_NEW), params)
        written: int = cursor.rowcount
        cursor.execute(sql.INSERT_SECRETS.format(is_new=IS_NEW), params)
        cursor.execute(sql.insert_events(), params)
        return written

    @sensitive_variables()
    def update(self, cursor: Any) -> int:
        cursor.execute(sql.DIFFERENT)
        changed = 0
        for new_id, target, note, new_end, ends_on, token in cursor.fetchall():
            changes = {key: value for key, value in (("note", note), ("ends_on", new_end)) if value is not None}
            if not changes and token is None:
                continue
            changed += 1
            credential = Credential.objects.get(pk=target)
            if token is not None:
                values = json.loads(Sealed(bytes(token)).open(CredentialSecret.owner(new_id, 1)))
                credential.rotate(actor=self.actor, values=values, ends_on=ends_on)
                changes.pop("ends_on", None)
            if changes:
                credential.change(actor=self.actor, **changes)
        return changed

    @sensitive_variables()
    def _as_brand_calls_them(self, brand: brands.Brand, values: Mapping[str, str]) -> Mapping[str, str]:
        """The values under the brand's own keys.

        Exports of password managers have a user name and a password, whatever the OEM calls them: these are its
        identifier and its first secret.
        """
        found = dict(values)
        known = {one.key for one in brand.fields}
        secret = next(iter(brand.secret_fields), None)
        for general, own in (("username", brand.identifier_field), ("password", secret)):
            if general in found and general not in known and own is not None and own.key not in self.given:
                found[own.key] = found.pop(general)
        return found

    @sensitive_variables()
    def _clean_by_brand(self, brand: brands.Brand, values: Mapping[str, str], findings: RowFindings) -> brands.Cleaned:
        """Clean the values as their brand says. An update may leave out the identifier, or the whole secret."""
        values = self._as_brand_calls_them(brand, values)
        try:
            cleaned = brand.clean(values)
        except ValidationError as error:
            has_secret = any(one.key in values for one in brand.secret_fields)
            for key, errors in error.error_dict.items():
                is_part_of_secret = has_secret and key in {one.key for one in brand.secret_fields}
                value = "" if key in self._secret_keys else values.get(key, "")
                if_new = self.is_update and key not in values and not is_part_of_secret
                findings.add(key, value, errors[0].messages[0], if_new=if_new)
            return self._clean_incomplete(brand, values)
        for note in cleaned.notes:
            findings.add(brand.secret_fields[0].key, "", str(note), note=True)
        return cleaned

    @sensitive_variables()
    def _clean_incomplete(self, brand: brands.Brand, values: Mapping[str, str]) -> brands.Cleaned:
        """Clean what an incomplete row has, for an update. Its mistakes are among the findings already."""
        if not self.is_update:
            return _NOTHING
        cleaned: dict[brands.StoredAs, dict[str, str]] = {place: {} for place in brands.StoredAs}
        for one in brand.fields:
            if one.key in values:
                try:
                    cleaned[one.stored_as][one.key] = one.clean(values[one.key])
                except ValidationError:
                    return _NOTHING
        return brands.Cleaned(
            identifier=next(iter(cleaned[brands.StoredAs.IDENTIFIER].values()), ""),
            settings=cleaned[brands.StoredAs.SETTING],
            secret=cleaned[brands.StoredAs.SECRET],
        )
