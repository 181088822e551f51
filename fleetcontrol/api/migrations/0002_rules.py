"""Two functions that every request of the API calls, and the unlogged table they count in.

They are functions so that a connection plans their statements once: planning them for each request took longer than
all the rest of a GET. The table of counts is unlogged so that a count does not wait for the disk.
"""

from django.db import migrations

# clock_timestamp() moves on inside a transaction, now() does not.
CREATE_COUNT = """
CREATE FUNCTION api_count(counted_key text, step integer, OUT used integer, OUT window_ends double precision)
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO api_tally AS tally (key, ends_at, count)
    VALUES (counted_key, clock_timestamp() + interval '60 seconds', step)
    ON CONFLICT (key) DO UPDATE SET
      count = CASE WHEN tally.ends_at > clock_timestamp() THEN tally.count ELSE 0 END + step,
      ends_at = CASE WHEN tally.ends_at > clock_timestamp() THEN tally.ends_at ELSE excluded.ends_at END
    RETURNING tally.count, extract(epoch FROM tally.ends_at)::float8 INTO used, window_ends;
END $$
"""
DROP_COUNT = "DROP FUNCTION api_count(text, integer)"

# fleetcontrol/api/oauth.py reads the columns by their names, and those of the fleet with the names of the model's fields
# behind "fleet_": whoever adds a field to Fleet adds its column here. Without such a client all but the count is null.
CREATE_TAKE = """
CREATE FUNCTION api_take_request(
  asking_client text, counted_key text, from_address inet,
  OUT client_pk bigint, OUT client_name varchar, OUT permissions varchar[], OUT secret_digest varchar,
  OUT former_secret_digest varchar, OUT revoked_at timestamptz, OUT ends_on date,
  OUT fleet_id bigint, OUT fleet_name varchar, OUT fleet_slug varchar, OUT fleet_require_second_factor boolean,
  OUT fleet_created_at timestamptz,
  OUT used integer, OUT window_ends double precision
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  client api_apiclient;
BEGIN
  SELECT * INTO client FROM api_apiclient WHERE client_id = asking_client;
  IF FOUND THEN
    -- Noted at most once a minute, because each note waits for the disk.
    IF client.revoked_at IS NULL
      AND (client.last_used_at IS NULL OR client.last_used_at < clock_timestamp() - interval '1 minute') THEN
      UPDATE api_apiclient SET last_used_at = clock_timestamp(), last_used_address = from_address
        WHERE id = client.id;
    END IF;
    client_pk := client.id;
    client_name := client.name;
    permissions := client.permissions;
    secret_digest := client.secret_digest;
    IF client.former_secret_ends_at > clock_timestamp() THEN
      former_secret_digest := client.former_secret_digest;
    END IF;
    revoked_at := client.revoked_at;
    ends_on := client.ends_on;
    SELECT id, name, slug, require_second_factor, created_at
      INTO fleet_id, fleet_name, fleet_slug, fleet_require_second_factor, fleet_created_at
      FROM people_fleet WHERE id = client.fleet_id;
  END IF;
  SELECT counted.used, counted.window_ends INTO used, window_ends FROM api_count(counted_key, 1) counted;
END $$
"""
DROP_TAKE = "DROP FUNCTION api_take_request(text, text, inet)"
UNLOG = "ALTER TABLE api_tally SET UNLOGGED"
LOG = "ALTER TABLE api_tally SET LOGGED"


class Migration(migrations.Migration):
    dependencies = [("api", "0001_initial"), ("people", "0002_rules")]
    operations = [
        migrations.RunSQL(UNLOG, LOG),
        migrations.RunSQL(CREATE_COUNT, DROP_COUNT),
        migrations.RunSQL(CREATE_TAKE, DROP_TAKE),
    ]
