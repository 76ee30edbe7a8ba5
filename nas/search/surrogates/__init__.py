"""Models of the error, fitted to the evaluations so far: a mean and a standard deviation.

protocol                            what a surrogate is
gaussian_process, ridge             the models;  kinds: those that `adaptive` chooses from
adaptive                            a mixture of the kinds that rank best
effects                             the error that each choice adds (no deviation)
features                            the features of a code
acquisition, shortlist              the expected gain of candidates, and the choice among them
model_based                         the loop that searchers with a surrogate share
assessment                          how well surrogates predicted, for the report
"""
