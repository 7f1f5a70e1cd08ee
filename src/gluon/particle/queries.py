"""The names that the API itself gives to query parameters, and what attributes are filtered as."""

from __future__ import annotations

QUERY_NAMES = frozenset(
    {
        "limit",
        "marker",
        "sort_key",
        "sort_dir",
        "fields",
        "cascade",
        "dry_run",
        "watch",
        "start_revision",
    }
)
"""They win over attributes of the same name in every request, so that a name means one thing."""

ATTRIBUTE_PREFIX = "attr:"


def filter_name(attribute: str) -> str:
    """The query parameter that filters a list by that attribute: its name, or `attr:NAME` if taken."""
    return f"{ATTRIBUTE_PREFIX}{attribute}" if attribute in QUERY_NAMES else attribute


def filtered_attribute(parameter: str) -> str | None:
    """The attribute that a query parameter filters by; None for the API's own parameters."""
    if parameter.startswith(ATTRIBUTE_PREFIX):
        return parameter.removeprefix(ATTRIBUTE_PREFIX)
    return None if parameter in QUERY_NAMES else parameter
