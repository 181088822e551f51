"""People, fleets, memberships and invitations.

The link in an invitation's email carries a signature over the invitation and the time it was sent. The database holds
nothing from which a link could be made. Sending the invitation again, or revoking it, makes earlier links useless.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, Permission, PermissionsMixin
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, models, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.audit.versions import require_version
from fleetcontrol.db import rules
from fleetcontrol.db.clock import database_now
from fleetcontrol.db.ids import new_id
from fleetcontrol.db.rules import DEADLOCK, FOREIGN_KEY, sqlstate_of
from fleetcontrol.people.addresses import AddressField, known_as, must_be_normal, normal
from fleetcontrol.people.owned import in_order_of_deletion
from fleetcontrol.seal import fingerprint

MOST_TRIES = 5
VALID_FOR = timedelta(days=7)
_INVITATION_SALT = "fleetcontrol.invitation"


class Role(models.TextChoices):
    """What a person may do in a fleet, ordered from the least to the most."""

    VIEWER = "viewer", _("Viewer")
    MANAGER = "manager", _("Fleet manager")
    ADMINISTRATOR = "administrator", _("Administrator")

    def covers(self, other: Role) -> bool:
        """Whether this role includes the other: administrator > manager > viewer."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person. Raises ValidationError if the address has no normal form."""
        user = self.model(email=normal(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=known_as(username))


class User(AbstractBaseUser, PermissionsMixin):
    """A person, who signs in by email. Memberships say what they may do in which fleet."""

    email = AddressField(_("email"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    language = models.CharField(
        _("language"), max_length=5, blank=True, choices=[("en", _("English")), ("de", _("German"))]
    )
    theme = models.CharField(
        _("theme"),
        max_length=5,
        blank=True,
        choices=[("", _("System")), ("light", _("Light")), ("dark", _("Dark"))],
    )
    shortcuts = models.BooleanField(_("keyboard shortcuts"), default=True)
    is_active = models.BooleanField(_("may sign in"), default=True)
    is_staff = models.BooleanField(_("may use the Django admin"), default=False)
    # How often all sessions were ended. It is part of what a session must match, as the password is.
    sessions_ended = models.PositiveIntegerField(default=0, editable=False)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    versioned_fields = ("email", "name", "language", "theme", "shortcuts", "is_active", "is_staff", "is_superuser")
    saving_actions = ("user.add", "user.change")

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.UniqueConstraint(
                fields=["email"],
                name="user_email_unique",
                violation_error_message=_("There is a person with this email already."),
            ),
            must_be_normal("user_email_normal"),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return str(self)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session holds and must go on to match; Django asks for it with each of its secret keys."""
        value = f"{self.password}:{self.sessions_ended}"
        return salted_hmac("fleetcontrol.people.session", value, secret=secret, algorithm="sha256").hexdigest()

    def end_sessions(self) -> None:
        """End every session of the person, and every sign-in that is under way."""
        User.objects.filter(pk=self.pk).update(sessions_ended=F("sessions_ended") + 1)
        self.refresh_from_db(fields=["sessions_ended"])

    def remove_factors(self, *, actor: Actor) -> list[str]:
        """Remove every second factor and recovery code, and end every session. Returns the kinds that were removed.

        The event is in each fleet of the person, or outside of fleets if there is none.
        """
        with transaction.atomic():
            User.objects.select_for_update().get(pk=self.pk)
            factors = Authenticator.objects.filter(user=self)
            kinds = sorted(set(factors.values_list("type", flat=True)))
            factors.delete()
            self.end_sessions()
            fleets: list[Fleet | None] = [*self.fleets.order_by("pk")]
            changes = {"second_factor": [kinds, None]}
            AuditEvent.record_many(
                [AuditEvent.about(fleet, actor, "user.remove_factors", self, changes) for fleet in fleets or [None]]
            )
        return kinds

    def may_grant(self, role: Role, fleet: Fleet) -> bool:
        """Whether the person may give others this role in the fleet: superusers any, all others up to their own."""
        own = self.memberships.filter(fleet=fleet).first()
        return self.is_superuser or (own is not None and own.may(role))

    def covers(self, other: User) -> bool:
        """Whether the person may do all that the other may: in the Django admin, and in the other's fleets."""
        if self.is_superuser or self == other:
            return True
        if other.is_superuser or (other.is_staff and not self.is_staff):
            return False
        # The permissions of people who are not active count: they may become active again.
        ours = Permission.objects.filter(models.Q(user=self) | models.Q(group__user=self)).values("pk")
        theirs = Permission.objects.filter(models.Q(user=other) | models.Q(group__user=other))
        if theirs.exclude(pk__in=ours).exists():
            return False
        return all(self.may_grant(Role(one.role), one.fleet) for one in other.memberships.select_related("fleet"))

    def require_dispensable(self) -> None:
        """Raise LastAdministrator if a fleet would keep no administrator who can sign in without this person.

        Locks the person's fleets: call it in the transaction that sets them inactive.
        """
        administered = Fleet.objects.filter(memberships__user=self, memberships__role=Role.ADMINISTRATOR)
        fleets = Fleet.objects.filter(pk__in=administered.values("pk")).order_by("pk")
        for fleet in fleets.select_for_update(no_key=True):
            others = fleet.memberships.filter(role=Role.ADMINISTRATOR, user__is_active=True).exclude(user=self)
            if self.is_active and not others.exists():
                raise LastAdministrator


class UsedCode(models.Model):
    """A code of an authenticator app that was taken. The database takes each code once, whoever sends it how often.

    `seed` is a keyed digest of the app's seed, so that the code which proves a new app counts as used too.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="used_codes")
    seed = models.CharField(max_length=64)
    step = models.BigIntegerField()  # the code's time: seconds since 1970 by MFA_TOTP_PERIOD

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "seed", "step"], name="code_used_once")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.step}"

    @classmethod
    def take(cls, user: User, *, seed: str, step: int) -> bool:
        """Use up the code of this step. False if it was taken before, also by a request of the same moment."""
        try:
            with transaction.atomic():
                cls.objects.create(user=user, seed=fingerprint(seed, f"totp:{user.pk}"), step=step)
        except IntegrityError:
            return False
        return True


class Fleet(models.Model):
    """An operator's fleet. Credentials, vehicles and API clients belong to one fleet; all others cannot see them."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("short name in addresses"), max_length=50)
    require_second_factor = models.BooleanField(
        _("require a second factor"),
        default=False,
        help_text=_("Members can open this fleet only after they have set up an authenticator app or a passkey."),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    people: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="fleets"
    )

    versioned_fields = ("name", "slug", "require_second_factor")
    saving_actions = ("fleet.add", "fleet.change")

    class Meta:
        verbose_name = _("fleet")
        verbose_name_plural = _("fleets")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                "name",
                name="fleet_name_unique",
                violation_error_message=_("There is a fleet of this name already."),
            ),
            models.UniqueConstraint(
                "slug",
                name="fleet_slug_unique",
                violation_error_message=_("Another fleet has this short name already."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def add(cls, *, name: str, actor: Actor, slug: str = "", administrator: User | None = None) -> Fleet:
        """Create a fleet with its first administrator. Raises ValidationError on a bad or taken name or slug."""
        fleet = cls(name=name.strip(), slug=slug or slugify(name.casefold())[:50])
        fleet.full_clean()
        with transaction.atomic():
            fleet.save(force_insert=True)
            AuditEvent.record(fleet, actor, "fleet.add", fleet, {"name": [None, fleet.name]})
            if administrator is not None:
                Membership.add(fleet=fleet, user=administrator, role=Role.ADMINISTRATOR, actor=actor)
        return fleet

    def change(self, *, actor: Actor, expected_version: str | None = None, **values: Any) -> None:
        """Change the name or whether a second factor is required.

        `expected_version` is the version that the person saw. Raises ValidationError by field, and ChangedMeanwhile.
        """
        with transaction.atomic():
            fleet = Fleet.objects.select_for_update().get(pk=self.pk)
            require_version(fleet, expected_version)
            before = {field: getattr(fleet, field) for field in values}
            for field, value in values.items():
                setattr(fleet, field, value)
            fleet.full_clean()
            changes = {field: [old, new] for field, old in before.items() if old != (new := values[field])}
            if changes:
                fleet.save(update_fields=list(changes))
                AuditEvent.record(fleet, actor, "fleet.change", fleet, changes)
        self.refresh_from_db()

    def admit(self, user: User, *, role: Role, actor: Actor) -> Membership:
        """Make a person a member."""
        return Membership.add(fleet=self, user=user, role=role, actor=actor)

    def remove(self, *, actor: Actor) -> None:
        """Delete the fleet with all that it owns, see `fleetcontrol.people.owned`. Its audit trail stays.

        Who works in the fleet meanwhile can stand in the way: then it begins again. Raises Fleet.DoesNotExist.
        """
        for tries_left in reversed(range(MOST_TRIES)):
            try:
                self._remove(actor)
            except DatabaseError as error:
                if not tries_left or sqlstate_of(error) not in (DEADLOCK, FOREIGN_KEY):
                    raise
            else:
                return

    def _remove(self, actor: Actor) -> None:
        with transaction.atomic():
            fleet = Fleet.objects.select_for_update().get(pk=self.pk)
            counts = {}
            for owned in in_order_of_deletion():
                rows = owned.rows_of(fleet)
                counts[owned.relation] = [rows.count(), 0]
                rows.delete()
            AuditEvent.record(fleet, actor, "fleet.remove", fleet, counts)
            fleet.delete()


def is_gone(fleet: Fleet | None, error: DatabaseError) -> bool:
    """Whether the database refused something because what it belongs to, or this fleet, is deleted.

    Of two transactions that wait for each other the database ends one: so this waits for who deletes the fleet.
    """
    if sqlstate_of(error) == FOREIGN_KEY:
        return True
    if fleet is None or sqlstate_of(error) != DEADLOCK:
        return False
    with transaction.atomic():
        return Fleet.objects.select_for_update(no_key=True).filter(pk=fleet.pk).first() is None


class LastAdministrator(Exception):
    """The change would leave a fleet without an administrator who can sign in."""

    def __str__(self) -> str:
        return gettext("Make someone else an administrator first.")


class Membership(models.Model):
    """What one person may do in one fleet."""

    user = models.ForeignKey(User, models.CASCADE, verbose_name=_("person"), related_name="memberships")
    fleet = models.ForeignKey(Fleet, models.CASCADE, verbose_name=_("fleet"), related_name="memberships")
    role = models.CharField(_("role"), max_length=13, choices=Role)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    versioned_fields = ("role",)
    saving_actions = ("member.add", "member.change")

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "fleet"],
                name="membership_unique",
                violation_error_message=_("This person is a member of the fleet already."),
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def audit_target(self) -> User:
        """The object of this membership's audit events."""
        return self.user

    def may(self, role: Role) -> bool:
        return Role(self.role).covers(role)

    @classmethod
    def add(cls, *, fleet: Fleet, user: User, role: Role, actor: Actor) -> Membership:
        """Make a person a member. Raises ValidationError if they are one already."""
        membership = cls(fleet=fleet, user=user, role=role)
        with transaction.atomic():
            Fleet.objects.select_for_update(no_key=True).get(pk=fleet.pk)
            membership.full_clean()
            membership.save(force_insert=True)
            AuditEvent.record(fleet, actor, "member.add", user, {"role": [None, str(role)]})
        return membership

    def change(self, *, role: Role, actor: Actor, expected_version: str | None = None) -> None:
        """Assign another role. Raises LastAdministrator.

        `expected_version` is the version that the person saw; raises ChangedMeanwhile.
        """
        with transaction.atomic():
            membership = self._locked(stays=role == Role.ADMINISTRATOR, expected_version=expected_version)
            if membership.role != role:
                changes = {"role": [membership.role, str(role)]}
                membership.role = role
                membership.save(update_fields=["role"])
                AuditEvent.record(membership.fleet, actor, "member.change", membership.user, changes)
        self.refresh_from_db()

    def remove(self, *, actor: Actor) -> None:
        """Take the person out of the fleet. Raises LastAdministrator."""
        with transaction.atomic():
            membership = self._locked(stays=False)
            changes = {"role": [membership.role, None]}
            AuditEvent.record(membership.fleet, actor, "member.remove", membership.user, changes)
            membership.delete()

    def _locked(self, *, stays: bool, expected_version: str | None = None) -> Membership:
        """Lock the fleet and return this row. Of two administrators who remove each other at once, one is refused.

        `stays` says whether the member will still be an administrator.
        """
        fleet = Fleet.objects.select_for_update(no_key=True).get(pk=self.fleet_id)
        others = fleet.memberships.filter(role=Role.ADMINISTRATOR, user__is_active=True).exclude(pk=self.pk)
        membership = fleet.memberships.select_related("user", "fleet").get(pk=self.pk)
        require_version(membership, expected_version)
        if membership.role == Role.ADMINISTRATOR and not stays and not others.exists():
            raise LastAdministrator
        return membership


class Invitation(models.Model):
    """An email address that may join a fleet with a role. Open while the row exists and is not older than VALID_FOR."""

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False)
    fleet = models.ForeignKey(Fleet, models.CASCADE, related_name="invitations")
    email = AddressField(_("email"))
    role = models.CharField(_("role"), max_length=13, choices=Role)
    invited_by = models.CharField(max_length=254, editable=False)
    sent_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(
                fields=["fleet", "email"],
                name="invitation_unique_in_fleet",
                violation_error_message=_("This address is invited to the fleet already."),
            ),
            must_be_normal("invitation_email_normal"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return str(self.email)

    @property
    def expires_at(self) -> datetime:
        return self.sent_at + VALID_FOR

    @property
    def is_open(self) -> bool:
        return database_now() < self.expires_at

    @classmethod
    def add(cls, *, fleet: Fleet, emails: Iterable[str], role: Role, actor: Actor) -> list[Invitation]:
        """Invite all of these addresses or none. Raises ValidationError that names members and invited addresses."""
        wanted = list(dict.fromkeys(normal(email) for email in emails))
        with transaction.atomic():
            if names := sorted(str(member) for member in fleet.people.filter(email__in=wanted)):
                raise ValidationError(
                    gettext("Members of this fleet already: %(names)s.") % {"names": ", ".join(names)}
                )
            now = database_now()
            invitations = [
                cls(fleet=fleet, email=email, role=role, invited_by=actor.label, sent_at=now) for email in wanted
            ]
            for invitation in invitations:
                invitation.full_clean()
                with rules.worded(invitation):
                    invitation.save(force_insert=True)
                AuditEvent.record(fleet, actor, "invitation.add", invitation, {"role": [None, str(role)]})
        return invitations

    @classmethod
    def of_token(cls, token: str) -> Invitation | None:
        """The open invitation that a link leads to. None if the link is forged, expired, superseded or revoked."""
        try:
            pk, sent_at = signing.loads(token, salt=_INVITATION_SALT)  # `is_open` says whether it has expired
        except (signing.BadSignature, ValueError, TypeError):
            return None
        invitation = cls.objects.select_related("fleet").filter(pk=pk).first()
        if invitation is None or invitation.sent_at.isoformat() != sent_at or not invitation.is_open:
            return None
        return invitation

    @classmethod
    def open_for(cls, email: str) -> models.QuerySet[Invitation]:
        """All open invitations of an address. The caller has proved whose it is."""
        return cls.objects.filter(email=known_as(email), sent_at__gt=Now() - VALID_FOR)

    @property
    def link(self) -> str:
        token = signing.dumps([self.pk, self.sent_at.isoformat()], salt=_INVITATION_SALT)
        return f"{settings.PUBLIC_URL}{reverse('invitations:accept', args=[token])}"

    def resend(self, *, actor: Actor) -> None:
        """Make a new link that is valid from now on and replaces earlier ones. The caller queues the mail.

        Raises Invitation.DoesNotExist if it has been revoked or accepted in the meantime.
        """
        with transaction.atomic():
            invitation = self._locked()
            invitation.sent_at = self.sent_at = database_now()
            invitation.save(update_fields=["sent_at"])
            AuditEvent.record(invitation.fleet, actor, "invitation.resend", invitation)

    def revoke(self, *, actor: Actor) -> None:
        """Delete it. Raises Invitation.DoesNotExist if it has been revoked or accepted in the meantime."""
        with transaction.atomic():
            invitation = self._locked()
            AuditEvent.record(invitation.fleet, actor, "invitation.revoke", invitation)
            invitation.delete()

    def accept_if_left(self, user: User, *, actor: Actor) -> bool:
        """`accept`, or False if it has been revoked or accepted in the meantime."""
        try:
            self.accept(user, actor=actor)
        except Invitation.DoesNotExist:
            return False
        return True

    def accept(self, user: User, *, actor: Actor) -> None:
        """Make the person a member. The caller has proved that the address is theirs.

        Raises Invitation.DoesNotExist if it has been revoked or accepted in the meantime.
        """
        with transaction.atomic():
            invitation = self._locked()
            if not invitation.fleet.memberships.filter(user=user).exists():
                invitation.fleet.admit(user, role=Role(invitation.role), actor=actor)
            AuditEvent.record(invitation.fleet, actor, "invitation.accept", invitation)
            invitation.delete()

    def _locked(self) -> Invitation:
        """Lock the fleet, as whoever makes a member or deletes the fleet does first, and then this row; return it."""
        fleet = Fleet.objects.select_for_update(no_key=True).filter(pk=self.fleet_id).first()
        invitation = Invitation.objects.select_for_update().get(pk=self.pk, fleet=fleet)
        if fleet is not None:  # else there was no such invitation
            invitation.fleet = fleet
        return invitation

    def full_clean(self, *args: Any, **kwargs: Any) -> None:
        """Prefix each error with the address, because several are invited at once."""
        try:
            super().full_clean(*args, **kwargs)
        except ValidationError as error:
            raise ValidationError([f"{self.email}: {message}" for message in error.messages]) from None


class MailKind(models.TextChoices):
    """Every kind of mail to one person. The value is where its templates are; those not of ours are allauth's."""

    INVITATION = "people/invitations/email", _("Invitation")
    NEW_BROWSER = "people/email/new_browser", _("Sign-in from a new browser")
    FACTORS_REMOVED = "people/email/factors_removed", _("Second factor removed")
    PASSWORD_RESET = "account/email/password_reset_key", _("Link to choose a password")
    PASSWORD_CHANGED = "account/email/password_changed", _("Password changed")
    PASSWORD_SET = "account/email/password_set", _("Password set")
    PASSWORD_WAS_RESET = "account/email/password_reset", _("Password chosen anew")
    TOTP_ACTIVATED = "mfa/email/totp_activated", _("Authenticator app added")
    TOTP_DEACTIVATED = "mfa/email/totp_deactivated", _("Authenticator app removed")
    PASSKEY_ADDED = "mfa/email/webauthn_added", _("Passkey added")
    PASSKEY_REMOVED = "mfa/email/webauthn_removed", _("Passkey removed")
    RECOVERY_CODES = "mfa/email/recovery_codes_generated", _("New recovery codes")
    PROVIDER_CONNECTED = "socialaccount/email/account_connected", _("Connected to single sign-on")


class Mail(models.Model):
    """A mail on its way: what happened to whom, when and from where. Its text and link are made when it is sent.

    Without a person or an invitation it is for nobody: somebody asked for a link for an address without an account.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False)
    kind = models.CharField(max_length=50, choices=MailKind)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="mails")
    invitation = models.ForeignKey(Invitation, models.CASCADE, null=True, related_name="mails")
    language = models.CharField(max_length=5)  # of who caused it, for a person who chose none
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    try_after = models.DateTimeField(db_default=Now(), null=True)  # null: given up
    refusals = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=MailKind.values), name="mail_kind_known"),
            models.CheckConstraint(condition=models.Q(user=None) | models.Q(invitation=None), name="mail_to_one"),
        ]
        indexes = [models.Index(fields=["try_after"], name="mail_to_send")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"
