"""Protobuf bodies: bytes that kubectl sent, made-up messages read back, the table against the types, and garbage."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.apiserver.schema.check import check
from actors.apiserver.schema.protobuf import Malformed, decode, table
from actors.apiserver.schema.protobuf_encode import encode, has_message
from actors.apiserver.schema.resources import RESOURCES
from actors.apiserver.schema.types import Types, served_versions
from tests.apiserver.schema import protobuf_writer as writer

NEWEST = served_versions()[-1]
ONLY_BEFORE = {
    "claims",
    "nodeAllocatableResourceMappings",
    "resizeStatus",
    "resources",
    "source",
    "status",
    "workloadRef",
}
# Alphas and betas, and a version that has them.
ONLY_IN = {"v1alpha1": "1.35", "v1alpha2": "1.36", "v1beta2": "1.28", "v1beta3": "1.31"}

# What kubectl 1.33 sent for `create deployment d1 --image=nginx --replicas=2 --port=80` and its like.
DEPLOYMENT = bytes.fromhex(
    "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412b4010a1d0a02643112001a0022002a003200380042005a090a03617070"
    "120264311284010802120b0a090a03617070120264311a6b0a1b0a0012001a0022002a003200380042005a090a0361707012026431124c122e"
    "0a056e67696e7812056e67696e782a00320a0a001000185022002a0042006a007200800100880100900100a201001a00320042004a00520058"
    "00600068008201008a01009a0100c2010022020a00280038001a0c0800100018002000280038001a002200"
)
SERVICE = bytes.fromhex(
    "6b3873000a0d0a02763112075365727669636512650a1d0a026e3112001a0022002a003200380042005a090a0361707012026e3112400a1b0a"
    "0738302d38303830120354435018502207080010903f1a00280012090a0361707012026e311a0022084e6f6465506f72743a00420052005a00"
    "600068001a020a001a002200"
)
SECRET = bytes.fromhex(
    "6b3873000a0c0a0276311206536563726574121e0a120a02733112001a0022002a0032003800420012060a01611201621a001a002200"
)
BUDGET = bytes.fromhex(
    "6b3873000a200a09706f6c6963792f76311213506f6444697372757074696f6e42756467657412370a120a02703112001a0022002a00320038"
    "00420012150a09080110001a0335302512080a060a01611201621a0a080018002000280030001a002200"
)
QUOTA = bytes.fromhex(
    "6b3873000a130a027631120d5265736f7572636551756f746112350a120a02713112001a0022002a00320038004200121d0a0a0a0363707512"
    "030a01310a0f0a066d656d6f727912050a033147691a001a002200"
)

# Objects in the form that the decoder must give: no zeros but those that the table keeps.
_VALUES = {
    "string": ["web", "ü"], "int32": [1, -1, 2**31 - 1], "int64": [2**40, -(2**63)], "bool": [True],
    "bytes": ["Yg=="], "Time": ["2026-01-01T00:00:00Z"], "MicroTime": ["2026-01-01T00:00:00.000001Z"],
    "Quantity": ["100m", "0"], "IntOrString": [80, "http", -5], "Json": [{"a": [1, None]}], "Strings": [["a", ""]],
    "double": [1, 0.5, -(2**60)], "SchemaOrBool": [True, False, {"type": "string"}],
    "SchemaOrArray": [{"type": "string"}, [{"type": "string"}, {"minimum": 1.5}]],
    "SchemaOrStrings": [{"required": ["a"]}, ["a", "b"]],
}  # fmt: skip
_ZEROS = {"string": "", "int32": 0, "int64": 0, "bool": False, "bytes": "", "IntOrString": 0}

# The first two are the envelope's; the others are alpha in 1.37, whose message definitions are not published yet.
NOT_IN_PROTOBUF = {"apiVersion", "kind", "runningInUserNamespace", "compatibilityGroups", "derivedAttributes"}


def message(name, chance, density=0.7):
    obj = {}
    for field in table()[name].values():
        if field.inline:
            obj.update(message(field.type, chance, density * 0.6))
        elif chance.random() < density:
            value = several(field, chance, density)
            if value != {} or field.keep:
                obj[field.name] = value
    return obj


def several(field, chance, density):
    if field.shape == "[]":
        return [one(field, chance, density) for _ in range(chance.randint(1, 2))]
    if field.shape == "{}":
        return {key: one(field, chance, density) for key in chance.sample("ab", chance.randint(1, 2))}
    if field.keep and field.type in _ZEROS and chance.random() < 0.3:
        return _ZEROS[field.type]
    return one(field, chance, density)


def one(field, chance, density):
    return chance.choice(_VALUES[field.type]) if field.type in _VALUES else message(field.type, chance, density * 0.6)


def type_of(resource):
    return Types.load(ONLY_IN.get(resource.version, NEWEST)).of(resource)


def root(resource):
    return f"{resource.group.partition('.')[0] or 'core'}.{resource.version}.{resource.kind}"


def test_a_deployment_as_kubectl_sends_it():
    assert decode(DEPLOYMENT) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d1", "labels": {"app": "d1"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "d1"}},
            "template": {
                "metadata": {"labels": {"app": "d1"}},
                "spec": {"containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}]}]},
            },
        },
    }


def test_numbers_or_names_bytes_and_quantities_as_kubectl_sends_them():
    assert decode(SERVICE)["spec"]["ports"] == [
        {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080},
    ]  # fmt: skip
    assert decode(SECRET)["data"] == {"a": "Yg=="}
    assert decode(BUDGET)["spec"] == {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}}
    assert decode(QUOTA)["spec"] == {"hard": {"cpu": "1", "memory": "1Gi"}}


@settings(max_examples=100)
@given(st.sampled_from(RESOURCES), st.integers(0, 2**32))
def test_what_was_written_is_read_back(resource, seed):
    chance = random.Random(seed)
    obj = message(root(resource), chance)

    read = decode(writer.body(resource.api_version, resource.kind, writer.write(root(resource), obj, chance)))

    assert read == {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


@settings(max_examples=100)
@given(st.sampled_from(RESOURCES), st.integers(0, 2**32))
def test_what_the_server_writes_is_read_as_the_same(resource, seed):
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    obj = {**head, **message(root(resource), random.Random(seed))}

    assert decode(encode(obj)) == obj


def test_a_list_and_a_refusal_are_written_too():
    pods = [{"metadata": {"name": name}} for name in ("a", "b")]
    metadata = {"resourceVersion": "7", "remainingItemCount": 0}
    written = encode({"apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": pods})
    refusal = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "details": {"name": "a"}}

    items = b"".join(writer.chunk(2, writer.chunk(1, writer.text(1, name))) for name in ("a", "b"))
    of_list = writer.chunk(1, writer.text(2, "7") + writer.number(4, 0)) + items
    assert written == writer.body("v1", "PodList", of_list)
    assert decode(encode({**refusal, "metadata": {}})) == refusal
    assert not has_message("v1", "Widget") and not has_message("example.com/v1", "WidgetList")


@settings(max_examples=60)
@given(st.sampled_from(RESOURCES), st.integers(0, 2**32))
def test_what_is_read_has_the_structure_of_its_type(resource, seed):
    chance = random.Random(seed)
    data = writer.write(root(resource), message(root(resource), chance), chance)

    found = check(decode(writer.body(resource.api_version, resource.kind, data)), type_of(resource))

    assert found.errors == []
    assert {each.strip('"').rpartition(".")[2].rpartition('"')[2] for each in found.unknown} <= ONLY_BEFORE


def test_the_table_and_the_types_of_all_versions_have_the_same_fields():
    seen = {}
    for version in served_versions():
        for name, fields in fields_of(Types.load(version)).items():
            assert fields - set(flat(name)) <= NOT_IN_PROTOBUF, (version, name)
            seen[name] = seen.get(name, set()) | fields

    assert {name: set(flat(name)) - fields for name, fields in seen.items() if set(flat(name)) - fields} == {}
    assert len(seen) > 400


def fields_of(types):
    """What is in each message that is served, by name."""
    waiting = [(root(resource), types.of(resource)) for resource in RESOURCES if types.has(resource)]
    compared = {}
    while waiting:
        name, type_ = waiting.pop()
        if name in compared:
            continue
        compared[name] = set(type_.fields)
        for field in flat(name).values():
            if field.name not in type_.fields:
                continue  # of another version
            below = element(type_.fields[field.name], field.shape)
            if field.type in table():
                waiting.append((field.type, below))
            else:
                assert (below.kind, below.format) == _KINDS[field.type], (name, field.name)
    return compared


_KINDS = {
    "string": ("string", ""), "int32": ("integer", "int32"), "int64": ("integer", "int64"), "bool": ("boolean", ""),
    "bytes": ("string", "byte"), "Time": ("string", "date-time"), "MicroTime": ("string", "micro-time"),
    "Quantity": ("quantity", ""), "IntOrString": ("int-or-string", ""), "Json": ("any", ""), "Strings": ("array", ""),
    "double": ("number", "double"), "SchemaOrArray": ("any", ""), "SchemaOrBool": ("any", ""),
    "SchemaOrStrings": ("any", ""),
}  # fmt: skip


def element(type_, shape):
    return type_.items if shape == "[]" else type_.values if shape == "{}" else type_


def flat(name):
    fields = {}
    for field in table()[name].values():
        fields |= flat(field.type) if field.inline else {field.name: field}
    return fields


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("autoscaling/v1", "Scale"), ("policy/v1", "Eviction"), ("v1", "Binding"), ("v1", "DeleteOptions"),
        ("apps/v1", "DeleteOptions"), ("authentication.k8s.io/v1", "TokenRequest"),
    ],
)  # fmt: skip
def test_kinds_without_a_resource_of_their_own_are_read_too(api_version, kind):
    data = writer.body(api_version, kind, b"")

    assert {"apiVersion": api_version, "kind": kind}.items() <= decode(data).items()


def test_a_scale_to_zero_keeps_its_zero_where_it_means_something():
    scale = writer.body("apps/v1", "Deployment", writer.chunk(2, writer.number(1, 0) + writer.number(5, 0)))

    assert decode(scale)["spec"] == {"replicas": 0}


def test_delete_options_keep_a_grace_period_of_zero():
    options = writer.body("v1", "DeleteOptions", writer.number(1, 0) + writer.text(4, "Background"))

    assert decode(options) == {
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background",
    }  # fmt: skip


def test_the_type_of_a_number_or_string_decides_not_which_of_them_is_set():
    both = writer.number(2, 80) + writer.text(3, "http")
    ports = [writer.chunk(4, writer.number(1, type_) + both) for type_ in (0, 1)]
    service = writer.body("v1", "Service", writer.chunk(2, b"".join(writer.chunk(1, port) for port in ports)))

    assert [port["targetPort"] for port in decode(service)["spec"]["ports"]] == [80, "http"]


def schema(*fields):
    version = writer.text(1, "v1") + writer.chunk(4, writer.chunk(1, b"".join(fields)))
    return writer.body("apiextensions.k8s.io/v1", "CustomResourceDefinition", writer.chunk(2, writer.chunk(7, version)))


def schema_of(body):
    return decode(body)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_a_schema_has_what_json_has_where_the_message_has_one_of_two():
    string = writer.text(5, "string")
    labels = writer.text(1, "labels") + writer.chunk(2, writer.chunk(30, writer.number(1, 1) + writer.chunk(2, string)))
    closed = writer.text(1, "closed") + writer.chunk(2, writer.chunk(30, writer.number(1, 0)))
    found = schema_of(
        schema(writer.chunk(29, labels), writer.chunk(29, closed), writer.chunk(24, writer.chunk(1, string)))
    )

    assert found == {
        "properties": {
            "labels": {"additionalProperties": {"type": "string"}},
            "closed": {"additionalProperties": False},
        },
        "items": {"type": "string"},
    }  # fmt: skip


def test_whole_numbers_are_such_and_a_default_may_be_nothing_much():
    ten = writer.varint(9 << 3 | 1) + bytes.fromhex("0000000000002440")
    found = schema_of(schema(ten, writer.chunk(8, writer.text(1, "false"))))

    assert found == {"maximum": 10, "default": False} and isinstance(found["maximum"], int)


def test_a_schema_without_a_bottom_is_refused():
    deep = b""
    for _ in range(5000):
        deep = writer.chunk(28, deep)

    with pytest.raises(Malformed, match="recursion depth"):
        decode(schema(deep))


def test_numbers_of_a_list_may_be_packed():
    packed = writer.chunk(4, writer.varint(5) + writer.varint(300)) + writer.number(4, 7)
    pod = writer.body("v1", "Pod", writer.chunk(2, writer.chunk(14, packed)))

    assert decode(pod)["spec"] == {"securityContext": {"supplementalGroups": [5, 300, 7]}}


def test_an_empty_struct_that_was_pointed_to_stays():
    volume = writer.text(1, "scratch") + writer.chunk(2, writer.chunk(2, b""))
    pod = writer.body("v1", "Pod", writer.chunk(2, writer.chunk(1, volume)))

    assert decode(pod)["spec"] == {"volumes": [{"name": "scratch", "emptyDir": {}}]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not appear to be a protobuf message"),
        (b'{"kind": "Pod"}', "does not appear to be a protobuf message"),
        (writer.body("v1", "Widget", b""), 'no kind "Widget" is registered for version "v1"'),
        (writer.MAGIC, 'no kind "" is registered'),
        (DEPLOYMENT[:60], "unexpected EOF"),
        (writer.body("v1", "Pod", writer.chunk(1, writer.chunk(1, b"\xff"))), "invalid UTF-8"),
        (writer.body("v1", "Pod", writer.number(1, 1)), "wrong wireType"),
        (writer.body("v1", "Pod", writer.chunk(1, writer.chunk(7, b"abc"))), "wrong wireType"),
        (writer.body("v1", "Pod", b"\x0b"), "illegal wireType 3"),
        (writer.body("v1", "Pod", b"\xff" * 11), "integer overflow"),
        (writer.body("apps/v1", "ControllerRevision", writer.chunk(2, writer.text(1, "{"))), "field data: "),
        (
            writer.body("v1", "Pod", writer.chunk(1, writer.chunk(8, writer.number(1, 2**62)))),
            "field creationTimestamp: ",
        ),
        (schema(writer.text(9, "no")), "no double"),
        (schema(writer.varint(9 << 3 | 1) + bytes.fromhex("000000000000f07f")), "unsupported value: inf"),
    ],
)
def test_malformed_bodies_are_refused_with_the_reason(data, why):
    with pytest.raises(Malformed, match=why):
        decode(data)


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(0, len(DEPLOYMENT) - 1))
@example(b"\xff", 90)
def test_garbage_is_read_or_refused_but_never_anything_else(garbage, at):
    damaged = DEPLOYMENT[:at] + garbage + DEPLOYMENT[at + len(garbage) :]

    try:
        assert isinstance(decode(damaged), dict)
    except Malformed as refusal:
        assert str(refusal)


def test_every_resource_has_a_message():
    assert [resource for resource in RESOURCES if root(resource) not in table()] == []
