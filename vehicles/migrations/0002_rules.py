"""Ids are of the collation "C", so that the primary key's own index serves LIKE as well, for which Django makes a second."""

from django.db import migrations

DROP_LIKE = "DROP INDEX IF EXISTS vehicles_vehicle_id_6399a978_like"
CREATE_LIKE = "CREATE INDEX vehicles_vehicle_id_6399a978_like ON vehicles_vehicle (id varchar_pattern_ops)"


class Migration(migrations.Migration):
    dependencies = [("vehicles", "0001_initial")]
    operations = [migrations.RunSQL(DROP_LIKE, CREATE_LIKE)]
