from __future__ import annotations

import pytest

from gluon.model.model import AttributeType, Model, Role
from model.written import HEAD, compile_text, errors, model_of, only_error

PORT = "  Port: {api: {name: port}, extends: BasePort}\n"
INTERFACE = """\
  Interface:
    api: {name: interface, parent: Port, parent_key: port_id}
    extends: BaseInterface
    attributes: {port_id: {type: Port}}
"""
SERVICE = "  Line: {api: {name: line}, extends: BaseService}\n"
BINDING = "  End: {api: {name: end}, extends: BaseServiceBinding}\n"


def service(*objects: str) -> str:
    return HEAD + "imports: base/base.yaml\nobjects:\n" + "".join(objects)


def with_port(attributes: str) -> str:
    port = f"  Port: {{api: {{name: port}}, extends: BasePort, attributes: {{{attributes}}}}}\n"
    return service(port, INTERFACE, SERVICE)


def with_interface(attributes: str) -> str:
    interface = f"  Iface: {{api: {{name: iface}}, extends: BaseInterface, attributes: {{{attributes}}}}}\n"
    return service(PORT, interface, SERVICE)


@pytest.fixture
def model() -> Model:
    return model_of(compile_text(service(PORT, INTERFACE, SERVICE, BINDING)))


def test_roles_come_from_the_base_objects_whatever_the_names(model: Model) -> None:
    roles = {name: object_.role for name, object_ in model.objects.items()}
    assert roles == {
        "Port": Role.PORT,
        "Interface": Role.INTERFACE,
        "Line": Role.SERVICE,
        "End": Role.SERVICE_BINDING,
    }
    assert model.port is model.objects["Port"]
    assert model.interface is model.objects["Interface"]


def test_a_role_is_inherited_through_base_objects() -> None:
    objects = "  MyPort: {extends: BasePort}\n  P: {api: {name: port}, extends: MyPort}\n"
    interface = "  Interface: {api: {name: interface}, extends: BaseInterface}\n"
    model = model_of(compile_text(service(objects, interface, SERVICE)))
    assert model.objects["P"].role is Role.PORT


def test_an_object_called_port_that_extends_nothing_has_no_role() -> None:
    model = model_of(compile_text(HEAD + "objects: {Port: {api: {name: port}}}"))
    assert model.objects["Port"].role is Role.NONE
    assert model.port is None


def test_plain_uuids_of_a_binding_refer_to_the_interface_and_to_any_service() -> None:
    more = "  Tree: {api: {name: tree}, extends: BaseService}\n"
    model = model_of(compile_text(service(PORT, INTERFACE, SERVICE, more, BINDING)))
    end = model.objects["End"]
    assert end.attributes["interface_id"].refers_to == ("Interface",)
    assert end.attributes["service_id"].refers_to == ("Line", "Tree")
    assert end.attributes["service_id"].type is AttributeType.UUID


def test_a_plain_port_id_of_an_interface_refers_to_the_port() -> None:
    model = model_of(compile_text(with_interface("")))
    assert model.objects["Iface"].attributes["port_id"].refers_to == ("Port",)


NEEDS = "takes part in binding, so the model also needs an API object that extends"


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ((SERVICE,), f"Line: {NEEDS} BasePort"),
        ((SERVICE,), f"Line: {NEEDS} BaseInterface"),
        ((PORT, INTERFACE), f"Port: {NEEDS} BaseService"),
        (
            (PORT, "  Also: {api: {name: also}, extends: BasePort}\n", INTERFACE, SERVICE),
            "Also: only one object of a model may extend BasePort; Port does already",
        ),
    ],
)
def test_a_model_that_takes_part_in_binding_has_what_it_needs(objects: tuple[str, ...], message: str) -> None:
    assert any(message in error for error in errors(compile_text(service(*objects))))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("status: {values: [ACTIVE, ERROR]}", "Port.status: values must have DOWN"),
        ("status: {type: string}", "Port.status: must be an enum with ACTIVE and DOWN: the server uses it"),
        ("host_id: {type: uuid}", "Port.host_id: must be a string: the server uses it"),
        ("vif_type: {type: enum, values: [ovs]}", "Port.vif_type: must be a string"),
        ("vif_type: {length: 8}", "Port.vif_type: length must be at least 14, for 'binding_failed'"),
        (
            "vif_details: {required: true}",
            "Port.vif_details: can't be required: it is empty while the port is not",
        ),
        ("host_id: {required: true}", "Port.host_id: can't be required"),
        ("host_id: {format: ipv4}", "Port.host_id: can't have format ipv4: the server writes it"),
        ("profile: {type: integer}", "Port.profile: must be a string"),
        ("device_owner: {type: boolean}", "Port.device_owner: must be a string"),
        ("device_id: {type: integer}", "Port.device_id: must be a uuid or a string"),
        ("device_id: {required: true}", "Port.device_id: can't be required"),
        ("admin_state_up: {type: string}", "Port.admin_state_up: must be a boolean"),
        ("id: {type: string}", "Port.id: identifies a port or interface, so it must be of type uuid"),
        ("bind_id: {type: uuid}", "Port.bind_id: the name is taken by what the server itself writes"),
        ("bindings: {type: string}", "Port.bindings: the name is taken by what the server itself writes"),
    ],
)
def test_a_port_keeps_what_the_server_binds_it_by(attributes: str, message: str) -> None:
    assert message in only_error(compile_text(with_port(attributes)))


