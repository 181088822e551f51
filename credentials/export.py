"""The list of credentials as CSV: what the filter shows, and never a secret."""

from __future__ import annotations

import json
from collections.abc import Generator

from django.http import FileResponse, QueryDict
from django.utils import translation

from credentials import brands
from credentials.listing import ids, vehicle_counts
from credentials.oem.verdict import explain
from fleetcontrol.db.copying import UtcSeconds, copied_rows, snapshot
from fleetcontrol.pages.download import download
from fleetcontrol.pages.export import Export, ReadExport
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Fleet, Role

_FACTS = (
    *("status", "status_since", "reason", "checked_at", "last_worked_at", "last_used_at", "leaked_at"),
    *("secret_version", "secret_added_at", "secret_added_by", "vehicles", "note", "ends_on", "id"),
)
_VALUES: tuple[str | UtcSeconds, ...] = (
    *("id", "name", "brand", "identifier", "settings", "note", "ends_on", "status", "status_reason", "status_details"),
    *(UtcSeconds(name) for name in ("status_since", "checked_at", "last_worked_at", "last_used_at", "leaked_at")),
    *("secrets__version", UtcSeconds("secrets__added_at"), "secrets__added_by"),
)


@fleet_view(Role.VIEWER)
def export(request: FleetRequest) -> FileResponse:
    language = translation.get_language() or "en"
    chosen = export_of(request.fleet, language=language, params=request.GET)
    return download(request, f"credentials-{request.fleet.slug}", chosen)


def export_of(fleet: Fleet, *, language: str, params: QueryDict | None = None) -> Export:
    """One row for each credential, with reasons in this language. Importing them changes nothing.

    `params` are the query parameters of the list; without them it is every credential.
    """

    def read(using: str) -> Generator[list[str]]:
        with snapshot(using):
            yield from _rows(fleet, language, params, using)

    return ReadExport(["name", "brand", *_brand_keys(), *_FACTS], read)


def _rows(fleet: Fleet, language: str, params: QueryDict | None, using: str) -> Generator[list[str]]:
    credentials = fleet.credentials.filter(secrets__is_current=True).order_by("brand", "name")
    if params is not None:
        credentials = credentials.filter(pk__in=ids(fleet, params))
    vehicles, keys = vehicle_counts(fleet), _brand_keys()
    for values in copied_rows(credentials.values_list(*_VALUES), using):
        pk, name, brand, identifier, settings, note, ends_on, status, reason, details, *times_and_secret = (
            value or "" for value in values
        )
        since, checked, worked, used, leaked, *secret = times_and_secret
        oem = brands.stored(brand)
        readable = json.loads(settings)
        if oem.identifier_field:
            readable[oem.identifier_field.key] = identifier
        # The reader's language, whatever the language of the process that makes the file.
        with translation.override(language):
            sentence = explain(reason, oem, json.loads(details))
        yield [
            *(name, brand, *(str(readable.get(key, "")) for key in keys)),
            *(status, since, sentence, checked, worked, used, leaked),
            *(*secret, str(vehicles[pk]), note, ends_on, pk),
        ]


def _brand_keys() -> list[str]:
    """The keys of the brands' readable fields, which are the names of an import's columns too."""
    fields = (f.key for b in brands.catalogue().values() for f in (b.identifier_field, *b.settings_fields) if f)
    return list(dict.fromkeys(fields))
