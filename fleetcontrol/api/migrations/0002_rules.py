"""The check of an access token is one function, so that each connection plans its statements once and not each time.

The table of counts is unlogged, so that a count waits for no disk.
"""

from django.db import migrations

CREATE_CHECK = """
CREATE FUNCTION api_check_token(wanted text, tally_key text, from_address inet)
RETURNS TABLE (
  client_pk bigint, client_name varchar, client_permissions varchar[], digest varchar, revoked timestamptz,
  former_digest varchar, last_day date, fleet_pk bigint, fleet_name varchar, fleet_slug varchar,
  fleet_created timestamptz, used integer, window_ends double precision
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  -- Noted at most once a minute, because each note waits for the disk.
  UPDATE api_apiclient SET last_used_at = clock_timestamp(), last_used_address = from_address
    WHERE client_id = wanted AND revoked_at IS NULL
      AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute');
  RETURN QUERY
  WITH counted AS (
    INSERT INTO api_tally AS tally (key, ends_at, count)
      VALUES (tally_key, clock_timestamp() + interval '60 seconds', 1)
      ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN tally.ends_at > clock_timestamp() THEN tally.count ELSE 0 END + 1,
        ends_at = CASE WHEN tally.ends_at > clock_timestamp() THEN tally.ends_at ELSE excluded.ends_at END
      RETURNING tally.count, tally.ends_at
  )
  SELECT client.id, client.name, client.permissions, client.secret_digest, client.revoked_at,
    CASE WHEN client.former_secret_ends_at > clock_timestamp() THEN client.former_secret_digest END, client.ends_on,
    fleet.id, fleet.name, fleet.slug, fleet.created_at,
    counted.count, extract(epoch FROM counted.ends_at)::float8
  FROM counted
  LEFT JOIN api_apiclient client ON client.client_id = wanted
  LEFT JOIN people_fleet fleet ON fleet.id = client.fleet_id;
END $$
"""
DROP_CHECK = "DROP FUNCTION api_check_token(text, text, inet)"
UNLOG = "ALTER TABLE api_tally SET UNLOGGED"
LOG = "ALTER TABLE api_tally SET LOGGED"


class Migration(migrations.Migration):
    dependencies = [("api", "0001_initial"), ("people", "0002_rules")]
    operations = [migrations.RunSQL(CREATE_CHECK, DROP_CHECK), migrations.RunSQL(UNLOG, LOG)]
