"""Why a switch is not turned: each text names the cause, the place and the remedy; nothing was changed."""

FAILED, NOT_RUNNING, BAD_CONFIGURATION = 1, 3, 78


class ToggleRefused(Exception):
    """Nothing was changed."""

    exit_code = FAILED


class FileRefused(ToggleRefused):
    """A file that cannot, or must not, be edited by us."""


class InvalidText(ToggleRefused):
    """What stands in a file is not what it should be, so no safe place for an edit is known."""


class OtherGateway(ToggleRefused):
    """Claude Code is sent elsewhere already, and `--take-over` was not given."""


class NotAnswering(ToggleRefused):
    """The daemon does not answer, so Claude Code would wait for minutes and then fail."""

    exit_code = NOT_RUNNING


class AddressUnknown(ToggleRefused):
    """The configuration does not tell where the daemon listens."""

    exit_code = BAD_CONFIGURATION
