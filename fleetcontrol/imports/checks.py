"""The checks that the database makes in sets: duplicates in the file and in the fleet, and the verdict on each row.

They share four temporary tables, which the end of the transaction drops:

- import_row: the cleaned rows of the file, each under the number of the line it starts on;
- import_finding: problems and notes;
- import_match: which rows name something that the fleet has already, the target;
- import_verdict: the rows that are not new, with the reason: error, skip or update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from fleetcontrol.imports.importer import Importer, OnDuplicate

IS_NEW = """
    r.ctid >= %(from_page)s::tid AND r.ctid < %(to_page)s::tid
    AND NOT EXISTS (SELECT FROM import_verdict o WHERE o.line = r.line)
"""
"""The SQL condition for new rows `r` of import_row; the parameters come from `page_ranges`."""

FINDINGS = """
SELECT line, field, value, cause, params::text, is_note FROM import_finding ORDER BY line, is_note, id
"""

_TABLES = """
DROP TABLE IF EXISTS pg_temp.import_finding, pg_temp.import_match, pg_temp.import_verdict;
CREATE TEMPORARY TABLE import_finding (
    id int GENERATED ALWAYS AS IDENTITY, line int, field text, value text, cause text, params jsonb DEFAULT '{}',
    is_note boolean DEFAULT false, if_new boolean DEFAULT false
) ON COMMIT DROP;
CREATE TEMPORARY TABLE import_match (line int, target text COLLATE "C", field text, derived boolean) ON COMMIT DROP;
CREATE TEMPORARY TABLE import_verdict (line int PRIMARY KEY, verdict text, target text COLLATE "C") ON COMMIT DROP;
"""
_READ_FINDINGS = """
INSERT INTO import_finding (line, field, value, cause, params, is_note, if_new)
SELECT r.line, f ->> 0, f ->> 1, f ->> 2, f -> 3, (f -> 4)::boolean, (f -> 5)::boolean
FROM import_row r, jsonb_array_elements(r.found::jsonb) f WHERE r.found IS NOT NULL
"""
_TWICE_IN_FILE = """
WITH twice AS (
    SELECT {named}, min(r.line) AS first FROM import_row r WHERE {present} GROUP BY {values} HAVING count(*) > 1
), again AS (
    SELECT r.line, r.{field}::text AS value, twice.first, {derived} AS is_derived
    FROM import_row r JOIN twice ON ({values}) = ({twice})
    WHERE r.line > twice.first AND NOT ({derived} AND EXISTS (
        SELECT FROM import_finding f WHERE f.line = r.line AND f.params ? 'first'
    ))
)
INSERT INTO import_finding (line, field, value, cause, params)
SELECT line, %(field)s, value, CASE WHEN is_derived THEN %(derived_cause)s ELSE %(cause)s END,
    jsonb_build_object('first', first)
