"""The SQL of imported vehicles. Tests hold what it writes equal to what the verbs of the model write."""

from collections.abc import Collection

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.imports.checks import IS_NEW

# The temporary table limits no text, so that a row with a text that is too long is checked for other mistakes too.
ROW_QUERY = """
SELECT id, name::text, false AS name_is_derived, telematics_brand, telematics_kind, telematics_unit_id::text,
    false AS unit_is_derived, ''::text AS credential, unit_password, unit_password_fingerprint, vin,
    license_plate::text, make::text, model::text, custom_name::text, fuel_type::text, year, transmission::text,
    vehicle_type::text, vehicle_model_id::text, custom_fields, tags, operation_status
FROM vehicles_vehicle
"""
PLAIN = (
    "name", "telematics_unit_id", "vin", "license_plate", "make", "model", "custom_name", "fuel_type", "year",
    "transmission", "vehicle_type", "vehicle_model_id", "tags", "operation_status",
)  # fmt: skip

# Compare names as the unique constraint of credentials does. A name outranks an ID.
REFERENCES = """
DROP TABLE IF EXISTS pg_temp.import_credential;
CREATE TEMPORARY TABLE import_credential ON COMMIT DROP AS
SELECT ref.credential, coalesce(named.id, meant.id) AS id, coalesce(named.name, meant.name) AS name,
    coalesce(named.brand, meant.brand) AS brand
FROM (SELECT DISTINCT credential FROM import_row WHERE credential IS NOT NULL) ref
LEFT JOIN credentials_credential named ON named.fleet_id = %(fleet_id)s AND lower(named.name) = lower(ref.credential)
LEFT JOIN credentials_credential meant
    ON meant.fleet_id = %(fleet_id)s AND meant.id = ref.credential AND named.id IS NULL
"""
MISSING_REFERENCES = """
INSERT INTO import_finding (line, field, value, cause)
SELECT r.line, 'credential', '', %(cause)s
FROM import_row r JOIN import_credential c USING (credential) WHERE c.id IS NULL
"""
WRONG_BRANDS = """
INSERT INTO import_finding (line, field, value, cause)
SELECT r.line, 'credential', r.credential, %(cause)s
FROM import_row r JOIN import_credential c USING (credential)
WHERE c.brand <> r.telematics_brand AND r.telematics_kind = 'shared'
"""
CHANGED_BRANDS = """
INSERT INTO import_finding (line, field, value, cause, params)
SELECT r.line, 'telematics_brand', r.telematics_brand, %(cause)s, jsonb_build_object('brand', v.telematics_brand)
FROM import_verdict o JOIN import_row r USING (line) JOIN vehicles_vehicle v ON v.id = o.target
WHERE r.telematics_brand <> v.telematics_brand
"""
WRONG_BRANDS_OF_UPDATES = """
INSERT INTO import_finding (line, field, value, cause)
SELECT r.line, 'credential', r.credential, %(cause)s
FROM import_verdict o JOIN import_row r USING (line) JOIN vehicles_vehicle v ON v.id = o.target
JOIN import_credential c USING (credential)
WHERE c.brand <> v.telematics_brand AND r.telematics_brand IS NULL
"""
# A unit that its brand names by VIN, and a name made from the VIN, follow a VIN that is corrected.
_VIN_IS_CORRECTED = "r.vin <> v.vin AND v.vin <> ''"
_NEW_NAME = f"""
CASE WHEN {_VIN_IS_CORRECTED} AND v.name = v.vin AND (r.name_is_derived IS TRUE OR r.name = v.vin) THEN r.vin
    WHEN r.name_is_derived IS NOT TRUE THEN r.name END
"""
_NEW_UNIT = f"""
CASE WHEN {_VIN_IS_CORRECTED} AND v.telematics_unit_id = v.vin AND v.telematics_brand = ANY(%(brands_by_vin)s)
        AND (r.unit_is_derived IS TRUE OR r.telematics_unit_id = v.vin) THEN r.vin
    WHEN r.unit_is_derived IS NOT TRUE THEN r.telematics_unit_id END
"""
TAKEN_BY_CORRECTED_VINS = f"""
WITH corrected AS MATERIALIZED (
    SELECT r.line, r.vin, v.id, v.fleet_id, v.telematics_brand, {_NEW_NAME} AS name, {_NEW_UNIT} AS telematics_unit_id
    FROM import_verdict o JOIN import_row r USING (line) JOIN vehicles_vehicle v ON v.id = o.target
    WHERE {_VIN_IS_CORRECTED}
)
INSERT INTO import_finding (line, field, value, cause)
SELECT c.line, 'vin', c.vin, %(name_cause)s
FROM corrected c JOIN vehicles_vehicle other USING (fleet_id, name) WHERE other.id <> c.id
UNION ALL
SELECT c.line, 'vin', c.vin, %(unit_cause)s
FROM corrected c JOIN vehicles_vehicle other USING (fleet_id, telematics_brand, telematics_unit_id)
WHERE other.id <> c.id
"""  # noqa: S608 - made of constants of this module
# Plates are compared without what people type differently. A plate may be right twice, such as a trade plate.
PLATES_TWICE = """
WITH plates AS MATERIALIZED (
    SELECT r.line, r.license_plate, o.target, upper(translate(r.license_plate, ' -', '')) AS plate
    FROM import_row r LEFT JOIN import_verdict o USING (line)
    WHERE r.license_plate IS NOT NULL AND o.verdict IS DISTINCT FROM 'skip'
), firsts AS (
    SELECT line, license_plate, min(line) OVER (PARTITION BY plate) AS first FROM plates
), held AS (
    SELECT DISTINCT ON (p.line) p.line, p.license_plate, v.name
    FROM plates p JOIN vehicles_vehicle v ON upper(translate(v.license_plate, ' -', '')) = p.plate
    WHERE v.fleet_id = %(fleet_id)s AND v.license_plate <> ''
        AND NOT EXISTS (SELECT FROM plates other WHERE other.target = v.id)
    ORDER BY p.line, v.name
)
INSERT INTO import_finding (line, field, value, cause, params, is_note)
SELECT line, 'license_plate', license_plate, %(in_file)s, jsonb_build_object('first', first), true
FROM firsts WHERE line > first
UNION ALL
SELECT line, 'license_plate', license_plate, %(in_fleet)s, jsonb_build_object('name', name), true FROM held
"""
UNITS_WITHOUT_BRAND = """
SELECT r.line, r.telematics_unit_id, v.telematics_brand
FROM import_verdict o JOIN import_row r USING (line) JOIN vehicles_vehicle v ON v.id = o.target
WHERE r.telematics_brand IS NULL AND r.telematics_unit_id IS DISTINCT FROM v.telematics_unit_id
    AND r.telematics_unit_id IS NOT NULL
"""
WRONG_UNIT = """
INSERT INTO import_finding (line, field, value, cause) VALUES (%s, 'telematics_unit_id', '', %s)
"""
NEW_PASSWORDS = """
SELECT r.line, r.id, o.target, r.unit_password
FROM import_verdict o JOIN import_row r USING (line) JOIN vehicles_vehicle v ON v.id = o.target
WHERE o.verdict = 'update' AND r.unit_password_fingerprint <> v.unit_password_fingerprint
"""
INSERT = """
INSERT INTO vehicles_vehicle (
    id, fleet_id, name, telematics_brand, telematics_kind, telematics_unit_id, credential_id, unit_password,
    unit_password_fingerprint, vin, license_plate, make, model, custom_name, fuel_type, year, transmission,
    vehicle_type, vehicle_model_id, custom_fields, tags, operation_status, created_at, created_by, changed_at,
    changed_by
)
SELECT r.id, %(fleet_id)s, r.name, r.telematics_brand, r.telematics_kind, r.telematics_unit_id, c.id, r.unit_password,
    coalesce(r.unit_password_fingerprint, ''), coalesce(r.vin, ''), coalesce(r.license_plate, ''),
    coalesce(r.make, ''), coalesce(r.model, ''), coalesce(r.custom_name, ''), coalesce(r.fuel_type, ''), r.year,
    coalesce(r.transmission, ''), coalesce(r.vehicle_type, ''),
    coalesce(r.vehicle_model_id, ''), coalesce(r.custom_fields, '{{}}'),
    coalesce(r.tags, '{{}}'), coalesce(r.operation_status, 'OPERATING'), %(time)s, %(actor_label)s, %(time)s,
    %(actor_label)s
FROM import_row r LEFT JOIN import_credential c USING (credential)
WHERE {is_new}
"""
CHANGING = """
    SELECT r.*, v.id AS target, c.id AS credential_id, changed.changes, coalesce({name}, v.name) AS label
    FROM import_verdict o JOIN import_row r USING (line) JOIN vehicles_vehicle v ON v.id = o.target
    LEFT JOIN import_credential c ON c.credential = r.credential
    LEFT JOIN credentials_credential former ON former.id = v.credential_id,
    LATERAL (
        SELECT jsonb_object_agg(field, jsonb_build_array(old, new)) AS changes FROM (VALUES {pairs})
            f (field, old, new, differs) WHERE differs
    ) changed
    WHERE o.verdict = 'update' AND changed.changes IS NOT NULL
"""
UPDATE = """
WITH changing AS MATERIALIZED ({changing} FOR UPDATE OF v), changed AS (
    UPDATE vehicles_vehicle v SET {sets}, changed_at = %(time)s, changed_by = %(actor_label)s
    FROM changing r WHERE v.id = r.target
)
{insert_events}
"""
CHANGES = """
SELECT line, label, changes::text FROM ({changing}) changing ORDER BY line LIMIT %(most)s
"""


