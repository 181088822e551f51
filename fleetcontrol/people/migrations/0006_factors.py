"""Codes are used once: those of authenticator apps by a table, recovery codes by a trigger. And sessions that end.

allauth keeps the used recovery codes of a person in one number, a bit a code, inside a JSON value that it also writes
for other reasons, from a row that it read before. The trigger keeps the bits of codes that were used meanwhile.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

KEEP_USED_CODES = """
CREATE FUNCTION recovery_code_stays_used() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.data := jsonb_set(
    NEW.data, '{used_mask}',
    to_jsonb((NEW.data->>'used_mask')::bigint | (OLD.data->>'used_mask')::bigint)
  );
  RETURN NEW;
END $$;
CREATE TRIGGER recovery_code_stays_used BEFORE UPDATE ON mfa_authenticator FOR EACH ROW
  WHEN (OLD.data ? 'used_mask' AND NEW.data ? 'used_mask' AND OLD.data->'seed' = NEW.data->'seed')
  EXECUTE FUNCTION recovery_code_stays_used();
"""
FORGET_USED_CODES = """
DROP TRIGGER recovery_code_stays_used ON mfa_authenticator;
DROP FUNCTION recovery_code_stays_used();
"""


class Migration(migrations.Migration):
    dependencies = [("people", "0005_active_administrator"), ("mfa", "0003_authenticator_type_uniq")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="sessions_ended",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.CreateModel(
            name="UsedCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seed", models.CharField(max_length=64)),
                ("step", models.BigIntegerField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="used_codes",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "seed", "step"), name="code_used_once")],
            },
        ),
        migrations.RunSQL(KEEP_USED_CODES, FORGET_USED_CODES),
    ]
