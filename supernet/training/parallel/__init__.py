"""Training by several processes: what each computes, and how the results are joined."""
