"""The base of the errors that a user can put right."""


class PoseserveError(Exception):
    """Its message says what was wrong and what to do; the command line prints it without a traceback."""
