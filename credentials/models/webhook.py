"""A fleet's webhook: the address its notices are posted to, signed so that the receiver knows the sender."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credentials.brands.field import tidy
from fleetcontrol import outbound
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.audit.versions import require_version
from fleetcontrol.db.ids import new_id
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealedTextField, SealError, seal

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_NOT_AN_ADDRESS = _("Enter an address that starts with https:// and has no user name in it.")
_NOT_A_PORT = _("This port is not allowed. The operator can allow it with FLEETCONTROL_WEBHOOK_PORTS.")
_LONGEST = 500  # characters
_RESULTS: Mapping[str, StrOrPromise] = {
    "address": _("Its address is none that can be posted to. Set the webhook up again."),
    "port": _NOT_A_PORT,
    "timeout": _("It did not answer within 10 seconds."),
    "connect": _("It could not be reached."),
    "name": _("Its name could not be found."),
    "private": _("It is in a private network. The operator can allow it with FLEETCONTROL_WEBHOOK_HOSTS."),
    "certificate": _("Its certificate is not trusted."),
    "sealed": _("Its address or its signing key cannot be opened. Set the webhook up again."),
    "unexpected": _("Something failed on our side. The log says more."),
}


class Webhook(models.Model):
    """The address a fleet's notices are posted to. It is sealed, because it is often as good as a password.

    `host` is the part of it that people, audit events and logs may see.
    `last_result` is "" if the receiver took the last post, else the reason: a key of _RESULTS or an HTTP status.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.OneToOneField(Fleet, models.CASCADE, related_name="webhook")
    address = SealedTextField(editable=False)
    host = models.CharField(max_length=253, editable=False)
    signing_key = SealedTextField(editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_posted_at = models.DateTimeField(null=True, editable=False)
    last_result = models.CharField(max_length=40, blank=True, editable=False)

    versioned_fields = ("host",)
    saving_actions = ("webhook.set_up",)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")

    def __str__(self) -> str:
        return self.host

    @property
    def seal_owner(self) -> str:
        """What the sealed signing key is bound to."""
        return f"webhook:{self.pk}"

    @property
    def address_owner(self) -> str:
        """What the sealed address is bound to."""
        return f"{self.seal_owner}:address"

    @property
    def result(self) -> StrOrPromise:
        """What came of the last post, in words; "" if the receiver took it."""
        if self.last_result.isdecimal():
            return _("It answered with HTTP %(status)s.") % {"status": self.last_result}
        return _RESULTS.get(self.last_result, _("It broke off the connection.") if self.last_result else "")

    @classmethod
    def set_up(
        cls, *, fleet: Fleet, url: str, actor: Actor, expected_version: str | None = None
    ) -> tuple[Webhook, str]:
        """Post the fleet's notices to this address from now on.

        Returns the webhook and its signing key, which cannot be read again. `expected_version` is the version that the
        person saw. Raises ValidationError with the key `url`, and ChangedMeanwhile.
        """
        address = clean_address(url)
        key = f"fcw_{secrets.token_urlsafe(32)}"
        with transaction.atomic():
            # Lock the fleet: of two people at once, the second one's address stays.
            Fleet.objects.select_for_update(no_key=True).get(pk=fleet.pk)
            former = cls.objects.filter(fleet=fleet).first()
            require_version(former, expected_version)
            webhook = former or cls(fleet=fleet)
            before, webhook.host = former.host if former else None, address.host
            webhook.address = seal(address.url, webhook.address_owner)
            webhook.signing_key = seal(key, webhook.seal_owner)
            webhook.last_posted_at, webhook.last_result = None, ""
            webhook.save()
            AuditEvent.record(fleet, actor, "webhook.set_up", webhook, {"host": [before, webhook.host]})
        return webhook, key

    def remove(self, *, actor: Actor) -> None:
        """Delete the webhook. Notices are no longer posted."""
        with transaction.atomic():
            AuditEvent.record(self.fleet, actor, "webhook.remove", self, {"host": [self.host, None]})
            self.delete()

    def post(self, delivery: str, event: str, facts: Mapping[str, Any]) -> bool:
        """Post one event; returns whether the receiver took it (HTTP 2xx). `delivery` names it across all tries."""
        body = {"id": delivery, "type": event, "fleet": self.fleet.slug, **facts}
        content = json.dumps(body, ensure_ascii=False).encode()
        try:
            result = self._send(delivery, event, content)
        except outbound.NoAnswer as error:
            result = error.reason
        except SealError:
            result = "sealed"
        self.last_posted_at, self.last_result = timezone.now(), result
        type(self).objects.filter(pk=self.pk).update(last_posted_at=self.last_posted_at, last_result=result)
        return not result

    def _send(self, delivery: str, event: str, content: bytes) -> str:
        assert self.address is not None and self.signing_key is not None  # noqa: S101 - never NULL
        url, key = self.address.open(self.address_owner), self.signing_key.open(self.seal_owner)
        seconds = int(timezone.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "FleetControl",
            "X-FleetControl-Event": event,
            "X-FleetControl-Delivery": delivery,
            "X-FleetControl-Signature": f"t={seconds},v1={signature(key, seconds, content)}",
        }
        answer = outbound.post(
            url,
            headers=headers,
            content=content,
            private_hosts=settings.FLEETCONTROL_WEBHOOK_HOSTS,
            ports=settings.FLEETCONTROL_WEBHOOK_PORTS,
            seconds=outbound.SECONDS,
        )
        return "" if 200 <= answer.status < 300 else str(answer.status)


def signature(key: str, seconds: int, content: bytes) -> str:
    """HMAC-SHA256, in hex, of the time (Unix seconds), a dot and the body.

    The receiver computes the same, and refuses old times, so that nobody can send a recorded post again.
    """
    return hmac.new(key.encode(), f"{seconds}.".encode() + content, hashlib.sha256).hexdigest()


def clean_address(text: str) -> outbound.Address:
    """The https address in the form that is stored. Raises ValidationError with the key `url`."""
    text = tidy(text)
    if len(text) > _LONGEST:
        raise ValidationError({"url": _NOT_AN_ADDRESS})
    try:
        return outbound.Address.parse(text, ports=settings.FLEETCONTROL_WEBHOOK_PORTS)
    except outbound.BadAddress as bad:
        raise ValidationError({"url": _NOT_A_PORT if bad.reason == "port" else _NOT_AN_ADDRESS}) from None
