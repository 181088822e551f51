"""Vehicles, and how each is reached: through a shared credential, with the password of its unit, or without either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Func, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from credentials.models import Credential
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.audit.versions import require_version
from fleetcontrol.db import rules
from fleetcontrol.db.ids import new_id
from fleetcontrol.db.texts import UNTIDY, ExactText, PlainText, is_tidy, refuse_untypable_within, tidied_plate
from fleetcontrol.db.writing import insert
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealedTextField, seal, secret_fingerprint
from vehicles import vin as vins

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

CHANGEABLE = (
    "name", "telematics_unit_id", "credential", "vin", "license_plate", "make", "model", "custom_name", "fuel_type",
    "year", "transmission", "vehicle_type", "vehicle_model_id", "custom_fields", "tags", "operation_status",
)  # fmt: skip


_MODEL_ID_PATTERN = "^[0-9A-HJKMNP-TV-Z]{26}$"
_MODEL_ID = RegexValidator(_MODEL_ID_PATTERN, _("The ID of a vehicle model has 26 digits and capital letters."))


LARGEST_NUMBER = 2**53
"""The largest number of a custom field. Beyond it JavaScript and spreadsheets lose digits."""


def require_plain_values(value: object) -> None:
    """A validator of custom fields, which hold texts, numbers and truth values. Raises ValidationError."""
    for name, one in value.items() if isinstance(value, dict) else ():
        if isinstance(one, (dict, list)):
            words = _("The custom field “%(name)s” holds a list or an object. Give it a text, a number, true or false.")
        elif isinstance(one, (int, float)) and not abs(one) <= LARGEST_NUMBER:
            words = _("The number of the custom field “%(name)s” is too large. Give it as a text.")
        else:
            continue
        raise ValidationError(words, params={"name": name[:100]})


class OperationStatus(models.TextChoices):
    OPERATING = "OPERATING", _("Operating")
    GARAGE = "GARAGE", _("In the garage")


# What a brand's vehicles need to be reached; brands of the kind "none" need nothing.
_NEEDED_FIELD = {"shared": "credential", "individual": "password"}
_REACH_SENTENCES = {
    ("credential", True): _("%(brand)s vehicles need a credential of their brand."),
    ("credential", False): _("%(brand)s vehicles take no credential. Leave it empty."),
    ("password", True): _("%(brand)s vehicles need the password of their unit."),
    ("password", False): _("%(brand)s vehicles take no password. Leave it empty."),
}


def reach_errors(brand: brands.Brand, kind: str, *, credential: bool, password: bool) -> rules.Errors:
    """Which of credential and password is missing or superfluous, by field, in sentences that name the brand.

    `kind` is the brand's kind at the time the vehicle was added; `credential` and `password` are whether it has them.
    """
    needed = _NEEDED_FIELD.get(kind)
    return {
        field: [
            ValidationError(_REACH_SENTENCES[field, field == needed], params={"brand": brand.name}, code="required")
        ]
        for field, is_there in (("credential", credential), ("password", password))
        if is_there != (field == needed)
    }


CHUNK = 3


class Chunks(models.Func):
    """A text cut into pieces of three characters, for an index that finds any part of the text.

    PostgreSQL's own trigrams need an extension. These pieces do not overlap, which makes a third of the entries and
    keeps adding a vehicle cheap. Any part of at least five characters holds one whole piece, wherever it starts.
    """

    template = r"string_to_array(regexp_replace(%(expressions)s, '(...)', '\1 ', 'g'), ' ')"
    output_field = ArrayField(models.TextField())


LONGEST_SEARCHED = 500
"""Characters that a search text may have: more than a name, a licence plate, a VIN and a unit ID have together."""


def search_uses_index(text: str) -> bool:
    """Whether a search for the text is fast among a million vehicles; otherwise it scans all vehicles of the fleet."""
    return len(_without_separators(text)) >= 2 * CHUNK - 1


def _without_separators(text: str) -> str:
    """A text as `Vehicle.search` holds it."""
    return text.lower().replace(" ", "").replace("-", "").replace("\x00", "")


class Rejected(Exception):
    """None of many vehicles was added; `errors` maps the position of each wrong one to its ValidationError."""

    def __init__(self, errors: Mapping[int, ValidationError]) -> None:
        self.errors = errors
        super().__init__(f"{len(errors)} vehicles are wrong")


# One statement locks, moves and audits the same set of vehicles. A vehicle of another fleet or brand breaks
# vehicle_credential_of_same_fleet_and_brand, so none of them can be moved by mistake.
_MOVE = """
WITH moving AS (
    SELECT vehicle.id, vehicle.name, former.name AS former
    FROM vehicles_vehicle vehicle LEFT JOIN credentials_credential former ON former.id = vehicle.credential_id
    WHERE vehicle.id IN ({chosen}) AND vehicle.credential_id IS DISTINCT FROM %(credential)s
    ORDER BY vehicle.id FOR UPDATE OF vehicle
), moved AS (
    UPDATE vehicles_vehicle vehicle
    SET credential_id = %(credential)s, changed_at = %(time)s, changed_by = %(actor_label)s
    FROM moving WHERE vehicle.id = moving.id
    RETURNING vehicle.id, vehicle.name, moving.former
)
{insert_events}
"""


class VehicleQuerySet(models.QuerySet["Vehicle"]):
    def search(self, text: str) -> Self:
        """Vehicles that have the text anywhere in their name, licence plate, VIN or unit ID.

        Case, spaces and hyphens do not matter.
        """
        wanted = _without_separators(text)
        if len(wanted) > LONGEST_SEARCHED:
            return self.none()
        if not search_uses_index(text):
            return self.filter(search__contains=wanted) if wanted else self
        candidates = models.Q()
        for offset in range(CHUNK):
            starts = range(offset, len(wanted) - CHUNK + 1, CHUNK)
            candidates |= models.Q(chunks__contains=[wanted[start : start + CHUNK] for start in starts])
        return self.alias(chunks=Chunks("search")).filter(candidates, search__contains=wanted)

    def holding(self, value: str, fleet_id: int) -> Self:
        """Vehicles of the fleet whose unit has this password."""
        return self.filter(fleet=fleet_id, unit_password_fingerprint=secret_fingerprint(value, f"fleet:{fleet_id}"))

    def move(self, credential: Credential, *, actor: Actor) -> int:
        """Move these vehicles to another credential of their fleet and brand, all or none; return how many moved.

        One statement writes it all, with an audit event for each vehicle. Vehicles that already use the credential
        stay untouched. Raises ValidationError when a vehicle is of another fleet or brand, and when somebody deleted
        the credential meanwhile.
        """
        stranger = self.exclude(fleet=credential.fleet_id, telematics_brand=credential.brand).order_by().first()
        if stranger is not None:
            words = _("%(credential)s cannot be used by %(vehicle)s: its fleet or brand is another.")
            raise ValidationError({"credential": words % {"credential": credential, "vehicle": stranger}})
        chosen, params = self.order_by().values("pk").query.sql_with_params()
        # Named parameters, because those of the audit event are named.
        chosen = chosen % tuple(f"%(p{number})s" for number in range(len(params)))
        events = AuditEvent.insert_sql(
            "vehicle.move",
            "vehicle",
            id="id",
            label="name",
            changes="jsonb_build_object('credential', jsonb_build_array(former, %(name)s::text))",
            rows="FROM moved",
        )
        values = {
            **AuditEvent.sql_params(credential.fleet_id, actor),
            **{f"p{number}": value for number, value in enumerate(params)},
            "credential": credential.pk,
            "name": credential.name,
        }
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_MOVE.format(chosen=chosen, insert_events=events), values)
                moved: int = cursor.rowcount
        except IntegrityError:
            if Credential.objects.filter(pk=credential.pk).exists():
                raise
            gone = _("%(credential)s was deleted meanwhile.") % {"credential": credential}
            raise ValidationError({"credential": gone}) from None
        return moved

    def add_many(self, *, fleet: Fleet, actor: Actor, many: Sequence[Mapping[str, Any]]) -> list[Vehicle]:
        """Add vehicles, all or none, in two statements; `many` holds what `Vehicle.draft` takes. Raises Rejected."""
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
        """What the database refuses in each draft: insert them one by one and roll back."""
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


class LicensePlate(PlainText):
    def to_python(self, value: Any) -> Any:
        return tidied_plate(value) if isinstance(value, str) else super().to_python(value)


class Vehicle(models.Model):
    """A vehicle of a fleet with its telematics unit. The kind of its brand decides how it is reached:

    shared: through a credential of the same fleet and brand; individual: with the password of its own unit; none:
    without either.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(Fleet, models.PROTECT, verbose_name=_("fleet"), related_name="vehicles", db_index=False)
    name = PlainText(_("name"), max_length=100)
    telematics_brand = models.CharField(_("telematics brand"), max_length=40)
    telematics_kind = models.CharField(max_length=10, editable=False)
    telematics_unit_id = ExactText(
        _("telematics unit ID"),
        max_length=64,
        error_messages={"blank": _("Enter the ID of the telematics unit.")},
    )
    credential = models.ForeignKey(
        Credential,
        models.PROTECT,
        verbose_name=_("credential"),
        related_name="vehicles",
        null=True,
        blank=True,
        db_index=False,
    )
    unit_password = SealedTextField(null=True, editable=False)
    unit_password_fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    vin = models.CharField(_("VIN"), max_length=17, blank=True, validators=[vins.FORM])
    license_plate = LicensePlate(_("licence plate"), max_length=30, blank=True)
    make = PlainText(_("make"), max_length=50, blank=True)
    model = PlainText(_("model"), max_length=50, blank=True)
    custom_name = PlainText(_("own name"), max_length=100, blank=True)
    fuel_type = PlainText(_("fuel type"), max_length=30, blank=True)
    year = models.PositiveSmallIntegerField(
        _("year"), null=True, blank=True, validators=[MinValueValidator(1900), MaxValueValidator(2100)]
    )
    transmission = PlainText(_("transmission"), max_length=30, blank=True)
    vehicle_type = PlainText(_("vehicle type"), max_length=30, blank=True)
    # The operator's own list of models has it, or a program that knows the model: it need not be in that list.
    vehicle_model_id = ExactText(_("vehicle model ID"), max_length=26, blank=True, validators=[_MODEL_ID])
    custom_fields = models.JSONField(
        _("custom fields"), default=dict, blank=True, validators=[refuse_untypable_within, require_plain_values]
    )
    tags = ArrayField(PlainText(max_length=50), verbose_name=_("tags"), default=list, blank=True)
    operation_status = models.CharField(
        _("operation status"), max_length=9, choices=OperationStatus, default=OperationStatus.OPERATING
    )
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    created_by = models.CharField(max_length=254, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)
    changed_by = models.CharField(max_length=254, editable=False)
    search = models.GeneratedField(
        expression=Func(
            template="translate(lower("
            "name || '|' || license_plate || '|' || vin || '|' || telematics_unit_id), ' -', '')",
            output_field=models.TextField(),
        ),
        output_field=models.TextField(),
        db_persist=True,
    )

    objects = VehicleQuerySet.as_manager()

    field_of_rule: ClassVar[dict[str, str]] = {
        "vehicle_name_unique_in_fleet": "name",
        "vehicle_name_not_empty": "name",
        "vehicle_name_tidy": "name",
        "vehicle_vin_unique_in_fleet": "vin",
        "vehicle_vin_form": "vin",
        "vehicle_model_id_form": "vehicle_model_id",
        "vehicle_unit_unique_in_fleet_and_brand": "telematics_unit_id",
        "vehicle_unit_not_empty": "telematics_unit_id",
        "vehicle_reached_as_its_brand_needs": "credential",
        "vehicle_credential_of_same_fleet_and_brand": "credential",
    }

    class Meta:
        verbose_name = _("vehicle")
        verbose_name_plural = _("vehicles")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["fleet", "name"],
                name="vehicle_name_unique_in_fleet",
                violation_error_message=_("This fleet already has a vehicle of this name."),
            ),
            models.CheckConstraint(
                condition=Q(name__regex=r"\S"),
                name="vehicle_name_not_empty",
                violation_error_message=_("Enter a name."),
            ),
            models.CheckConstraint(condition=is_tidy("name"), name="vehicle_name_tidy", violation_error_message=UNTIDY),
            models.UniqueConstraint(
                fields=["fleet", "vin"],
                condition=~Q(vin=""),
                name="vehicle_vin_unique_in_fleet",
                violation_error_message=_("This fleet already has a vehicle with this VIN."),
            ),
            models.CheckConstraint(
                condition=Q(vin="") | Q(vin__regex=vins.PATTERN),
                name="vehicle_vin_form",
                violation_error_message=vins.WORDS,
            ),
            models.CheckConstraint(
                condition=Q(vehicle_model_id="") | Q(vehicle_model_id__regex=_MODEL_ID_PATTERN),
                name="vehicle_model_id_form",
                violation_error_message=_MODEL_ID.message,
            ),
            models.UniqueConstraint(
                fields=["fleet", "telematics_brand", "telematics_unit_id"],
                name="vehicle_unit_unique_in_fleet_and_brand",
                violation_error_message=_("This fleet already has a vehicle with this telematics unit."),
            ),
            models.CheckConstraint(
                condition=Q(telematics_unit_id__regex=r"\S"),
                name="vehicle_unit_not_empty",
                violation_error_message=_("Enter the ID of the telematics unit."),
            ),
            models.CheckConstraint(
                condition=Q(telematics_kind="shared", credential__isnull=False, unit_password__isnull=True)
                | Q(telematics_kind="individual", credential=None, unit_password__isnull=False)
                | Q(telematics_kind="none", credential=None, unit_password__isnull=True),
                name="vehicle_reached_as_its_brand_needs",
                violation_error_message=_(
                    "A vehicle needs a credential, a unit password or neither, as its brand says."
                ),
            ),
            rules.CompositeForeignKey(
                fields=["credential", "fleet", "telematics_brand"],
                to="credentials.Credential",
                to_fields=["id", "fleet", "brand"],
                name="vehicle_credential_of_same_fleet_and_brand",
                violation_error_message=_("This credential is not one of the vehicle's fleet and brand."),
            ),
        ]
        indexes = [
            models.Index(fields=["credential", "name"], name="vehicle_by_credential"),
            models.Index(fields=["fleet", "id"], name="vehicle_by_fleet"),
            # Equal entries share one place, so this index is small; it alone answers the counts of a whole fleet.
            models.Index(fields=["fleet", "telematics_brand", "credential"], name="vehicle_counts"),
            GinIndex(Chunks("search"), name="vehicle_search"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def oem(self) -> brands.Brand:
        """The telematics brand's entry in the catalogue."""
        return brands.stored(self.telematics_brand)

    @property
    def notes(self) -> list[StrOrPromise]:
        """What may be wrong with the vehicle and is taken all the same."""
        notes: list[StrOrPromise] = []
        if self.vin and vins.check_digit_is_wrong(self.vin):
            notes.append(
                _("The check digit of the VIN is wrong, compare it with the vehicle’s papers. European VINs need none.")
            )
        if note := self.oem.unit_id.note(self.telematics_unit_id):
            notes.append(note)
        return notes

    @classmethod
    def add(cls, *, fleet: Fleet, actor: Actor, **values: Any) -> Vehicle:
        """Save a new vehicle; see `draft` for its values. Raises ValidationError by field."""
        vehicle = cls.draft(fleet=fleet, actor=actor, **values)
        with rules.worded(vehicle):
            insert(vehicle)
            AuditEvent.record(fleet, actor, "vehicle.add", vehicle, vehicle.facts())
        return vehicle

    @classmethod
    def draft(
        cls,
        *,
        fleet: Fleet,
        actor: Actor,
        telematics_brand: str,
        credential: Credential | None = None,
        password: str = "",
        **values: Any,
    ) -> Vehicle:
        """A vehicle that is not yet saved. Raises ValidationError by field.

        `values` are its fields by name. An empty name becomes the licence plate, else the VIN, else the unit's ID.
        """
        try:
            brand = brands.find(telematics_brand)
        except brands.UnknownBrand as error:
            raise ValidationError({"telematics_brand": str(error)}) from None
        vehicle = cls(fleet=fleet, telematics_brand=brand.id, telematics_kind=brand.kind, credential=credential)
        vehicle.created_by = vehicle.changed_by = actor.label
        vehicle._set_values(values, password)
        return vehicle

    def facts(self) -> dict[str, list[Any]]:
        """What the audit event of a new vehicle holds: each field with a value as [None, value]."""
        return {field: [None, value] for field in CHANGEABLE if (value := self._audited_value(field))}

    def change(self, *, actor: Actor, password: str = "", expected_version: str | None = None, **values: Any) -> None:
        """Change master data, name, tags, status, credential or unit password.

        `expected_version` is the version that the person saw. Raises ValidationError by field, and ChangedMeanwhile.
        """
        with transaction.atomic():
            vehicle = self._locked()
            require_version(vehicle, expected_version)
            before = {field: vehicle._audited_value(field) for field in CHANGEABLE}
            vehicle._set_values(values, password)
            changes: dict[str, Any] = {
                field: [old, new] for field, old in before.items() if old != (new := vehicle._audited_value(field))
            }
            if password:
                changes["password"] = ["replaced", "replaced"]
            if changes:
                vehicle.changed_at, vehicle.changed_by = timezone.now(), actor.label
                with rules.worded(vehicle):
                    vehicle.save()
                AuditEvent.record(vehicle.fleet, actor, "vehicle.change", vehicle, changes)
        self.refresh_from_db()

    def move(self, credential: Credential, *, actor: Actor, expected_version: str | None = None) -> None:
        """Use another credential. Raises ValidationError unless it is of the vehicle's fleet and brand.

        `expected_version` is the version that the person saw; raises ChangedMeanwhile.
        """
        with transaction.atomic():
            if expected_version is not None:
                require_version(self._locked(), expected_version)
            Vehicle.objects.filter(pk=self.pk).move(credential, actor=actor)
        self.refresh_from_db()

    def remove(self, *, actor: Actor) -> None:
        """Delete the vehicle."""
        with transaction.atomic():
            vehicle = self._locked()
            facts = {field: [value, None] for field in CHANGEABLE if (value := vehicle._audited_value(field))}
            AuditEvent.record(vehicle.fleet, actor, "vehicle.remove", vehicle, facts)
            vehicle.delete()

    @sensitive_variables()
    def release(self, *, actor: Actor) -> str:
        """The unit password in plain text, "" if there is none; writes an audit event. Raises SealError."""
        password = self.open_password()
        if password:
            AuditEvent.record(self.fleet, actor, "vehicle.release", self)
        return password

    @property
    def seal_owner(self) -> str:
        """What the sealed unit password is bound to."""
        return f"vehicle:{self.pk}"

    def open_password(self) -> str:
        """The unit password in plain text. Only a release may ask for it. Raises SealError."""
        return self.unit_password.open(self.seal_owner) if self.unit_password else ""

    def _set_values(self, values: Mapping[str, Any], password: str) -> None:
        """Clean and set the values and the unit's password. Raises ValidationError with everything that is wrong."""
        errors: rules.Errors = {}
        former_vin = self.vin
        for field, value in values.items():
            if field not in CHANGEABLE:
                words = _("A vehicle has no field “%(field)s”, or it cannot be changed.")
                errors[field] = [ValidationError(words, params={"field": field})]
            else:
                known = self._meta.get_field(field)
                setattr(self, field, known.to_python(value) if isinstance(known, ExactText | PlainText) else value)
        self.vin = vins.clean(self.vin)
        if former_vin and self.vin:
            self._follow_corrected_vin(former_vin)
        unit = self.telematics_unit_id or (self.vin if self.oem.unit_id.from_vin else "")
        try:
            self.telematics_unit_id = self.oem.unit_id.clean(unit) if unit else ""
        except ValidationError as error:
            errors["telematics_unit_id"] = [error]
        self.name = self.name or self.license_plate or self.vin or self.telematics_unit_id
        if password:
            try:
                password = self.oem.clean_unit_password(password)
            except ValidationError as error:
                errors["password"] = [error]
            self.unit_password = seal(password, self.seal_owner)
            self.unit_password_fingerprint = secret_fingerprint(password, f"fleet:{self.fleet_id}")
        has = {"credential": self.credential_id is not None, "password": self.unit_password is not None}
        errors = reach_errors(self.oem, self.telematics_kind, **has) | errors
        try:
            rules.require_valid(self, errors, exclude=["unit_password", "fleet", "credential"])
        except ValidationError as error:
            if not self.name:  # the unit's ID would be the name: a missing unit is the only mistake
                error.error_dict.pop("name")
            if "password" in error.error_dict:  # the constraint on both is broken too, and belongs to the credential
                error.error_dict.pop("credential", None)
            raise

    def _follow_corrected_vin(self, former_vin: str) -> None:
        """Correct the unit's ID and the name too where they were the former VIN, which is then free again."""
        if self.oem.unit_id.from_vin and self.telematics_unit_id == former_vin:
            self.telematics_unit_id = self.vin
        if self.name == former_vin:
            self.name = self.vin

    def _locked(self) -> Vehicle:
        return Vehicle.objects.select_for_update(of=("self",)).select_related("credential", "fleet").get(pk=self.pk)

    def _audited_value(self, field: str) -> Any:
        value = getattr(self, field)
        return str(value) if isinstance(value, Credential) else value
