"""Tenants in one spelling."""

from __future__ import annotations

import pytest

from gluon.store.owner import normalised_owner


@pytest.mark.parametrize(
    ("tenant", "owner"),
    [
        ("a868a466bca84df18404a77db0ecac72", "a868a466bca84df18404a77db0ecac72"),
        ("A868A466-BCA8-4DF1-8404-A77DB0ECAC72", "a868a466bca84df18404a77db0ecac72"),
        ("Customer-A", "Customer-A"),
        ("a868a466-bca84df18404a77db0ecac72", "a868a466-bca84df18404a77db0ecac72"),
        ("", ""),
        (17, "17"),
        (None, None),
    ],
)
def test_a_uuid_is_taken_in_both_spellings_and_all_else_as_it_is(tenant: object, owner: str | None) -> None:
    assert normalised_owner(tenant) == owner
