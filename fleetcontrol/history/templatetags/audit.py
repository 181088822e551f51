"""Audit events in words, see `fleetcontrol.audit.words`."""

from django import template

from fleetcontrol.audit import words

register = template.Library()
register.filter("phrase", words.phrase)
register.filter("changes", words.changes)
register.filter("who", words.who)
