"""Searchers on tables of whole search spaces, where the exact front is known."""
