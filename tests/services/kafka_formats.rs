//! Records with schemas of a registry, written by Confluent's own client. Needs: kafka, registry.

use super::harness::kafka::Kafka;
use super::harness::{server, unique};
use crate::harness::{Project, node};

fn registry() -> String {
    format!("{}/apis/ccompat/v7", server("registry").url)
}

const SERIALIZERS: &str = "
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.serialization import SerializationContext, MessageField
client = SchemaRegistryClient({'url': registry})
def written(serializer, name, values):
    context = SerializationContext(name, MessageField.VALUE)
    return [{'value': serializer(value, context)} for value in values]
";

fn project(kafka: &Kafka, topic: &str, format: &str) -> Project {
    let project = Project::new("registry");
    let (connection, registry) = (kafka.connection(), registry());
    project.write(
        "sources/orders.yaml",
        format!("connector: kafka\nconnection: {connection}\ntopic: {topic}\nformat: {format}\nregistry: {registry}\n"),
    );
    let columns = "
        { name: id, logicalType: string, primaryKey: true, required: true }
        { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
        { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
        { name: note, logicalType: string }";
    project.contract("orders", columns, &[]);
    project
}

fn write(kafka: &Kafka, project: &Project, script: &str) {
    kafka.python(project, &format!("registry = '{}'\n{SERIALIZERS}\n{script}", registry()));
}

const LINES: &str = "select id, amount, at, note from bronze.orders";

#[test]
fn avro_of_two_versions_is_read_by_the_contract() {
    let (kafka, topic) = (Kafka::new(), unique("avro"));
    let project = project(&kafka, &topic, "avro");
    let script = format!(
        "import datetime, decimal\n\
         from confluent_kafka.schema_registry.avro import AvroSerializer\n\
         fields = [{{'name': 'id', 'type': 'string'}},\n\
         \x20   {{'name': 'amount', 'type': {{'type': 'bytes', 'logicalType': 'decimal', 'precision': 12, 'scale': 2}}}},\n\
         \x20   {{'name': 'at', 'type': {{'type': 'long', 'logicalType': 'timestamp-micros'}}}}]\n\
         more = fields + [{{'name': 'note', 'type': ['null', 'string'], 'default': None}}]\n\
         at = datetime.datetime(2026, 11, 25, 10, 11, 12, 13, datetime.timezone.utc)\n\
         topic('{topic}', 1)\n\
         for n, kind in enumerate([fields, more]):\n\
         \x20   serializer = AvroSerializer(client, json.dumps({{'type': 'record', 'name': 'Order', 'fields': kind}}))\n\
         \x20   values = [{{'id': f'o{{n}}-{{k}}', 'amount': decimal.Decimal('12.34'), 'at': at, 'note': None if k == 8 else 'né'}} for k in range(50)]\n\
         \x20   produce('{topic}', written(serializer, '{topic}', values))\n\
         produce('{topic}', [{{'value': b'plain'}}, {{'value': b'\\0' + b'\\xff' * 3}}, {{'value': b'\\0\\x7f\\xff\\xff\\xffx'}}])\n"
    );
    write(&kafka, &project, &script);
    let run = project.run();
    // The last one names a schema that the registry says it does not have.
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 103, "{run}");
    let lines = project.lines(LINES);
    assert_eq!(lines.len(), 100);
    assert!(lines.contains(&"o0-7,12.34,2026-11-25T10:11:12.000013Z,".to_owned()), "{lines:?}");
    assert!(lines.contains(&"o1-7,12.34,2026-11-25T10:11:12.000013Z,né".to_owned()), "{lines:?}");
    let nulls = project.lines("select id from bronze.orders where note is null and id like 'o1%'");
    assert_eq!(nulls, ["o1-8"], "null is no empty text");
    assert_eq!(project.count("quarantine.orders"), 3);
}

#[test]
fn a_record_without_fields_takes_no_bytes_however_often_it_is_named() {
    let (kafka, topic) = (Kafka::new(), unique("bare"));
    let project = project(&kafka, &topic, "avro");
    let script = format!(
        "from confluent_kafka.schema_registry.avro import AvroSerializer\n\
         bare = {{'type': 'record', 'name': 'Nothing', 'fields': []}}\n\
         fields = [{{'name': 'first', 'type': bare}}, {{'name': 'again', 'type': 'Nothing'}}, {{'name': 'id', 'type': 'string'}},\n\
         \x20   {{'name': 'note', 'type': ['null', 'Nothing']}}]\n\
         topic('{topic}', 1)\n\
         serializer = AvroSerializer(client, json.dumps({{'type': 'record', 'name': 'Order', 'fields': fields}}))\n\
         values = [{{'first': {{}}, 'again': {{}}, 'id': f'o{{k}}', 'note': {{}} if k == 1 else None}} for k in range(3)]\n\
         produce('{topic}', written(serializer, '{topic}', values))\n"
    );
    write(&kafka, &project, &script);
    project.run();
    let rows = project.lines("select id, note, note is null from bronze.orders order by id");
    assert_eq!(rows, ["o0,,true", "o1,{},false", "o2,,true"]);
}

#[test]
fn json_schema_values_are_read_behind_their_frame() {
    let (kafka, topic) = (Kafka::new(), unique("json"));
    let project = project(&kafka, &topic, "json");
    let script = format!(
        "from confluent_kafka.schema_registry.json_schema import JSONSerializer\n\
         schema = json.dumps({{'$schema': 'http://json-schema.org/draft-07/schema#', 'title': 'Order', 'type': 'object',\n\
         \x20   'properties': {{'id': {{'type': 'string'}}, 'amount': {{'type': 'number'}}}}}})\n\
         topic('{topic}', 1)\n\
         values = [{{'id': f'o{{k}}', 'amount': 1.5}} for k in range(20)]\n\
         produce('{topic}', written(JSONSerializer(schema, client), '{topic}', values))\n"
    );
    write(&kafka, &project, &script);
    project.run();
    let lines = project.lines(LINES);
    assert!(lines.len() == 20 && lines.contains(&"o7,1.50,,".to_owned()), "{lines:?}");
}

#[test]
fn protobuf_messages_are_read_also_those_inside_of_others() {
    let (kafka, topic) = (Kafka::new(), unique("protobuf"));
    let project = project(&kafka, &topic, "protobuf");
    let script = format!(
        "from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2\n\
         from confluent_kafka.schema_registry.protobuf import ProtobufSerializer\n\
         file = descriptor_pb2.FileDescriptorProto(name='{topic}.proto', package='shop', syntax='proto3', dependency=['google/protobuf/timestamp.proto'])\n\
         file.message_type.add(name='Unused')\n\
         order = file.message_type.add(name='Outer').nested_type.add(name='Order')\n\
         kinds = descriptor_pb2.FieldDescriptorProto\n\
         order.field.add(name='id', number=1, type=kinds.TYPE_STRING, label=1)\n\
         order.field.add(name='amount', number=2, type=kinds.TYPE_STRING, label=1)\n\
         order.field.add(name='at', number=3, type=kinds.TYPE_MESSAGE, type_name='.google.protobuf.Timestamp', label=1)\n\
         pool = descriptor_pool.Default()\n\
         pool.Add(file)\n\
         Order = message_factory.GetMessageClass(pool.FindMessageTypeByName('shop.Outer.Order'))\n\
         topic('{topic}', 1)\n\
         values = [Order(id=f'o{{k}}', amount='3.25', at=timestamp_pb2.Timestamp(seconds=1700000000, nanos=7000)) for k in range(20)]\n\
         produce('{topic}', written(ProtobufSerializer(Order, client, {{'use.deprecated.format': False}}), '{topic}', values))\n"
    );
    write(&kafka, &project, &script);
    project.run();
    let lines = project.lines(LINES);
    assert!(lines.len() == 20 && lines.contains(&"o7,3.25,2023-11-14T22:13:20.000007Z,".to_owned()), "{lines:?}");
}

fn twenty_in_avro(kafka: &Kafka, project: &Project, topic: &str) {
    let script = format!(
        "from confluent_kafka.schema_registry.avro import AvroSerializer\n\
         topic('{topic}', 1)\n\
         schema = json.dumps({{'type': 'record', 'name': 'Order', 'fields': [{{'name': 'id', 'type': 'string'}}]}})\n\
         produce('{topic}', written(AvroSerializer(client, schema), '{topic}', [{{'id': str(k)}} for k in range(20)]))\n"
    );
    write(kafka, project, &script);
}

#[test]
fn a_registry_that_is_gone_is_exit_4_and_nothing_is_lost() {
    let (kafka, topic) = (Kafka::new(), unique("gone"));
    let project = project(&kafka, &topic, "avro");
    twenty_in_avro(&kafka, &project, &topic);
    let good = project.read("sources/orders.yaml");
    project.write("sources/orders.yaml", good.replace(&registry(), "http://ana:hunter2@127.0.0.1:1"));
    let told = project.lavra(&["run", "--retries", "0"]).exits(4).says("registry");
    assert!(!told.stderr.contains("hunter2"), "{told:?}");
    project.write("sources/orders.yaml", good);
    project.run();
    assert_eq!(project.count("bronze.orders"), 20);
}

/// What a look is told is how the topic is read, and what is written of it.
#[test]
fn discover_reads_and_writes_the_format_that_it_is_told() {
    let (kafka, topic, project) = (Kafka::new(), unique("found"), Project::new("found"));
    twenty_in_avro(&kafka, &project, &topic);
    let (connection, registry) = (kafka.connection(), format!("registry={}", registry()));
    let args = ["discover", &connection, "--table", &topic, "--set", "format=avro", "--set", &registry, "--write"];
    project.lavra(&args).exits(0).says("all 20 rows");
    let (path, source) = project.files_below("sources").pop().expect("a source");
    let source = String::from_utf8_lossy(&source);
    assert!(source.contains("format: avro") && source.contains("registry: "), "{source}");
    project.run();
    let table = path.file_stem().expect("its name").to_string_lossy().into_owned();
    assert_eq!(project.count(&format!("bronze.{table}")), 20);
}

#[test]
fn a_tombstone_that_is_kept_is_a_row_of_nulls_among_avro() {
    let (kafka, topic) = (Kafka::new(), unique("empty"));
    let project = project(&kafka, &topic, "avro");
    project.write("sources/orders.yaml", project.read("sources/orders.yaml") + "tombstones: keep\n");
    project.contract("orders", "{ name: id, logicalType: string }\n{ name: _key, logicalType: string }", &[]);
    let script = format!(
        "from confluent_kafka.schema_registry.avro import AvroSerializer\n\
         topic('{topic}', 1)\n\
         schema = json.dumps({{'type': 'record', 'name': 'Order', 'fields': [{{'name': 'id', 'type': 'string'}}]}})\n\
         produce('{topic}', [{{'key': 'first', 'value': None}}])\n\
         produce('{topic}', written(AvroSerializer(client, schema), '{topic}', [{{'id': 'a'}}]))\n\
         produce('{topic}', [{{'key': 'last', 'value': None}}])\n"
    );
    write(&kafka, &project, &script);
    project.run();
    let rows = project.lines("select _position['offset'], id is null, id, _key from bronze.orders order by 1");
    assert_eq!(rows, ["0,true,,first", "1,false,a,", "2,true,,last"]);
}
