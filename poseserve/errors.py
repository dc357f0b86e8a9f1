"""Errors for a user to put right; the command line prints their message without a traceback."""


class PoseserveError(Exception):
    """The base of them all: the message says what was wrong and what to do."""


class ServerError(PoseserveError):
    """Triton cannot be found, did not start, or did not answer; the message holds what its log said last."""


class FetchError(PoseserveError):
    """The file could not be fetched, or what came is not the file that was meant."""


class LicenceError(PoseserveError):
    """The licence of the weights was not accepted."""


class CheckpointError(PoseserveError):
    """The file is no readable checkpoint, or it belongs to another network."""


class DiskFullError(PoseserveError):
    """There is no room for what is about to be written."""


class ExportError(PoseserveError):
    """The exported file would not serve: it differs from the network, or is bound to one device."""
