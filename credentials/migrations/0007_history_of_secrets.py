"""A version of a secret goes only together with its credential: looked at when the transaction ends."""

from django.db import migrations

CREATE = """
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
DROP = """
DROP TRIGGER secret_history_is_kept ON credentials_credentialsecret;
DROP FUNCTION secret_history_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("credentials", "0006_oem_token")]
    operations = [migrations.RunSQL(CREATE, DROP)]
