"""The calls that Confluent's own client, serializers and deserializers make, against the registry at argv[1]."""
import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.common.schema_registry_client import Metadata, MetadataProperties, ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.schema_registry.schema_registry_client import ConfigCompatibilityLevel
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

client = SchemaRegistryClient({"url": sys.argv[1]})


def fresh():
    """A client that has seen nothing."""
    return SchemaRegistryClient({"url": sys.argv[1]})


def refused(code, act):
    try:
        answer = act()
    except SchemaRegistryError as error:
        assert error.error_code == code, f"{error.error_code}, not {code}: {error.error_message}"
        return error.error_message
    raise AssertionError(f"not refused: {answer}")


def avro(*fields, name="R"):
    return Schema(json.dumps({"type": "record", "name": name, "fields": list(fields)}), "AVRO")


A = {"name": "a", "type": "string"}
B = {"name": "b", "type": ["null", "int"], "default": None}
C = {"name": "c", "type": "int"}


def registering_and_looking_up():
    one = client.register_schema("s-value", avro(A))
    two = client.register_schema("s-value", avro(A, B))
    assert (one, two) == (1, 2), (one, two)
    assert fresh().register_schema("s-value", avro(A)) == one
    assert fresh().register_schema("other-value", avro(A)) == one
    found = client.lookup_schema("s-value", avro(A))
    assert (found.version, found.schema_id, found.subject) == (1, one, "s-value"), found
    full = fresh().register_schema_full_response("s-value", avro(A, B))
    assert (full.version, full.schema_id) == (2, 2) and full.guid, full
    assert json.loads(fresh().get_schema(two).schema_str)["fields"] == [A, B]
    assert json.loads(fresh().get_schema(two, subject_name="s-value").schema_str)["fields"] == [A, B]
    assert json.loads(fresh().get_schema_by_guid(full.guid).schema_str)["fields"] == [A, B]
    latest = client.get_latest_version("s-value")
    assert (latest.version, latest.schema_id) == (2, 2), latest
    assert client.get_version("s-value", 1).schema_id == 1
    assert client.get_versions("s-value") == [1, 2]
    assert client.get_versions("s-value", offset=1, limit=1) == [2]
    assert client.get_subjects() == ["other-value", "s-value"]
    assert client.get_subjects(limit=1) == ["other-value"]
    assert client.get_subjects_by_schema_id(1) == ["other-value", "s-value"]
    versions = client.get_schema_versions(1)
    assert [(v.subject, v.version) for v in versions] == [("other-value", 1), ("s-value", 1)], versions
    assert sorted(client.get_schema_types()) == ["AVRO", "JSON", "PROTOBUF"]
    assert client.get_contexts() == ["."]
    refused(40401, lambda: client.get_latest_version("nothing"))
    refused(40402, lambda: client.get_version("s-value", 9))
    refused(40403, lambda: client.get_schema(900))
    refused(40403, lambda: client.lookup_schema("s-value", avro(C)))
    refused(42201, lambda: client.register_schema("s-value", Schema("{", "AVRO")))
    odd = "a/b c:é-value"
    assert client.register_schema(odd, avro(A)) == 1 and client.get_versions(odd) == [1]
    client.delete_subject(odd), client.delete_subject(odd, permanent=True)


def compatibility():
    assert client.test_compatibility("s-value", avro(A, B)) is True
    assert client.test_compatibility("s-value", avro(A, C)) is False
    assert client.test_compatibility("s-value", avro(A, C), version=1, verbose=True) is False
    assert client.test_compatibility_all_versions("s-value", avro(A, B)) is True
    assert client.test_compatibility_all_versions("s-value", avro(A, C), verbose=True) is False
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in refused(409, lambda: client.register_schema("s-value", avro(A, C)))


def settings():
    assert client.get_compatibility() == "BACKWARD"
    refused(40408, lambda: client.get_compatibility("s-value"))
    client.set_compatibility("s-value", "FORWARD_TRANSITIVE")
    assert client.get_compatibility("s-value") == "FORWARD_TRANSITIVE"
    client.set_config("s-value", ServerConfig(compatibility=ConfigCompatibilityLevel.NONE))
    assert client.get_config("s-value").compatibility_level == "NONE", client.get_config("s-value")
    assert client.register_schema("s-value", avro(A, C)) == 3
    client.delete_config("s-value")
    refused(40408, lambda: client.get_config("s-value"))
    refused(42203, lambda: client.set_compatibility("s-value", "SIDEWARD"))
    assert client.get_global_mode() == "READWRITE"
    client.update_mode("s-value", "READONLY")
    assert client.get_mode("s-value") == "READONLY"
    refused(42205, lambda: fresh().register_schema("s-value", avro(A, B, C)))
    client.delete_mode("s-value")
    refused(40409, lambda: client.get_mode("s-value"))
    client.update_global_mode("READONLY"), client.update_global_mode("READWRITE")
    client.update_mode("imported", "IMPORT")
    client.delete_mode("imported")


def metadata():
    of = avro(A, name="M")
    of = Schema(of.schema_str, "AVRO", metadata=Metadata(None, MetadataProperties({"owner": "ana"}), None))
    client.register_schema("m-value", of)
    found = client.get_latest_with_metadata("m-value", {"owner": "ana"})
    assert found.version == 1 and found.schema.metadata.properties.properties["owner"] == "ana", found
    refused(40403, lambda: client.get_latest_with_metadata("m-value", {"owner": "eva"}))


