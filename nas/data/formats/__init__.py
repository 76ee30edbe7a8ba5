"""Readers, one per file: from a path to a `Source` (the splits found, classes, notes)."""
