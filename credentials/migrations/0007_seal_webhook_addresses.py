"""Seal the addresses of webhooks, because they may hold tokens. Their hosts stay readable."""

from typing import Any
from urllib.parse import urlsplit

from django.db import migrations, models

import fleetcontrol.seal
from fleetcontrol.seal import seal


def seal_addresses(apps: Any, schema_editor: Any) -> None:
    for webhook in apps.get_model("credentials", "Webhook").objects.all():
        webhook.address = seal(webhook.url, f"webhook:{webhook.pk}:address")
        webhook.host = _host(webhook.url)
        webhook.url = ""
        webhook.save(update_fields=["address", "host", "url"])


def _host(url: str) -> str:
    """The host of an address; "" for one that has none, which is told as such when it is used."""
    try:
        return (urlsplit(url).hostname or "")[:253]
    except ValueError:
        return ""


class Migration(migrations.Migration):
    dependencies = [("credentials", "0006_tidy_texts")]
    operations = [
        migrations.AddField("webhook", "address", fleetcontrol.seal.SealedTextField(editable=False, null=True)),
        migrations.AddField(
            "webhook", "host", models.CharField(default="", editable=False, max_length=253), preserve_default=False
        ),
        migrations.RunPython(seal_addresses),
        migrations.AlterField("webhook", "address", fleetcontrol.seal.SealedTextField(editable=False)),
        migrations.RemoveField("webhook", "url"),
    ]
