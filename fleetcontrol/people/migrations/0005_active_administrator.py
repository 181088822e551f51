"""The administrator that every fleet keeps must be able to sign in: the trigger looks at people too."""

from django.db import migrations

KEEP_ACTIVE_ADMINISTRATOR = """
CREATE FUNCTION require_an_administrator(fleet bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- The lock makes a second transaction wait, so that it sees what the first one did.
  PERFORM FROM people_fleet WHERE id = fleet FOR NO KEY UPDATE;
  IF FOUND AND NOT EXISTS (
    SELECT FROM people_membership member JOIN people_user person ON person.id = member.user_id
    WHERE member.fleet_id = fleet AND member.role = 'administrator' AND person.is_active
  ) THEN
    RAISE EXCEPTION 'A fleet keeps one administrator who may sign in: make someone else an administrator first.'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'fleet_keeps_an_administrator';
  END IF;
END $$;
CREATE OR REPLACE FUNCTION fleet_keeps_an_administrator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM require_an_administrator(OLD.fleet_id);
  RETURN NULL;
END $$;
CREATE FUNCTION person_stays_administrator() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE fleet bigint;
BEGIN
  FOR fleet IN
    SELECT fleet_id FROM people_membership WHERE user_id = OLD.id AND role = 'administrator' ORDER BY fleet_id
  LOOP
    PERFORM require_an_administrator(fleet);
  END LOOP;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fleet_keeps_an_administrator AFTER UPDATE ON people_user
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active)
  EXECUTE FUNCTION person_stays_administrator();
"""
LOOK_AT_ROLES_ALONE = """
DROP TRIGGER fleet_keeps_an_administrator ON people_user;
DROP FUNCTION person_stays_administrator();
CREATE OR REPLACE FUNCTION fleet_keeps_an_administrator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM people_fleet WHERE id = OLD.fleet_id FOR NO KEY UPDATE;
  IF FOUND AND NOT EXISTS (
    SELECT FROM people_membership WHERE fleet_id = OLD.fleet_id AND role = 'administrator'
  ) THEN
    RAISE EXCEPTION 'A fleet keeps one administrator: make someone else an administrator first.'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'fleet_keeps_an_administrator';
  END IF;
  RETURN NULL;
END $$;
DROP FUNCTION require_an_administrator(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("people", "0004_normal_addresses")]
    operations = [migrations.RunSQL(KEEP_ACTIVE_ADMINISTRATOR, LOOK_AT_ROLES_ALONE)]