def insert_events(given: Collection[str]) -> str:
    """The statement that writes the audit events of new vehicles. `given` are the fields that the file has."""
    return AuditEvent.insert_sql(
        "vehicle.add",
        "vehicle",
        id="r.id",
        label="r.name",
        changes=_facts(given),
        rows=f"FROM import_row r LEFT JOIN import_credential c USING (credential) WHERE {IS_NEW}",
    )


def _facts(given: Collection[str]) -> str:
    """SQL for the changes in a new vehicle's audit event: each field that has a value, as [null, value]."""
    fields = {field: f"r.{field}" for field in PLAIN if field in given}
    fields |= {"name": "r.name", "telematics_unit_id": "r.telematics_unit_id", "credential": "c.name"}
    fields["operation_status"] = "coalesce(r.operation_status, 'OPERATING')"
    pairs = [
        f"'{field}', CASE WHEN {value} IS NOT NULL THEN jsonb_build_array(NULL, {value}) END"
        for field, value in fields.items()
    ]
    text = f"jsonb_strip_nulls(jsonb_build_object({', '.join(pairs)}))"
    if "custom_fields" in given:
        # Outside of jsonb_strip_nulls, because nulls inside custom fields must stay.
        own = "jsonb_build_object('custom_fields', jsonb_build_array(NULL, r.custom_fields))"
        text += f" || CASE WHEN r.custom_fields IS NOT NULL THEN {own} ELSE '{{}}' END"
    return text