def references():
    inner = Schema(json.dumps({"type": "record", "name": "Inner", "fields": [A]}), "AVRO")
    client.register_schema("inner", inner)
    outer = Schema(
        json.dumps({"type": "record", "name": "Outer", "fields": [{"name": "inner", "type": "Inner"}]}),
        "AVRO",
        [SchemaReference("Inner", "inner", 1)],
    )
    own = client.register_schema("outer-value", outer)
    assert client.get_referenced_by("inner", 1) == [own]
    refused(42206, lambda: client.delete_subject("inner"))
    serializer = AvroSerializer(client, outer, conf={"auto.register.schemas": False})
    there = SerializationContext("outer", MessageField.VALUE)
    message = serializer({"inner": {"a": "x"}}, there)
    assert AvroDeserializer(fresh())(message, there) == {"inner": {"a": "x"}}


def deleting():
    client.register_schema("gone", avro(A)), client.register_schema("gone", avro(A, B))
    refused(40407, lambda: client.delete_version("gone", 1, permanent=True))
    assert client.delete_version("gone", 1) == 1
    assert client.get_versions("gone") == [2] and client.get_versions("gone", deleted=True) == [1, 2]
    assert client.get_version("gone", 1, deleted=True).schema_id == 1
    assert client.delete_version("gone", 1, permanent=True) == 1
    refused(40405, lambda: client.delete_subject("gone", permanent=True))
    assert client.delete_subject("gone") == [2]
    assert "gone" not in client.get_subjects() and "gone" in client.get_subjects(deleted=True)
    refused(40404, lambda: client.delete_subject("gone"))
    assert client.delete_subject("gone", permanent=True) == [2]
    refused(40401, lambda: client.get_versions("gone", deleted=True))


def avro_messages():
    there = SerializationContext("avro", MessageField.VALUE)
    value = {"a": "é", "b": 7}
    message = AvroSerializer(client, avro(A, B))(value, there)
    assert message[0] == 0 and AvroDeserializer(fresh())(message, there) == value
    # A reader of its own, older than the writer.
    assert AvroDeserializer(fresh(), avro(A).schema_str)(message, there) == {"a": "é"}
    latest = AvroSerializer(fresh(), conf={"auto.register.schemas": False, "use.latest.version": True})
    assert AvroDeserializer(fresh())(latest(value, there), there) == value
    normal = AvroSerializer(fresh(), avro(A, B), conf={"normalize.schemas": True})
    assert AvroDeserializer(fresh())(normal(value, there), there) == value


def json_messages():
    there = SerializationContext("json", MessageField.VALUE)
    product = {"$id": "http://example.com/product.json", "title": "Product", "type": "object", "properties": {"name": {"type": "string"}}}
    client.register_schema("product", Schema(json.dumps(product), "JSON"))
    order = {
        "$id": "http://example.com/order.json", "title": "Order", "type": "object",
        "properties": {"id": {"type": "integer"}, "product": {"$ref": "product.json"}},
    }
    reference = SchemaReference("http://example.com/product.json", "product", 1)
    schema = Schema(json.dumps(order), "JSON", [reference])
    value = {"id": 1, "product": {"name": "x"}}
    message = JSONSerializer(schema, client)(value, there)
    assert JSONDeserializer(schema, schema_registry_client=fresh())(message, there) == value
    assert JSONDeserializer(None, schema_registry_client=fresh())(message, there) == value
    try:
        JSONSerializer(schema, client)({"id": "no number"}, there)
    except Exception:
        return
    raise AssertionError("a wrong value was written")


def protobuf_messages():
    pool = descriptor_pool.DescriptorPool()
    kind = descriptor_pb2.FieldDescriptorProto

    def file(name, imports, *messages):
        made = descriptor_pb2.FileDescriptorProto(name=name, package="shop", syntax="proto3", dependency=imports)
        for message, fields in messages:
            one = made.message_type.add(name=message)
            for number, (field, of, type_name) in enumerate(fields, 1):
                one.field.add(name=field, number=number, type=of, type_name=type_name, label=kind.LABEL_OPTIONAL)
        pool.AddSerializedFile(made.SerializeToString())

    from google.protobuf import timestamp_pb2

    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    file("shop/item.proto", [], ("Item", [("name", kind.TYPE_STRING, None)]))
    file(
        "shop/order.proto",
        ["shop/item.proto", "google/protobuf/timestamp.proto"],
        ("Other", [("x", kind.TYPE_INT32, None)]),
        ("Order", [
            ("id", kind.TYPE_INT64, None), ("item", kind.TYPE_MESSAGE, ".shop.Item"),
            ("at", kind.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
        ]),
    )
    order = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
    there = SerializationContext("proto", MessageField.VALUE)
    value = order(id=7)
    value.item.name = "x"
    value.at.seconds = 1000
    message = ProtobufSerializer(order, client)(value, there)
    # Order is the second message of its file.
    assert message[0] == 0 and message[5:7] == bytes([2, 2]), message[:8]
    # With the client that registered it, which keeps the descriptor that it sent, and with one that asks.
    assert ProtobufDeserializer(order, schema_registry_client=client)(message, there) == value
    assert ProtobufDeserializer(order, schema_registry_client=fresh())(message, there) == value
    assert ProtobufDeserializer(order)(message, there) == value
    latest = fresh().get_latest_version("proto-value")
    assert latest.schema.schema_str.startswith('syntax = "proto3"') and "message Order" in latest.schema.schema_str
    assert [r.name for r in latest.schema.references] == ["shop/item.proto"], latest
    again = ProtobufSerializer(order, fresh(), conf={"auto.register.schemas": False, "use.latest.version": True})
    assert ProtobufDeserializer(order, schema_registry_client=fresh())(again(value, there), there) == value
    known = ProtobufSerializer(order, fresh(), conf={"auto.register.schemas": False})
    assert known(value, there) == message


for act in [
    registering_and_looking_up, compatibility, settings, metadata, references, deleting, avro_messages, json_messages,
    protobuf_messages,
]:
    act()
    print("ok", act.__name__)
