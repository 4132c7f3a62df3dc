"""The harness: real clients against a live broker, every scenario as a matrix."""