FROM again
"""
_IN_FLEET = """
INSERT INTO import_match (line, target, field, derived)
SELECT r.line, v.id, %(field)s, {derived} FROM import_row r JOIN {table} v ON v.fleet_id = %(fleet)s AND {same}
WHERE {present}
"""
_MATCHES_ARE_WRONG = """
INSERT INTO import_finding (line, field, value, cause)
SELECT m.line, m.field, {value}, CASE WHEN m.derived THEN %(derived_cause)s ELSE %(cause)s END
FROM import_match m JOIN import_row r ON r.line = m.line
WHERE m.field = %(field)s AND NOT (m.derived AND EXISTS (
    SELECT FROM import_match o WHERE o.line = m.line AND NOT o.derived
))
"""
_SEVERAL_TARGETS = """
INSERT INTO import_finding (line, field, value, cause)
SELECT line, '', '', %(cause)s FROM import_match GROUP BY line HAVING count(DISTINCT target) > 1
"""
_SAME_TARGET = """
INSERT INTO import_finding (line, field, value, cause, params)
SELECT line, '', '', %(cause)s, jsonb_build_object('first', first)
FROM (
    SELECT line, min(line) OVER (PARTITION BY target) AS first
    FROM (SELECT DISTINCT line, target FROM import_match) AS matched
) AS same
WHERE line > first AND line NOT IN (SELECT line FROM import_finding WHERE params ? 'first')
"""


def create_import_row(cursor: Any, row_query: str) -> int:
    """Create import_row with the columns of a query; return how many columns the query has."""
    cursor.execute("SET LOCAL work_mem = '32MB'; DROP TABLE IF EXISTS pg_temp.import_row")
    cursor.execute(
        f"CREATE TEMPORARY TABLE import_row ON COMMIT DROP AS "  # noqa: S608 - a constant of an importer
        f"SELECT 0 AS line, ''::text AS found, q.* FROM ({row_query}) q WITH NO DATA"
    )
    cursor.execute("SELECT count(*) - 2 FROM pg_attribute WHERE attrelid = 'import_row'::regclass AND attnum > 0")
    width: int = cursor.fetchone()[0]
    return width


def page_ranges(cursor: Any, pages_per_range: int) -> Iterator[Mapping[str, Any]]:
    """Ranges of import_row to write one after another, so that progress can be shown between them."""
    cursor.execute("SELECT pg_relation_size('import_row') / current_setting('block_size')::int")
    end = cursor.fetchone()[0]
    for first in range(0, end, pages_per_range):
        yield {"from_page": f"({first},0)", "to_page": f"({first + pages_per_range},0)"}


class Checks:
    """The checks of one try. They write what is wrong to import_finding."""

    def __init__(self, cursor: Any, importer: Importer) -> None:
        self._cursor = cursor
        self._importer = importer

    def start(self, *, with_findings: bool) -> None:
        """Create the tables and read what the cleaning of rows found."""
        self._cursor.execute(_TABLES)
        if with_findings:
            self._cursor.execute(_READ_FINDINGS)

    def find_duplicates_in_file(self) -> None:
        """Find rows that repeat a unique value of an earlier row. The option `skip` leaves them out."""
        # Statistics of other columns would hold cells, and unlike this table they are in WAL and backups.
        self._cursor.execute("ANALYZE import_row (line)")
        for key in self._importer.keys:
            values = {
                "field": key.field,
                "cause": str(key.in_file),
                "derived_cause": str(key.derived_in_file or key.in_file),
            }
            self._cursor.execute(_TWICE_IN_FILE.format(**key.parts), values)
        if self._importer.options.on_duplicate is OnDuplicate.SKIP:
            self._cursor.execute(
                "INSERT INTO import_verdict (line, verdict) SELECT DISTINCT line, 'skip' FROM import_finding "
                "WHERE params ? 'first'"
            )
            self._cursor.execute("DELETE FROM import_finding WHERE params ? 'first'")

    def find_duplicates_in_fleet(self) -> None:
        """Find rows that the fleet has already. They are wrong, left out or an update, as the options say."""
        on_duplicate = self._importer.options.on_duplicate
        for key in self._importer.keys:
            statement = _IN_FLEET.format(table=self._importer.table, **key.parts)
            self._cursor.execute(statement, {"field": key.field, "fleet": self._importer.fleet.pk})
        if on_duplicate is OnDuplicate.FAIL:
            for key in self._importer.keys:
                statement = _MATCHES_ARE_WRONG.format(value=f"r.{key.field}::text")
                values = {
                    "field": key.field,
                    "cause": str(key.in_fleet),
                    "derived_cause": str(key.derived_in_fleet or key.in_fleet),
                }
                self._cursor.execute(statement, values)
        elif on_duplicate is OnDuplicate.SKIP:
            self._cursor.execute(
                "INSERT INTO import_verdict (line, verdict) SELECT DISTINCT line, 'skip' FROM import_match "
                "ON CONFLICT DO NOTHING"
            )
        else:
            self._mark_updates()
            self._importer.check_updates(self._cursor)

    def decide(self) -> None:
        """Reach the verdict on every row that is not new. An error outweighs all other verdicts."""
        self._cursor.execute(
            "DELETE FROM import_finding f WHERE f.if_new AND EXISTS (SELECT FROM import_match m WHERE m.line = f.line)"
        )
        self._cursor.execute(
            "INSERT INTO import_verdict (line, verdict) SELECT DISTINCT line, 'error' FROM import_finding "
            "WHERE NOT is_note ON CONFLICT (line) DO UPDATE SET verdict = 'error'"
        )
        self._cursor.execute("ANALYZE import_verdict")

    def count(self, verdict: str) -> int:
        """How many rows have this verdict."""
        self._cursor.execute("SELECT count(*) FROM import_verdict WHERE verdict = %s", [verdict])
        found: int = self._cursor.fetchone()[0]
        return found

    def count_notes(self) -> int:
        """How many notes there are."""
        self._cursor.execute("SELECT count(*) FROM import_finding WHERE is_note")
        found: int = self._cursor.fetchone()[0]
        return found

    def _mark_updates(self) -> None:
        """Mark the rows for update with their targets; a row has one target, and a target has one row."""
        self._cursor.execute(_SEVERAL_TARGETS, {"cause": str(self._importer.several_targets)})
        self._cursor.execute(_SAME_TARGET, {"cause": _("Line %(first)s stands for the same one of the fleet.")})
        self._cursor.execute(
            "INSERT INTO import_verdict (line, verdict, target) SELECT line, 'update', min(target) FROM import_match "
            "GROUP BY line ON CONFLICT DO NOTHING"
        )
