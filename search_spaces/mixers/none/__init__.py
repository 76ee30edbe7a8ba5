"""The choice of no mixer."""
