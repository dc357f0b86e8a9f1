"""The errors of this package; the command line prints their message without a traceback."""


class PoseclientError(Exception):
    """The base of them all: the message says what was wrong."""


class InputError(PoseclientError, ValueError):
    """What the caller gave cannot be used: an image, boxes, a file, a URL or an option. A ValueError too."""


class MissingExtraError(PoseclientError, ModuleNotFoundError):
    """What was asked for needs the packages of an extra, such as `pip install 'poseclient[evaluate]'`."""


class RequestError(PoseclientError):
    """The server refused the request or could not be reached.

    message: the server's own words, with the likely cause where there is one to name. status: gRPC's name of the reason
    over both protocols, such as INVALID_ARGUMENT (the request is wrong), UNAVAILABLE (no server, or it cannot take
    more) or DEADLINE_EXCEEDED (no response in time).
    """

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message, status)  # both, so that the error can be pickled
        self.message, self.status = message, status

    def __str__(self) -> str:
        return self.message


# What a command line reports in one line. An OSError comes from the user's files: those of connections become
# RequestErrors. Anything else is a fault of the program and shows its traceback.
REPORTED = (PoseclientError, OSError)
