"""What searchers share: history, candidates, variation, scales and costs of codes."""