@pytest.mark.parametrize(
    "attributes",
    [
        "status: {values: [DOWN, ACTIVE, ERROR]}",
        "device_id: {type: string}",
        "vif_details: {type: string, length: 4096}",
        "speed: {type: integer, required: true}",
    ],
)
def test_a_port_may_have_more(attributes: str) -> None:
    assert model_of(compile_text(with_port(attributes)))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("name: {type: integer}", "Iface.name: must be a string"),
        ("segmentation_type: {values: [vlan]}", "Iface.segmentation_type: values must have 'none'"),
        (
            "segmentation_type: {type: integer}",
            "Iface.segmentation_type: must be an enum with 'none', or a string",
        ),
        ("segmentation_type: {type: string, length: 3}", "length must be at least 4, for 'none'"),
        ("segmentation_id: {type: string}", "Iface.segmentation_id: must be an integer that admits 0"),
        ("segmentation_id: {min: 1}", "Iface.segmentation_id: must admit 0, for default interfaces"),
        ("segmentation_id: {max: -1}", "Iface.segmentation_id: must admit 0, for default interfaces"),
        ("port_id: {type: string}", "Iface.port_id: must be a uuid or of type Port"),
        ("tenant_id: {type: integer}", "Iface.tenant_id: must admit every tenant_id of Port"),
        ("tenant_id: {type: string, length: 35}", "Iface.tenant_id: must admit every tenant_id of Port"),
        (
            "speed: {type: integer, required: true}",
            "Iface.speed: can't be required: the server makes a port's",
        ),
        ("speed: {type: integer, primary: true}", "Iface.speed: can't be primary: the server makes a port's"),
    ],
)
def test_the_server_can_make_a_default_interface(attributes: str, message: str) -> None:
    assert message in only_error(compile_text(with_interface(attributes)))


def test_an_interface_may_be_wider_than_its_port_in_what_it_takes_from_it() -> None:
    model_of(compile_text(with_interface("tenant_id: {type: string}")))


def test_an_interface_requires_no_tenant_that_its_port_may_lack() -> None:
    text = with_port("tenant_id: {required: false}")
    assert "Interface.tenant_id: can't be required where that of Port is not" in only_error(
        compile_text(text)
    )


def test_what_is_wrong_is_told_where_the_model_says_it() -> None:
    error = only_error(compile_text(with_interface("segmentation_id: {min: 1}")))
    assert error.startswith("acme/api.yaml:6:91: Iface.segmentation_id")


def test_interfaces_stand_below_the_port_or_nowhere() -> None:
    interface = """\
  Iface:
    api: {name: iface, parent: Line, parent_key: line}
    extends: BaseInterface
    attributes: {line: {type: Line}}
"""
    error = only_error(compile_text(service(PORT, interface, SERVICE)))
    assert "Iface: the parent of interfaces must be Port" in error


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            "service_id: {type: Port}",
            "End.service_id: must be a uuid or the name of the object that is a service",
        ),
        (
            "interface_id: {type: string}",
            "End.interface_id: must be a uuid or the name of the object that is an",
        ),
    ],
)
def test_a_service_binding_joins_an_interface_and_a_service(attributes: str, message: str) -> None:
    binding = f"  End: {{api: {{name: end}}, extends: BaseServiceBinding, attributes: {{{attributes}}}}}\n"
    assert message in only_error(compile_text(service(PORT, INTERFACE, SERVICE, binding)))


def test_a_base_port_of_the_models_own_must_have_what_the_server_uses() -> None:
    own = HEAD + (
        "objects:\n"
        "  BasePort: {attributes: {id: {type: uuid, primary: true}}}\n"
        "  BaseInterface: {attributes: {id: {type: uuid, primary: true}}}\n"
        "  BaseService: {attributes: {id: {type: uuid, primary: true}}}\n"
    )
    found = errors(compile_text(own + PORT + INTERFACE + SERVICE))
    assert any(
        "Port: lacks the attribute status, an enum with ACTIVE and DOWN: the server uses it" in e
        for e in found
    )
    assert any("Interface: lacks the attribute segmentation_id" in e for e in found)
