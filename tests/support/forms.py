"""What a form that edits a row sends besides what was typed."""

import re
from html import unescape

from django.test import Client


def version_shown(client: Client, address: str) -> dict[str, str]:
    """Open the form and return the field with the version of the row that it shows. {} if it has none."""
    return version_on(client.get(address).content.decode())


def version_on(page: str) -> dict[str, str]:
    found = re.search(r'name="version" value="([^"]+)"', page)
    return {"version": unescape(found[1])} if found else {}
