"""The options `[log]`, the same for both servers."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_config import cfg

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

LOG_GROUP = cfg.OptGroup("log", title="What is logged, on standard error")
LOG_OPTIONS = [
    cfg.StrOpt(
        "format",
        default="text",
        choices=[("text", "lines for people"), ("json", "one JSON object in each line, for log collectors")],
        help="How the lines look.",
    ),
    cfg.StrOpt("level", choices=LEVELS, help="Least severe messages to log. Default: INFO."),
]
ACCESS_OPTION = cfg.BoolOpt(
    "access",
    default=False,
    help="Log a line for each request to the API: method, path, status, milliseconds, bytes, and who asked.",
)
"""Of the group too, but for the server alone."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The settings as values."""

    format: str = "text"
    level: str = "INFO"
    access: bool = False


def log_settings(form: str, level: str | None, *, access: bool = False) -> LogSettings:
    """From the values of the options; without a level it is INFO."""
    return LogSettings(form, level or "INFO", access)
