"""The audit trail only grows. Triggers refuse UPDATE, DELETE and TRUNCATE with two exceptions: a pseudonym may replace a
label, and events that a retired seal covers may be deleted. Row triggers on UPDATE and DELETE cost INSERT and COPY nothing.
"""

from django.db import migrations

KEEP_EVENTS = """
CREATE FUNCTION audit_event_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  labels constant text[] := '{actor_label,target_label}';
BEGIN
  IF TG_OP = 'UPDATE'
    AND to_jsonb(NEW) - labels = to_jsonb(OLD) - labels
    AND (NEW.actor_label = OLD.actor_label
      OR EXISTS (SELECT FROM audit_pseudonym WHERE text = NEW.actor_label))
    AND (NEW.target_label = OLD.target_label
      OR EXISTS (SELECT FROM audit_pseudonym WHERE text = NEW.target_label))
  THEN
    RETURN NEW;
  ELSIF TG_OP = 'DELETE' AND EXISTS (
    SELECT FROM audit_auditseal s
    WHERE s.fleet_id IS NOT DISTINCT FROM OLD.fleet_id AND s.until_id >= OLD.id AND s.retired_at IS NOT NULL
  ) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'Audit events cannot be changed or deleted.'
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_event_is_for_good';
END $$;
CREATE TRIGGER audit_event_is_for_good BEFORE UPDATE OR DELETE ON audit_auditevent
  FOR EACH ROW EXECUTE FUNCTION audit_event_is_for_good();
CREATE TRIGGER audit_event_is_for_good_truncate BEFORE TRUNCATE ON audit_auditevent
  FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_for_good();
"""
LET_EVENTS_GO = """
DROP TRIGGER audit_event_is_for_good ON audit_auditevent;
DROP TRIGGER audit_event_is_for_good_truncate ON audit_auditevent;
DROP FUNCTION audit_event_is_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(KEEP_EVENTS, LET_EVENTS_GO)]
