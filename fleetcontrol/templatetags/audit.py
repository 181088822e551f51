"""Audit events in words; see fleetcontrol/audit_words.py."""

from django import template

from fleetcontrol import audit_words

register = template.Library()
register.filter("phrase", audit_words.phrase)
register.filter("changes", audit_words.changes)
register.filter("who", audit_words.who)
