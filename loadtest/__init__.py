"""Load on a running server, and what the server costs."""
