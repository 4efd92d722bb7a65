"""What ferline does, in tiers: imports go downwards only (docs/architecture.md)."""
