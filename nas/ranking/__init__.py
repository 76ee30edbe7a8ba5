"""Whether a supernet ranks networks as training each alone does, and what corrects it.

choosing     which networks to train alone: spread out, then those that may be the best
canonical    one code for networks that compute the same
process      a Gaussian process with a linear mean
correction   what the supernet says, corrected by the networks that were trained alone
agreement    rank correlations, regret and nDCG of scores, with bootstrap intervals
"""
