"""Tell which kind of file it is: one of the formats that are read, or one that people take for a table."""

import re

from django.utils.translation import gettext as _

from fleetcontrol.tabular.source import Source, TabularProblem

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_NOT_TABLES = {
    b"%PDF": "PDF",
    b"\x1f\x8b": "GZIP",
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7Z",
    b"BZh": "BZIP2",
    b"\xfd7zXZ": "XZ",
    b"PAR1": "Parquet",
    b"SQLite format 3\0": "SQLite",
    b"{\\rtf": "RTF",
}
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"RIFF", b"BM")
_MARKUP = re.compile(r"<(?:!doctype|html|head|body|meta|table|style|\?xml|!--)", re.IGNORECASE)
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x19\x1c-\x1f]")
_CHARACTERS_JUDGED = 4096
_MOST_CONTROLS = 0.05


def format_of(source: Source) -> str:
    """The format of a file by its start. Raises TabularProblem for what is no table."""
    data = source.peek()
    if not data.strip():
        raise TabularProblem(1, "", _("The file is empty."))
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "xlsx"
    if reason := _what_else(data, source):
        raise TabularProblem(1, "", reason)
    start = source.start().lstrip()
    if _MARKUP.match(start):
        words = _("This is a web page or XML, whatever its name says. Open it in a spreadsheet and save it as XLSX.")
        raise TabularProblem(1, "", words)
    judged = start[:_CHARACTERS_JUDGED]
    if "\0" in judged and len(_CONTROLS.findall(judged)) > _MOST_CONTROLS * len(judged) + 3:
        words = _("This file is neither a text nor a workbook. Save the table as CSV or XLSX.")
        raise TabularProblem(1, "", words)
    return "jsonl" if start[:1] in ("{", "[") else "csv"


def _what_else(data: bytes, source: Source) -> str:
    """What is to be said of a file of another kind; "" if it may be a table."""
    if data.startswith(_COMPOUND[:4]):
        if _is_encrypted(source):
            return _("This workbook is protected with a password. Open it and save it without one, or as CSV.")
        return _("This is a %(kind)s file. Save it as CSV or XLSX.") % {"kind": "XLS"}
    if data.startswith(_PICTURES) and _CONTROLS.search(data[:100].decode("latin-1")):
        return _("This is a picture or a recording, and no table. Choose the CSV, XLSX or JSON file.")
    for magic, name in _NOT_TABLES.items():
        if data.startswith(magic):
            return _("This is a %(kind)s file. Save it as CSV or XLSX.") % {"kind": name}
    return ""


def _is_encrypted(source: Source) -> bool:
    """Whether a compound file holds a workbook under a password: the name of that part stands somewhere in it."""
    before = b""
    for chunk in source.chunks():
        if _ENCRYPTED in before + chunk:
            return True
        before = chunk[-len(_ENCRYPTED) :]
    return False
