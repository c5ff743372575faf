"""The HTTP side: validates, admits, waits and answers; it never loads a model."""
