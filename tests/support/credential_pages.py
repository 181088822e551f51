"""The URLs of the credential pages, and the text of a page."""

import re

from django.urls import reverse

from credentials.models import Credential
from fleetcontrol.people.models import Fleet
from tests.support.api import Answer


def at(name: str, fleet: Fleet, credential: Credential | None = None, **kwargs: str) -> str:
    ids = {"id": credential.pk} if credential else {}
    return reverse(f"credentials:{name}", kwargs={"fleet": fleet.slug} | ids | kwargs)


def words(answer: Answer) -> str:
    """Return the text of a page without its markup."""
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", text.replace("&#x27;", "'"))
