"""Any network on the processor at hand, predicted from its operations."""
