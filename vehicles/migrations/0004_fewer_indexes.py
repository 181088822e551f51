"""Ids are of the collation "C", so that the primary key's own index serves LIKE; Django makes a second one for that."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("vehicles", "0003_fast_search")]
    operations = [
        migrations.RunSQL(
            "DROP INDEX IF EXISTS vehicles_vehicle_id_6399a978_like",
            "CREATE INDEX vehicles_vehicle_id_6399a978_like ON vehicles_vehicle (id varchar_pattern_ops)",
        ),
    ]
