"""What an operator's command can fail with."""

from __future__ import annotations


class CannotStart(Exception):
    """The installation can't be started; the text is one line that says why and what to do."""


class CommandFailed(Exception):
    """A command can't do what it was asked for; the text is one line that says why."""
