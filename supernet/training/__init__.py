"""Training of supernets, and of single networks when they are retrained."""
