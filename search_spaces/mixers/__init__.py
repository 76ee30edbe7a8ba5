"""Mixer families, one file each in the folder of its group; the registry finds them all."""
