"""The list of credentials as streamed CSV: what the filter shows, and never a secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from django.http import StreamingHttpResponse
from django.utils import translation

from credentials import brands
from credentials.listing import ids, vehicle_counts
from credentials.models import Credential
from fleetcontrol.pages.download import download
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Fleet, Role

_FACTS = (
    *("status", "status_since", "reason", "checked_at", "last_worked_at", "last_used_at", "leaked_at"),
    *("secret_version", "secret_added_at", "secret_added_by", "vehicles", "note", "ends_on", "id"),
)


@fleet_view(Role.VIEWER)
def export(request: FleetRequest) -> StreamingHttpResponse:
    chosen = ids(request.fleet, request.GET)
    language = translation.get_language() or "en"
    return download(request, f"credentials-{request.fleet.slug}", header(), rows(request.fleet, chosen, language))


def header() -> list[str]:
    """The names of the columns. Where an import has such a column, it has the same name."""
    return ["name", "brand", *_brand_keys(), *_FACTS]


def rows(fleet: Fleet, chosen: list[str], language: str) -> Iterator[list[str]]:
    """One row for each credential, under `header`, with reasons in this language. Importing them changes nothing."""
    keys = _brand_keys()
    vehicles = vehicle_counts(fleet)
    credentials = fleet.credentials.filter(pk__in=chosen).with_current_secret().order_by("brand", "name")
    for credential in credentials.iterator(chunk_size=500):
        yield _row(credential, keys, vehicles[credential.pk], language)


def _brand_keys() -> list[str]:
    """The keys of the brands' readable fields, which are the names of an import's columns too."""
    fields = (f.key for b in brands.catalogue().values() for f in (b.identifier_field, *b.settings_fields) if f)
    return list(dict.fromkeys(fields))


def _row(credential: Credential, keys: list[str], vehicles: int, language: str) -> list[str]:
    secret = credential.current_secrets[0]
    identifier = credential.oem.identifier_field
    readable = dict(credential.settings) | ({identifier.key: credential.identifier} if identifier else {})
    # The rows are streamed after the request, when the reader's language is no longer the active one.
    with translation.override(language):
        reason = credential.status_detail
    facts = [
        *(credential.status, _iso(credential.status_since), reason, _iso(credential.checked_at)),
        *(_iso(credential.last_worked_at), _iso(credential.last_used_at), _iso(credential.leaked_at)),
        *(str(secret.version), _iso(secret.added_at), secret.added_by, str(vehicles), credential.note),
        *(credential.ends_on.isoformat() if credential.ends_on else "", credential.pk),
    ]
    return [credential.name, credential.brand, *(str(readable.get(key, "")) for key in keys), *facts]


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
