"""Which children a training step sees: one sampler per file."""
