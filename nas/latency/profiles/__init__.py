"""From a device's measured networks to a predictor of a whole space."""
