"""What a person would use without a search: stock networks of timm, trained on the same images.

    candidates -> latencies at two sizes -> choice of a few -> training -> one file for each

Stock networks start from published weights where this machine has them, and from new ones
otherwise.
"""
