"""Who owns a row, in one spelling."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}\Z")


def normalised_owner(tenant_id: object) -> str | None:
    """The tenant as it stands in the owner column and in its conditions.

    A uuid is taken in both of its spellings (with dashes and, as Keystone has it, without) and in
    any case; anything else stands for itself.
    """
    if tenant_id is None:
        return None
    text = str(tenant_id)
    return text.replace("-", "").lower() if _UUID.match(text) else text
