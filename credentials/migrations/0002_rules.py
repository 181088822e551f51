"""A credential keeps its fleet, name, brand and identifier for life: only its secret is replaced. A version of a secret
goes only together with its credential, looked at when the transaction ends.

Ids are of the collation "C", so that the primary key's own index serves LIKE as well, for which Django makes a second.
"""

from django.db import migrations

FIX_IDENTITY = """
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
FREE_IDENTITY = """
DROP TRIGGER credential_identity_is_fixed ON credentials_credential;
DROP FUNCTION credential_identity_is_fixed();
"""
KEEP_HISTORY = """
CREATE FUNCTION secret_history_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM credentials_credential WHERE id = OLD.credential_id) THEN
    RAISE EXCEPTION 'A version of a secret cannot be deleted while its credential is there; its value can be erased.'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'secret_history_is_kept';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER secret_history_is_kept AFTER DELETE ON credentials_credentialsecret
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION secret_history_is_kept();
"""
DROP_HISTORY = """
DROP TRIGGER secret_history_is_kept ON credentials_credentialsecret;
DROP FUNCTION secret_history_is_kept();
"""
DROP_LIKE = "DROP INDEX IF EXISTS credentials_credential_id_fb653eb2_like"
CREATE_LIKE = "CREATE INDEX credentials_credential_id_fb653eb2_like ON credentials_credential (id varchar_pattern_ops)"


class Migration(migrations.Migration):
    dependencies = [("credentials", "0001_initial")]
    operations = [
        migrations.RunSQL(FIX_IDENTITY, FREE_IDENTITY),
        migrations.RunSQL(KEEP_HISTORY, DROP_HISTORY),
        migrations.RunSQL(DROP_LIKE, CREATE_LIKE),
    ]
