"""Reliability promises as programs: each breaks something on purpose and measures what is lost."""
