"""A trigger that keeps an administrator in every fleet that has one, whoever writes. It runs when the transaction ends.

Also the table of `fleetcontrol.web.throttle`, which counts attempts to sign in. It is unlogged: after a crash of the
database, counting starts anew.
"""

from django.db import migrations

KEEP_ADMINISTRATOR = """
CREATE FUNCTION fleet_keeps_an_administrator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The lock makes a second transaction wait, so that it sees what the first one did.
  PERFORM FROM people_fleet WHERE id = OLD.fleet_id FOR NO KEY UPDATE;
  IF FOUND AND NOT EXISTS (
    SELECT FROM people_membership WHERE fleet_id = OLD.fleet_id AND role = 'administrator'
  ) THEN
    RAISE EXCEPTION 'A fleet keeps one administrator: make someone else an administrator first.'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'fleet_keeps_an_administrator';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fleet_keeps_an_administrator AFTER UPDATE OR DELETE ON people_membership
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'administrator')
  EXECUTE FUNCTION fleet_keeps_an_administrator();
"""
LET_ADMINISTRATOR_GO = """
DROP TRIGGER fleet_keeps_an_administrator ON people_membership;
DROP FUNCTION fleet_keeps_an_administrator();
"""
CREATE_CACHE = """
CREATE UNLOGGED TABLE fleetcontrol_cache (
  key text PRIMARY KEY,
  value text NOT NULL,
  expires timestamptz
);
CREATE INDEX cache_by_expiry ON fleetcontrol_cache (expires);
"""
DROP_CACHE = "DROP TABLE fleetcontrol_cache"


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial")]
    operations = [
        migrations.RunSQL(KEEP_ADMINISTRATOR, LET_ADMINISTRATOR_GO),
        migrations.RunSQL(CREATE_CACHE, DROP_CACHE),
    ]
