"""Evolving a space itself: the ranges of its dimensions follow what a supernet says of them.

    plain        a space's file as data that can be changed and written
    dimensions   what can move: widths, depths, options of a family, which families
    quality      the E-T error of each value at equal cost, and how far that can be trusted
    rule         what moves, and why
    reasons      the same for people

Paper: Searching the Search Space of Vision Transformer (S3), Chen et al. 2021,
https://arxiv.org/abs/2111.14725
"""