def changes(given: Collection[str]) -> str:
    """The query for rows that change something: line, name, and the changes as the audit event will have them."""
    return CHANGES.format(changing=_changing(given))


def update(given: Collection[str]) -> str:
    """The statement that changes the fields that the file has, and only these, with audit events."""
    sets = [f"{field} = coalesce({value}, v.{field})" for field, value in _new(given).items()]
    sets += [
        f"{field} = coalesce(r.{field}, v.{field})"
        for field in ("credential_id", "unit_password", "unit_password_fingerprint")
    ]
    events = AuditEvent.insert_sql(
        "vehicle.change", "vehicle", id="target", label="label", changes="changes", rows="FROM changing"
    )
    return UPDATE.format(changing=_changing(given), sets=", ".join(sets), insert_events=events)


def _changing(given: Collection[str]) -> str:
    """The query for the rows that change something, with all that an update and its audit event need."""
    return CHANGING.format(pairs=", ".join(_pairs(given)), name=_NEW_NAME)


def _new(given: Collection[str]) -> dict[str, str]:
    """Each field that the file has or that follows the VIN, with the SQL of its new value.

    A derived name or unit ID is no new value.
    """
    following = {"name": _NEW_NAME, "telematics_unit_id": _NEW_UNIT}
    changing = {*given, *following} if "vin" in given else set(given)
    return {field: following.get(field, f"r.{field}") for field in (*PLAIN, "custom_fields") if field in changing}


def _pairs(given: Collection[str]) -> list[str]:
    """SQL for each field that an update may change: its name, its old and new value, whether they differ."""
    pairs = [
        f"('{field}', to_jsonb(v.{field}), to_jsonb({value}), "
        f"({value}) IS NOT NULL AND ({value}) IS DISTINCT FROM v.{field})"
        for field, value in _new(given).items()
    ]
    pairs.append("('credential', to_jsonb(former.name), to_jsonb(c.name), c.id <> coalesce(v.credential_id, ''))")
    pairs.append(
        "('password', '\"replaced\"'::jsonb, '\"replaced\"'::jsonb, "
        "r.unit_password_fingerprint <> v.unit_password_fingerprint)"
    )
    return pairs
