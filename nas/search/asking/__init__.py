"""Code that all kinds of searchers share.

history      the codes asked and told; the ask/tell loop around a searcher's rule
candidates   codes that fit the constraints and were not asked yet
variation    ranks, tournaments, children
scales       the size of each choice of a gene, and steps to smaller ones
cost         the cost of codes as one number
"""
