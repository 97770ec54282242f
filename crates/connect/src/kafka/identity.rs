//! Which topic it is that has a name. A topic that was removed and made anew has other records at the same offsets, and its
//! offsets alone don't tell.

use super::client::{Access, Told};
use kernel::{Error, Point, Positions, Result};
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::helpers::rd_kafka_resp_err_t_to_rdkafka_error as code_of;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use std::time::Duration;

/// Where positions keep the id of a topic: no topic has this sign in its name.
fn place(topic: &str) -> String {
    format!("{topic}#id")
}

/// The position that says which topic the others are of, unless `known` has it; none where the cluster gives no ids. A topic
/// that is another one than is known is an error.
pub fn check(
    access: &Access,
    consumer: &BaseConsumer<Told>,
    topic: &str,
    known: &Positions,
) -> Result<Option<Positions>> {
    let client = consumer.client();
    let found = id(client, topic, access.timeout);
    let found = found.map_err(|e| access.error(&format!("ask for the id of {topic}"), &e, client.context()))?;
    match (known.get(&place(topic)), found) {
        (Some(Point::Mark { token, .. }), Some(id)) if *token != id => {
            let detail = "it is another topic than was read: it was removed and made anew, and its offsets count other records. \
                          Give the source another name to take it from its start";
            Err(Error::data(format!("go on in {topic}"), detail))
        }
        (None, Some(id)) => {
            let mut is = Positions::new();
            is.set(place(topic), Point::Mark { rows: 0, token: id, done: false });
            Ok(Some(is))
        }
        _ => Ok(None),
    }
}

/// The id of a topic; `None` where the cluster has none to give (before Kafka 2.8, and some that speak its protocol).
#[allow(unsafe_code, reason = "the client's safe half has no such call")]
fn id(client: &Client<Told>, topic: &str, timeout: Duration) -> std::result::Result<Option<String>, KafkaError> {
    use rdkafka::bindings::*;
    let name = std::ffi::CString::new(topic).map_err(KafkaError::Nul)?;
    let mut names = [name.as_ptr()];
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let client = client.native_ptr();
    // SAFETY: `client` lives as long as the call. Each object is made here, asked only while it is there, and destroyed once;
    // the result belongs to the event and is copied out of it before that goes. The name outlives the collection.
    unsafe {
        let topics = rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options = rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        rd_kafka_AdminOptions_set_request_timeout(options, millis, std::ptr::null_mut(), 0);
        let queue = rd_kafka_queue_new(client);
        rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = rd_kafka_queue_poll(queue, millis.saturating_add(SLACK));
        let found = match event.is_null() {
            true => Err(RDKafkaRespErr::RD_KAFKA_RESP_ERR__TIMED_OUT),
            false => told(event),
        };
        if !event.is_null() {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_TopicCollection_destroy(topics);
        match found.map_err(code_of) {
            Ok(id) => Ok(Some(id).filter(|id| id != NONE)),
            Err(Code::UnsupportedFeature | Code::UnsupportedVersion) => Ok(None),
            Err(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }
}

/// The id that the answer's only topic has.
#[allow(unsafe_code, reason = "the client's safe half has no such call")]
unsafe fn told(event: *mut rdkafka::bindings::rd_kafka_event_t) -> std::result::Result<String, RDKafkaRespErr> {
    use rdkafka::bindings::*;
    let no_error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the event is there, and all that is asked belongs to it. Each pointer is looked at before it is followed.
    unsafe {
        let error = rd_kafka_event_error(event);
        if error != no_error {
            return Err(error);
        }
        let mut count = 0;
        let result = rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaRespErr::RD_KAFKA_RESP_ERR__BAD_MSG);
        }
        let topics = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count != 1 || topics.is_null() {
            return Err(RDKafkaRespErr::RD_KAFKA_RESP_ERR__BAD_MSG);
        }
        let error = rd_kafka_TopicDescription_error(*topics);
        if !error.is_null() && rd_kafka_error_code(error) != no_error {
            return Err(rd_kafka_error_code(error));
        }
        let id = rd_kafka_TopicDescription_topic_id(*topics);
        let text = if id.is_null() { std::ptr::null() } else { rd_kafka_Uuid_base64str(id) };
        match text.is_null() {
            true => Ok(NONE.to_owned()),
            false => Ok(std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()),
        }
    }
}

/// 16 bytes of zero: no id.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
/// The client tells that its time is up by itself; milliseconds that it is given for that.
const SLACK: i32 = 1_000;
