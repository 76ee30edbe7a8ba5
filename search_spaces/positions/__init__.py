"""Positions: what tells a network where on the image a position lies, right after the stem.

    none              nothing: mixers that look at neighbours know where they are
    size_conditioned  sines and cosines that span the map, whatever its size     ResFormer

(B, C, H, W) -> (B, C, H, W). To add one, add a file here that ends in `POSITIONS.register(...)`;
its module takes the width and the options.
"""
