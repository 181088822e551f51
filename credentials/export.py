"""The list of credentials as CSV: what the filter shows, never a secret, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models import Prefetch, QuerySet
from django.http import StreamingHttpResponse
from django.utils import translation

from credentials import brands
from credentials.listing import ids, vehicle_counts
from credentials.models import Credential, CredentialSecret
from fleetcontrol.pages.download import download
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Fleet, Role

_LAST = (
    *("status", "status_since", "reason", "checked_at", "last_worked_at", "last_used_at"),
    *("secret_version", "secret_added_at", "secret_added_by", "vehicles", "note", "ends_on", "id"),
)


@fleet_view(Role.VIEWER)
def export(request: FleetRequest) -> StreamingHttpResponse:
    chosen = ids(request.fleet, request.GET)
    language = translation.get_language() or "en"
    return download(request, f"credentials-{request.fleet.slug}", header(), rows(request.fleet, chosen, language))


def header() -> list[str]:
    """The names of the columns; those that an import knows are the ones it goes by."""
    return ["name", "brand", *_keys(), *_LAST]


def _keys() -> list[str]:
    """The brands' own readable fields, under the names that an import knows."""
    fields = (f.key for b in brands.catalogue().values() for f in (b.identifier_field, *b.settings_fields) if f)
    return list(dict.fromkeys(fields))


def rows(fleet: Fleet, chosen: list[str], language: str) -> Iterator[list[str]]:
    """One row a credential, under `header`, reasons in a language. Importing it again changes nothing."""
    keys = _keys()
    vehicles = vehicle_counts(fleet)
    current = Prefetch("secrets", CredentialSecret.objects.filter(is_current=True).defer("value"), "current")
    found: QuerySet[Credential] = fleet.credentials.filter(pk__in=chosen).prefetch_related(current)
    for credential in found.order_by("brand", "name").iterator(chunk_size=500):
        yield _row(credential, keys, vehicles[credential.pk], language)


def _row(credential: Credential, keys: list[str], vehicles: int, language: str) -> list[str]:
    secret: CredentialSecret = credential.current[0]  # type: ignore[attr-defined]  # what the Prefetch above adds
    identifier = credential.oem.identifier_field
    readable = dict(credential.settings) | ({identifier.key: credential.identifier} if identifier else {})
    # The answer is made after the request, when the reader's language is no longer the active one.
    with translation.override(language):
        reason = credential.status_detail
    last = [
        *(credential.status, _iso(credential.status_since), reason, _iso(credential.checked_at)),
        *(_iso(credential.last_worked_at), _iso(credential.last_used_at)),
        *(str(secret.version), _iso(secret.added_at), secret.added_by, str(vehicles), credential.note),
        *(credential.ends_on.isoformat() if credential.ends_on else "", credential.pk),
    ]
    return [credential.name, credential.brand, *(str(readable.get(key, "")) for key in keys), *last]


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
