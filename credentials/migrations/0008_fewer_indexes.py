"""Indexes that every added credential paid for and no query needed.

An index that begins with the same column serves the foreign keys; and ids are of the collation "C", so that their
primary key's own index serves LIKE as well, for which Django makes a second one.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("credentials", "0007_history_of_secrets"),
        ("fleetcontrol", "0010_check_token"),
    ]

    operations = [
        migrations.AlterField(
            model_name="credential",
            name="fleet",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="credentials",
                to="fleetcontrol.fleet",
                verbose_name="fleet",
            ),
        ),
        migrations.AlterField(
            model_name="credentialsecret",
            name="credential",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="secrets",
                to="credentials.credential",
            ),
        ),
        migrations.RunSQL(
            "DROP INDEX IF EXISTS credentials_credential_id_fb653eb2_like",
            "CREATE INDEX credentials_credential_id_fb653eb2_like ON credentials_credential (id varchar_pattern_ops)",
        ),
    ]
