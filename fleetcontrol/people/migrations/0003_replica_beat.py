"""The table of `fleetcontrol.db.replica`: one row, by whose age on a replica its lag is measured."""

from django.db import migrations

CREATE_BEAT = "CREATE TABLE fleetcontrol_beat (id smallint PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL)"
DROP_BEAT = "DROP TABLE fleetcontrol_beat"


class Migration(migrations.Migration):
    dependencies = [("people", "0002_rules")]
    operations = [migrations.RunSQL(CREATE_BEAT, DROP_BEAT)]
