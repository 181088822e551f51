"""Invitations: the only way to become a member that needs no administrator's presence.

The link in the email carries a signature over the invitation and the time it was sent; the database holds nothing that
would open it. Sending again makes earlier links useless, as does revoking.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import models, transaction
from django.db.models.functions import Lower
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol import rules
from fleetcontrol.audit import Actor, AuditEvent, new_id
from fleetcontrol.roles import Role

if TYPE_CHECKING:
    from fleetcontrol.models import Fleet, User

VALID_FOR = timedelta(days=7)
_SALT = "fleetcontrol.invitation"


class Invitation(models.Model):
    """An email address that may join a fleet with a role. Open while the row exists and is not older than VALID_FOR."""

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False)
    fleet = models.ForeignKey("fleetcontrol.Fleet", models.CASCADE, related_name="invitations")
    email = models.EmailField(gettext_lazy("email"))
    role = models.CharField(gettext_lazy("role"), max_length=13, choices=Role)
    invited_by = models.CharField(max_length=254, editable=False)
    sent_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = gettext_lazy("invitation")
        verbose_name_plural = gettext_lazy("invitations")
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(
                "fleet",
                Lower("email"),
                name="invitation_unique_in_fleet",
                violation_error_message=gettext_lazy("This address is invited to the fleet already."),
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def expires_at(self) -> datetime:
        return self.sent_at + VALID_FOR

    @property
    def is_open(self) -> bool:
        return timezone.now() < self.expires_at

    @classmethod
    def add(cls, *, fleet: Fleet, emails: Iterable[str], role: Role, actor: Actor) -> list[Invitation]:
        """Invite several addresses; all or none. Raises ValidationError that names members and invited ones."""
        wanted = list({email.lower(): email for email in emails}.values())
        with transaction.atomic():
            members = fleet.people.annotate(lower=Lower("email")).filter(lower__in=[email.lower() for email in wanted])
            if names := sorted(str(member) for member in members):
                raise ValidationError(_("Members of this fleet already: %(names)s.") % {"names": ", ".join(names)})
            invitations = [cls(fleet=fleet, email=email, role=role, invited_by=actor.label) for email in wanted]
            for invitation in invitations:
                invitation.full_clean()
                with rules.worded(invitation):
                    invitation.save(force_insert=True)
                AuditEvent.record(fleet, actor, "invitation.add", invitation, {"role": [None, str(role)]})
        return invitations

    @classmethod
    def of_token(cls, token: str) -> Invitation | None:
        """The open invitation that a link leads to, or nothing when it is forged, too old, resent or revoked."""
        try:
            pk, sent_at = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
        except (signing.BadSignature, ValueError, TypeError):
            return None
        invitation = cls.objects.select_related("fleet").filter(pk=pk).first()
        if invitation is None or invitation.sent_at.isoformat() != sent_at or not invitation.is_open:
            return None
        return invitation

    @classmethod
    def open_for(cls, email: str) -> models.QuerySet[Invitation]:
        """All open invitations of an address whose owner has proved that it is theirs."""
        return cls.objects.filter(email__iexact=email, sent_at__gt=timezone.now() - VALID_FOR)

    @property
    def link(self) -> str:
        token = signing.dumps([self.pk, self.sent_at.isoformat()], salt=_SALT)
        return f"{settings.PUBLIC_URL}{reverse('invitations:accept', args=[token])}"

    def send(self) -> None:
        """Email the link, in the language that is active. Raises OSError when the mail server refuses or is away."""
        context = {"invitation": self, "link": self.link}
        subject = _("Invitation to %(fleet)s on FleetControl") % {"fleet": " ".join(self.fleet.name.split())}
        send_mail(subject, render_to_string("people/invitations/email.txt", context), None, [self.email])

    def resend(self, *, actor: Actor) -> None:
        """Make a new link that is valid from now; earlier ones no longer work. The caller sends it."""
        with transaction.atomic():
            invitation = Invitation.objects.select_for_update().get(pk=self.pk)
            invitation.sent_at = self.sent_at = timezone.now()
            invitation.save(update_fields=["sent_at"])
            AuditEvent.record(invitation.fleet, actor, "invitation.resend", invitation)

    def revoke(self, *, actor: Actor) -> None:
        with transaction.atomic():
            AuditEvent.record(self.fleet, actor, "invitation.revoke", self)
            self.delete()

    def accept(self, user: User, *, actor: Actor) -> None:
        """Make the person a member. The caller has proved that the address is theirs.

        Raises Invitation.DoesNotExist when it was revoked or accepted meanwhile.
        """
        with transaction.atomic():
            invitation = Invitation.objects.select_for_update().select_related("fleet").get(pk=self.pk)
            if not invitation.fleet.memberships.filter(user=user).exists():
                invitation.fleet.admit(user, role=Role(invitation.role), actor=actor)
            AuditEvent.record(invitation.fleet, actor, "invitation.accept", invitation)
            invitation.delete()

    def full_clean(self, *args: Any, **kwargs: Any) -> None:
        """As Django's, with the address in front of each error, because several are invited at once."""
        try:
            super().full_clean(*args, **kwargs)
        except ValidationError as error:
            raise ValidationError([f"{self.email}: {message}" for message in error.messages]) from None
