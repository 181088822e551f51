"""A credential keeps its fleet, name, brand and identifier for life: only its secret is replaced."""

from django.db import migrations

CREATE = """
CREATE FUNCTION credential_identity_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'Fleet, name, brand and identifier of a credential cannot change; a different one is a different credential.'
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'credential_identity_is_fixed';
END $$;
CREATE TRIGGER credential_identity_is_fixed BEFORE UPDATE ON credentials_credential
  FOR EACH ROW WHEN (
    (OLD.id, OLD.fleet_id, OLD.name, OLD.brand, OLD.identifier)
    IS DISTINCT FROM (NEW.id, NEW.fleet_id, NEW.name, NEW.brand, NEW.identifier)
  ) EXECUTE FUNCTION credential_identity_is_fixed();
"""
DROP = """
DROP TRIGGER credential_identity_is_fixed ON credentials_credential;
DROP FUNCTION credential_identity_is_fixed();
"""


class Migration(migrations.Migration):
    dependencies = [("credentials", "0002_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
