"""The audit trail only grows: triggers refuse UPDATE, DELETE and TRUNCATE, one look per statement so that bulk stays fast."""

from django.db import migrations

CREATE = """
CREATE FUNCTION audit_event_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'Audit events cannot be changed or deleted.'
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_event_is_for_good';
END $$;
CREATE TRIGGER audit_event_is_for_good BEFORE UPDATE OR DELETE ON fleetcontrol_auditevent
  FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_for_good();
CREATE TRIGGER audit_event_is_for_good_truncate BEFORE TRUNCATE ON fleetcontrol_auditevent
  FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_for_good();
"""
DROP = """
DROP TRIGGER audit_event_is_for_good ON fleetcontrol_auditevent;
DROP TRIGGER audit_event_is_for_good_truncate ON fleetcontrol_auditevent;
DROP FUNCTION audit_event_is_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [("fleetcontrol", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
