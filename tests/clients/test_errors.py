"""Errors say by their class whose fault it was."""

import pickle

import pytest

from poseclient import InputError, MissingExtraError, PoseclientError, RequestError
from poseclient.errors import REPORTED


@pytest.mark.parametrize(("error", "base"), [(InputError, ValueError), (MissingExtraError, ModuleNotFoundError)])
def test_errors_are_also_what_python_calls_them(error, base):
    assert issubclass(error, base)


@pytest.mark.parametrize("error", [InputError, MissingExtraError, PoseclientError, RequestError, FileNotFoundError])
def test_errors_of_the_user_are_reported(error):
    assert issubclass(error, REPORTED)


@pytest.mark.parametrize("error", [ValueError, TypeError, ImportError, RuntimeError])
def test_faults_of_the_program_are_not(error):
    assert not issubclass(error, REPORTED)


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(RequestError("the image is empty", "INVALID_ARGUMENT")))
    assert (str(error), error.message, error.status) == ("the image is empty",) * 2 + ("INVALID_ARGUMENT",)
