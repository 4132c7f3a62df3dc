"""The commands that talk to a running broker, through its HTTP API."""
