"""The table of `fleetcontrol.throttle`. Unlogged: after a crash of the database the counts start anew."""

from django.db import migrations

CREATE = """
CREATE UNLOGGED TABLE fleetcontrol_cache (
  key text PRIMARY KEY,
  value text NOT NULL,
  expires timestamptz
);
CREATE INDEX cache_by_expiry ON fleetcontrol_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("fleetcontrol", "0007_last_administrator")]
    operations = [migrations.RunSQL(CREATE, "DROP TABLE fleetcontrol_cache")]
