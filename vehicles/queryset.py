"""What can be asked of and done to many vehicles at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.utils.translation import gettext_lazy as _

from credentials.models import Credential
from fleetcontrol import rules
from fleetcontrol.models import Actor, AuditEvent, Fleet
from fleetcontrol.seal import fingerprint
from fleetcontrol.writing import insert

if TYPE_CHECKING:
    from vehicles.models import Vehicle

# One statement: what is moved is what is locked, and each vehicle gets its event. A vehicle of another fleet or brand
# breaks vehicle_credential_of_same_fleet_and_brand, so it cannot slip through.
_MOVE = """
WITH moving AS (
    SELECT vehicle.id, vehicle.name, former.name AS former
    FROM vehicles_vehicle vehicle LEFT JOIN credentials_credential former ON former.id = vehicle.credential_id
    WHERE vehicle.id IN ({chosen}) AND vehicle.credential_id IS DISTINCT FROM %(credential)s
    ORDER BY vehicle.id FOR UPDATE OF vehicle
), moved AS (
    UPDATE vehicles_vehicle vehicle
    SET credential_id = %(credential)s, changed_at = statement_timestamp(), changed_by = %(label)s
    FROM moving WHERE vehicle.id = moving.id
    RETURNING vehicle.id, vehicle.name, moving.former
)
INSERT INTO fleetcontrol_auditevent (
    fleet_id, time, actor_kind, actor_id, actor_label, action, target_kind, target_id, target_label, changes, flow_id,
    address
)
SELECT %(fleet)s, statement_timestamp(), %(kind)s, %(actor)s, %(label)s, 'vehicle.move', 'vehicle', id, name,
    jsonb_build_object('credential', jsonb_build_array(former, %(name)s::text)), %(flow_id)s, %(address)s::inet
FROM moved
"""


CHUNK = 3


class Chunks(models.Func):
    """A text cut into pieces of three characters, for an index that finds any part of it.

    PostgreSQL's own trigrams need an extension. These pieces do not overlap, which makes a third of the entries, so
    that adding a vehicle stays cheap; a text of five characters holds at least one whole piece, wherever it lies.
    """

    template = r"string_to_array(regexp_replace(%(expressions)s, '(...)', '\1 ', 'g'), ' ')"
    output_field = ArrayField(models.TextField())


def essence(text: str) -> str:
    """What of a text is searched for."""
    return text.lower().replace(" ", "").replace("-", "").replace("\x00", "")


def has_whole_chunk(text: str) -> bool:
    """Whether a search for the text is quick in a million vehicles; else each of the fleet's vehicles is looked at."""
    return len(essence(text)) >= 2 * CHUNK - 1


class Rejected(Exception):
    """Of many vehicles none was added; `errors` maps the place of a wrong one to its ValidationError."""

    def __init__(self, errors: Mapping[int, ValidationError]) -> None:
        self.errors = errors
        super().__init__(f"{len(errors)} vehicles are wrong")


class VehicleQuerySet(models.QuerySet["Vehicle"]):
    def search(self, text: str) -> Self:
        """Vehicles with the text in any part of name, licence plate, VIN or unit id, without regard to case, spaces
        and hyphens.
        """
        wanted = essence(text)
        if not has_whole_chunk(text):
            return self.filter(search__contains=wanted) if wanted else self
        hit = models.Q()
        for start in range(CHUNK):
            whole = range(start, len(wanted) - CHUNK + 1, CHUNK)
            hit |= models.Q(chunks__contains=[wanted[at : at + CHUNK] for at in whole])
        return self.alias(chunks=Chunks("search")).filter(hit, search__contains=wanted)

    def holding(self, value: str, fleet_id: int) -> Self:
        """Vehicles of the fleet whose unit has this password."""
        return self.filter(fleet=fleet_id, unit_password_fingerprint=fingerprint(value, f"fleet:{fleet_id}"))

    def move(self, credential: Credential, *, actor: Actor) -> int:
        """Move these vehicles to another credential of their fleet and brand, all or none; returns how many moved.

        One statement, with one audit event a vehicle; those that use the credential already stay untouched. Raises
        ValidationError when a vehicle is of another fleet or brand, and when the credential was deleted meanwhile.
        """
        stranger = self.exclude(fleet=credential.fleet_id, telematics_brand=credential.brand).order_by().first()
        if stranger is not None:
            words = _("%(credential)s cannot be used by %(vehicle)s: its fleet or brand is another.")
            raise ValidationError({"credential": words % {"credential": credential, "vehicle": stranger}})
        chosen, params = self.order_by().values("pk").query.sql_with_params()
        values: dict[str, Any] = {
            "credential": credential.pk,
            "name": credential.name,
            "fleet": credential.fleet_id,
            "kind": actor.kind,
            "actor": actor.id,
            "label": actor.label,
            "flow_id": actor.flow_id,
            "address": actor.address,
        } | {f"p{number}": value for number, value in enumerate(params)}
        named = chosen % tuple(f"%(p{number})s" for number in range(len(params)))
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_MOVE.format(chosen=named), values)
                moved: int = cursor.rowcount
        except IntegrityError:
            if Credential.objects.filter(pk=credential.pk).exists():
                raise
            gone = _("%(credential)s was deleted meanwhile.") % {"credential": credential}
            raise ValidationError({"credential": gone}) from None
        return moved

    def add_many(self, *, fleet: Fleet, actor: Actor, many: Sequence[Mapping[str, Any]]) -> list[Vehicle]:
        """Add vehicles, all or none, in two statements; each is what `Vehicle.draft` takes. Raises Rejected."""
        drafts: list[Vehicle] = []
        errors: dict[int, ValidationError] = {}
        for number, values in enumerate(many):
            try:
                drafts.append(self.model.draft(fleet=fleet, actor=actor, **values))
            except ValidationError as error:
                errors[number] = error
        if errors:
            raise Rejected(errors)
        try:
            with transaction.atomic():
                self.bulk_create(drafts)
                AuditEvent.record_many(
                    AuditEvent.about(fleet, actor, "vehicle.add", one, one.facts()) for one in drafts
                )
        except IntegrityError:
            raise Rejected(self._obstacles(drafts)) from None
        return drafts

    def _obstacles(self, drafts: Sequence[Vehicle]) -> dict[int, ValidationError]:
        """What the database has against each, tried one by one and taken back."""
        errors: dict[int, ValidationError] = {}
        with transaction.atomic():
            for number, vehicle in enumerate(drafts):
                vehicle._state.adding = True
                try:
                    with rules.worded(vehicle):
                        insert(vehicle)
                except ValidationError as error:
                    errors[number] = error
            transaction.set_rollback(True)
        return errors
