"""The head of the chain, kept where the owner of the database has no say: in a file, the log, syslog, a webhook.

A chain inside the database cannot show that its end was cut off, or sealed again by somebody who has AUDIT_KEY. So
`tend` writes the head of the last seal to AUDIT_HEAD_FILE. It seals and retires nothing more while that head is not in
the chain, and `manage.py verify_audit` compares with it. After a restore or a failover, which lose the last seals,
`manage.py tend --adopt-head REASON` goes on.
"""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import closing
from logging.handlers import SysLogHandler
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.conf import settings
from django.utils.translation import gettext as _

from fleetcontrol import outbound
from fleetcontrol.audit.models import AuditChain, AuditSeal
from fleetcontrol.duties import Refused

# The head before the first seal. The file holds it first, so that a round which dies between its seals and the keeping
# of their head does not look like a lost file.
BEFORE_ALL = "0:" + "0" * 64
_HEAD = re.compile(r"[1-9][0-9]*:[0-9a-f]{64}")


class HeadRefused(Refused):
    """The chain does not go on from the kept head. The message is a sentence for the operator."""


def is_head(text: str) -> bool:
    """Whether this can be a head, such as "12:9f3a…": the number of a seal, a colon and 64 hex digits."""
    return _HEAD.fullmatch(text) is not None


def head_file() -> Path:
    return Path(settings.AUDIT_HEAD_FILE)


def kept_head() -> str:
    """The head in the file; "" if there is no file. Raises OSError, and HeadRefused if it holds no head."""
    try:
        text = head_file().read_text().strip()
    except FileNotFoundError:
        return ""
    if not is_head(text) and text != BEFORE_ALL:
        raise HeadRefused(_("%(file)s does not hold a head of the audit trail.") % {"file": head_file()} + _way_on())
    return text


def require_kept_head(chain: AuditChain) -> None:
    """Compare the chain, which the caller has locked, with the kept head. Raises HeadRefused and OSError."""
    head = kept_head()
    if problem := head_problem(chain, head):
        raise HeadRefused(problem + _way_on())
    if not head:
        keep(BEFORE_ALL)


def head_problem(chain: AuditChain | None, head: str) -> str:
    """What is wrong with the chain for whom this is the kept head, in a sentence; "" for nothing."""
    if not head:
        if AuditSeal.objects.exists() or (chain is not None and chain.kept_head):
            words = _("The file %(file)s, which keeps the head of the audit trail, is gone.")
            return words % {"file": head_file()}
        return ""
    number, _colon, digest = head.partition(":")
    if head == BEFORE_ALL or AuditSeal.objects.filter(number=number, head=digest).exists():
        return ""
    words = _(
        "The head %(head)s, kept in %(file)s, is no longer in the chain: seals were taken off its end or made again."
    )
    return words % {"head": head, "file": head_file()}


def keep(head: str) -> None:
    """Write the head so that after a crash the file holds the former head or this one. Raises OSError."""
    file = head_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, prefix=".audit-head-", delete=False) as new_file:  # of mode 600
        try:
            new_file.write(f"{head}\n")
            new_file.flush()
            os.fsync(new_file.fileno())
            Path(new_file.name).replace(file)
        except OSError:
            Path(new_file.name).unlink(missing_ok=True)
            raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def tell(head: str) -> None:
    """Tell the head to syslog and to the webhook, where these are set. Raises OSError and outbound.NoAnswer."""
    if settings.AUDIT_HEAD_SYSLOG:
        _tell_syslog(head)
    if settings.AUDIT_HEAD_WEBHOOK:
        _tell_webhook(head)


class _Syslog(SysLogHandler):
    """The standard library's, with an error where that one prints a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        raise


def _tell_syslog(head: str) -> None:
    host, _colon, port = settings.AUDIT_HEAD_SYSLOG.rpartition(":")
    address = settings.AUDIT_HEAD_SYSLOG if settings.AUDIT_HEAD_SYSLOG.startswith("/") else (host, int(port))
    with closing(_Syslog(address, SysLogHandler.LOG_AUTH)) as handler:
        message = f"fleetcontrol: the audit trail is sealed up to the head {head}"
        handler.emit(logging.LogRecord("fleetcontrol", logging.INFO, "", 0, message, None, None))


def _tell_webhook(head: str) -> None:
    answer = outbound.post(
        settings.AUDIT_HEAD_WEBHOOK,
        headers={"Content-Type": "application/json", "User-Agent": "FleetControl"},
        content=json.dumps({"type": "audit_head", "head": head}).encode(),
        private_hosts=settings.FLEETCONTROL_WEBHOOK_HOSTS,
        ports=settings.FLEETCONTROL_WEBHOOK_PORTS,
    )
    if not 200 <= answer.status < 300:
        raise outbound.NoAnswer(f"HTTP {answer.status}")


def _way_on() -> str:
    return " " + _(
        "Nothing was sealed. Find out why, with `manage.py verify_audit` and the heads in the log. If the database was "
        "restored or another server took over, go on with `manage.py tend --adopt-head REASON`."
    )
