"""Idempotency-Key: a request that is sent twice within 24 hours is done once and answered twice.

The answer is kept sealed, because it may hold what only this client may read. Of the request only a keyed digest is
kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from fleetcontrol.api.models import ANSWERS_KEPT, KeptAnswer
from fleetcontrol.api.operations import ApiRequest
from fleetcontrol.api.problems import CONFLICTING_RESOURCE, VALIDATION_ERROR, ProblemError
from fleetcontrol.seal import Sealed, fingerprint, seal

LONGEST_KEY = 255
_KEPT_HEADERS = ("Content-Type", "ETag", "Location")

# A second request with the same key waits here until the first has committed.
_CLAIM = """
INSERT INTO api_keptanswer AS kept (client_id, key, request, status, created_at)
VALUES (%(client)s, %(key)s, %(request)s, 0, clock_timestamp())
ON CONFLICT (client_id, key) DO UPDATE
    SET request = excluded.request, status = 0, value = NULL, created_at = excluded.created_at
    WHERE kept.created_at < clock_timestamp() - %(kept)s
RETURNING id
"""


def idempotently(request: ApiRequest, work: Callable[[], HttpResponse]) -> HttpResponse:
    """Do the work of a POST, or repeat the answer that its Idempotency-Key got the first time.

    Work and answer share a transaction, so the key is free again after an unexpected exception. A problem is an answer
    like any other. Raises ProblemError for a malformed key and for a key that was used for another request.
    """
    client = request.caller.id
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return work()
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise ProblemError(
            VALIDATION_ERROR,
            errors=[("Idempotency-Key", _("Write 1 to 255 printable ASCII characters."))],
        )
    body = sha256(request.body).hexdigest()
    digest = fingerprint(f"{request.method} {request.get_full_path()}\n{body}", f"idempotency:{client}")
    with transaction.atomic():
        claimed = _claim(client, key, digest)
        if claimed is None:
            return _repeated(KeptAnswer.objects.get(client=client, key=key), digest)
        try:
            with transaction.atomic():
                response = work()
        except ProblemError as error:
            response = error.answer(request.flow_id)
        kept = {name: response[name] for name in _KEPT_HEADERS if name in response}
        text = json.dumps({"headers": kept, "content": response.content.decode()})
        KeptAnswer.objects.filter(pk=claimed).update(status=response.status_code, value=seal(text, _owner(claimed)))
    return response


def _claim(client: int, key: str, digest: str) -> int | None:
    """The id of a new row for this key; None when the key was used in the last 24 hours."""
    values: dict[str, Any] = {"client": client, "key": key, "request": digest, "kept": ANSWERS_KEPT}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        row = cursor.fetchone()
    return row[0] if row else None


def _repeated(kept: KeptAnswer, digest: str) -> HttpResponse:
    if kept.request != digest:
        raise ProblemError(CONFLICTING_RESOURCE, _("This Idempotency-Key was used for another request. Use a new one."))
    assert isinstance(kept.value, Sealed)  # noqa: S101 - set in the transaction that inserted the row
    answer = json.loads(kept.value.open(_owner(kept.pk)))
    return HttpResponse(
        answer["content"], status=kept.status, headers={**answer["headers"], "Idempotency-Replayed": "true"}
    )


def _owner(row: int) -> str:
    return f"keptanswer:{row}"
