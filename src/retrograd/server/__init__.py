"""Systems over HTTP: one process, several named systems, limits that hold whoever asks.

Knows requests and JSON; how documents are found and how changes are kept is decided below.
"""
