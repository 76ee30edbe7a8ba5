"""What all kinds of searchers share.

history      what was asked and told; the ask/tell loop around a searcher's rule
candidates   codes that fit the constraints and were not asked yet
variation    ranks, tournaments, children
scales       how large each choice of a gene is, and steps to smaller ones
cost         what codes cost as one number
"""
