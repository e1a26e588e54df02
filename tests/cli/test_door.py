"""Whatever goes wrong inside a command leaves as one line and an exit code."""

import errno

import pytest

from retrograd.cli import check
from retrograd.cli.door import EXTRA_OF, INTERRUPTED
from retrograd.errors import ArtifactError, InputError, StorageError


@pytest.fixture
def failing(monkeypatch, cli):
    """Run a command whose inside raises the given error."""

    def run(error: BaseException, *command: str):
        def fail(*arguments, **options):
            raise error

        monkeypatch.setattr(check, "check_command", fail)
        return cli(*(command or ("check", "x")))

    return run


@pytest.mark.parametrize("kind", [InputError, ArtifactError, StorageError])
def test_an_error_of_ours_is_its_text_in_one_line(failing, kind):
    assert failing(kind("one\ntwo")).error == "error: one; two"


def test_an_error_of_the_operating_system_names_the_file(failing):
    assert (
        failing(OSError(errno.EACCES, "Permission denied", "a.md")).error == "error: a.md: Permission denied"
    )


@pytest.mark.parametrize("library", EXTRA_OF)
def test_a_missing_optional_library_names_the_extra(failing, library):
    error = failing(ModuleNotFoundError("no", name=f"{library}.inner")).error
    assert f"retrograd[{EXTRA_OF[library]}]" in error


@pytest.mark.parametrize("error", [ModuleNotFoundError("no", name="retrograd.nothing"), ZeroDivisionError()])
def test_a_mistake_of_ours_keeps_its_traceback(failing, error):
    with pytest.raises(type(error)):
        failing(error)


def test_an_interruption_is_said_and_only_a_fit_can_resume(failing):
    done = failing(KeyboardInterrupt())
    assert (done.code, done.err) == (INTERRUPTED, "interrupted\n")
