"""What the api and the worker both know; it imports neither of them and no model library."""
