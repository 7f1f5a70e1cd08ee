"""The logical tables of a model."""

from __future__ import annotations

import pytest

from gluon.model.model import Role
from gluon.particle.tables import Column, ColumnType, ForeignKey, identified_objects, table_for
from store.models import ALL_TYPES, ID, INTEGER, NAME, NETWORK, api_object, attribute, model


def test_a_table_has_the_attributes_in_order_and_the_systems_columns_behind() -> None:
    table = table_for(NETWORK, NETWORK.objects["Interface"])

    assert table.shown == (
        *NETWORK.objects["Interface"].attributes,
        "created_at",
        "updated_at",
        "revision_number",
    )
    assert table.by_name["id"] == Column("id", ColumnType.TEXT, nullable=False, length=36)
    assert table.by_name["name"] == Column("name", ColumnType.TEXT, length=64)
    assert table.by_name["segmentation_id"].type is ColumnType.INTEGER


def test_what_a_model_requires_is_nullable_all_the_same() -> None:
    assert table_for(NETWORK, NETWORK.objects["Interface"]).by_name["port_id"].nullable


def test_ports_have_room_for_binds() -> None:
    table = table_for(NETWORK, NETWORK.objects["Port"])

    assert table.shown[-2:] == ("bind_id", "bind_state")
    assert table.by_name["profile"].length is None
    assert table.by_name["vif_details"].length is None
    assert table.by_name["host_id"].length == 255


def test_every_type_has_a_column_type() -> None:
    table = table_for(ALL_TYPES, ALL_TYPES.objects["Thing"])

    assert {c.name: c.type for c in table.columns if c.name in ALL_TYPES.objects["Thing"].attributes} == {
        "name": ColumnType.TEXT,
        "text": ColumnType.TEXT,
        "Text": ColumnType.TEXT,
        "order": ColumnType.INTEGER,
        "size": ColumnType.DOUBLE,
        "on": ColumnType.BOOLEAN,
        "uuid": ColumnType.TEXT,
        "colour": ColumnType.TEXT,
        "data": ColumnType.TEXT,
    }


def test_references_are_foreign_keys_and_found_by_an_index() -> None:
    table = table_for(NETWORK, NETWORK.objects["Binding"])

    assert table.foreign_keys == (ForeignKey("interface_id", "Interface"), ForeignKey("service_id", None))
    assert table.indexes == (("service_id", "interface_id"), (":owner", "interface_id"))


def test_objects_that_one_attribute_may_name_alike_have_identities() -> None:
    assert identified_objects(NETWORK) == {"Vpn", "Chain"}
    assert table_for(NETWORK, NETWORK.objects["Vpn"]).has_identity
    assert not table_for(NETWORK, NETWORK.objects["Port"]).has_identity


def test_uniqueness_that_follows_from_the_key_is_not_stated_again() -> None:
    attributes = [ID, NAME, attribute("size", INTEGER)]
    with_key = api_object("Pair", attributes, unique_together=("id", "name"))
    without = api_object("Pair", attributes, unique_together=("name", "size"))

    assert table_for(model("m", with_key), with_key).unique == ()
    assert table_for(model("m", without), without).unique == (("name", "size"),)


def test_an_attribute_named_like_a_system_column_is_refused() -> None:
    port = api_object("Port", [ID, attribute("bind_state")], role=Role.PORT)

    with pytest.raises(ValueError, match="Port has an attribute with the name of a system column"):
        table_for(model("m", port), port)
