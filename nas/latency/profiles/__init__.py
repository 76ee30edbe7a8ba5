"""Calibrating a device: measured networks, a stored profile, a predictor of a whole space."""
