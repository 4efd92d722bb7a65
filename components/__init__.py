"""What ferline does, in tiers: imports go downwards only (docs/architecture.md)."""

__version__ = "0.1.0"
