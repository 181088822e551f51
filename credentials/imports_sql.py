"""The SQL of imported credentials. Tests hold what it writes equal to what the verbs of the model write."""

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.imports.checks import IS_NEW

# The temporary table limits no text, so that a row with a text that is too long is checked for other mistakes too.
ROW_QUERY = """
SELECT c.id, c.name::text, c.brand, c.identifier::text, c.settings, c.note::text, c.ends_on, s.value, s.fingerprints,
    s.ends_on AS secret_ends_on, s.facts
FROM credentials_credential c JOIN credentials_credentialsecret s ON s.credential_id = c.id
"""
FIXED = """
INSERT INTO import_finding (line, field, value, cause, params)
SELECT r.line, fixed.field, fixed.value, %(cause)s, '{}'
FROM import_verdict o JOIN import_row r USING (line) JOIN credentials_credential c ON c.id = o.target,
LATERAL (VALUES
    ('brand', r.brand, r.brand <> c.brand),
    (%(identifiers)s::jsonb ->> c.brand, r.identifier, r.identifier <> c.identifier),
    ('settings', '', NOT c.settings @> coalesce(r.settings, '{}'))
) fixed (field, value, differs)
WHERE fixed.differs
"""
INSERT = """
INSERT INTO credentials_credential (
    id, fleet_id, name, brand, identifier, settings, note, ends_on, status, status_reason, status_details,
    status_since, silences, created_at, created_by, changed_at, changed_by
)
SELECT r.id, %(fleet_id)s, r.name, r.brand, coalesce(r.identifier, ''), coalesce(r.settings, '{{}}'),
    coalesce(r.note, ''), coalesce(r.ends_on, r.secret_ends_on), 'UNCHECKED', '', '{{}}', %(time)s, 0, %(time)s,
    %(actor_label)s, %(time)s, %(actor_label)s
FROM import_row r WHERE {is_new}
"""
INSERT_SECRETS = """
INSERT INTO credentials_credentialsecret (
    credential_id, version, value, fingerprints, ends_on, facts, is_current, added_at, added_by
)
SELECT r.id, 1, r.value, r.fingerprints, coalesce(r.ends_on, r.secret_ends_on), coalesce(r.facts, '{{}}'), true,
    %(time)s, %(actor_label)s
FROM import_row r WHERE {is_new}
"""
DIFFERENT = """
SELECT r.id, c.id, nullif(r.note, c.note), nullif(r.ends_on, c.ends_on), r.ends_on,
    CASE WHEN NOT (s.fingerprints @> r.fingerprints AND r.fingerprints @> s.fingerprints) THEN r.value END
FROM import_verdict o JOIN import_row r USING (line) JOIN credentials_credential c ON c.id = o.target
JOIN credentials_credentialsecret s ON s.credential_id = c.id AND s.is_current
WHERE o.verdict = 'update'
ORDER BY r.line
"""
CHANGES = """
SELECT r.line, c.name, c.note, r.note, c.ends_on, r.ends_on, is_new_secret
FROM import_verdict o JOIN import_row r USING (line) JOIN credentials_credential c ON c.id = o.target
JOIN credentials_credentialsecret s ON s.credential_id = c.id AND s.is_current,
LATERAL (
    SELECT NOT (s.fingerprints @> r.fingerprints AND r.fingerprints @> s.fingerprints) IS TRUE
        AND r.fingerprints IS NOT NULL AS is_new_secret
) secret
WHERE o.verdict = 'update' AND (is_new_secret OR r.note <> c.note OR r.ends_on IS DISTINCT FROM c.ends_on
    AND r.ends_on IS NOT NULL)
ORDER BY r.line LIMIT %(most)s
"""


def insert_events() -> str:
    """The statement that writes the audit events of new credentials."""
    changes = """jsonb_build_object(
        'brand', jsonb_build_array(NULL, r.brand), 'identifier', jsonb_build_array(NULL, coalesce(r.identifier, '')),
        'settings', jsonb_build_array(NULL, coalesce(r.settings, '{}')),
        'ends_on', jsonb_build_array(NULL, coalesce(r.ends_on, r.secret_ends_on))
    )"""
    rows = f"FROM import_row r WHERE {IS_NEW}"
    return AuditEvent.insert_sql("credential.add", "credential", id="r.id", label="r.name", changes=changes, rows=rows)
