"""Mixers that carry a state along the map, or filter it with kernels as long as the map."""
