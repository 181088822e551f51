"""Sessions are sealed in the database.

A session may hold what opens an account: the seed of an authenticator app that is being set up, the key of a password
reset, a form that waits for proof of who sent it. With a copy of the table nobody reads it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.serializers import JSONSerializer

from fleetcontrol.seal import Sealed, seal_bytes

OWNER = "session"


class SealedSerializer(JSONSerializer):
    """Django's JSON, sealed. A session that no key of FERNET_KEYS opens is empty: its person signs in again."""

    def dumps(self, obj: Any) -> bytes:
        return seal_bytes(super().dumps(obj), OWNER).token

    def loads(self, data: bytes) -> Any:
        """The session's values. Raises SealError, for which Django takes an empty session."""
        return super().loads(Sealed(data).open_bytes(OWNER))
