"""A fleet that has an administrator keeps one, whoever writes: looked at when the transaction ends, one fleet at a time."""

from django.db import migrations

CREATE = """
CREATE FUNCTION fleet_keeps_an_administrator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The lock makes a second transaction wait; its look then sees what the first one did.
  PERFORM FROM fleetcontrol_fleet WHERE id = OLD.fleet_id FOR NO KEY UPDATE;
  IF FOUND AND NOT EXISTS (
    SELECT FROM fleetcontrol_membership WHERE fleet_id = OLD.fleet_id AND role = 'administrator'
  ) THEN
    RAISE EXCEPTION 'A fleet keeps one administrator: make someone else an administrator first.'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'fleet_keeps_an_administrator';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fleet_keeps_an_administrator AFTER UPDATE OR DELETE ON fleetcontrol_membership
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'administrator')
  EXECUTE FUNCTION fleet_keeps_an_administrator();
"""
DROP = """
DROP TRIGGER fleet_keeps_an_administrator ON fleetcontrol_membership;
DROP FUNCTION fleet_keeps_an_administrator();
"""


class Migration(migrations.Migration):
    dependencies = [("fleetcontrol", "0006_members_and_invitations")]
    operations = [migrations.RunSQL(CREATE, DROP)]
