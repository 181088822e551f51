"""A token that a program reports as refused is dropped, and the time of the report is kept."""

from django.db import migrations, models

import fleetcontrol.seal


class Migration(migrations.Migration):
    dependencies = [("credentials", "0004_credential_leaked_at")]
    operations = [
        migrations.AddField("oemtoken", "refused_at", models.DateTimeField(null=True)),
        migrations.AlterField("oemtoken", "value", fleetcontrol.seal.SealedTextField(null=True)),
    ]
