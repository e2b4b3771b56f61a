//! The JSON mapping of the API's messages (<https://protobuf.dev/programming-guides/json/>).

use std::io;

use prost::{Message as _, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

/// Fields that only go in. A reader must not take their emptiness for "there is none".
const WRITE_ONLY: [&str; 3] = ["password", "clientSecret", "privateKeyPem"];

/// Makes JSON of messages, by their descriptors.
pub(crate) struct JsonMapping {
    pool: DescriptorPool,
}

impl JsonMapping {
    pub(crate) fn new() -> Self {
        let pool = DescriptorPool::decode(nuncio_api::v1::FILE_DESCRIPTOR_SET);
        Self { pool: pool.expect("the descriptors were made by the build") }
    }

    /// Reads a message from its JSON; the text says what is wrong.
    pub(crate) fn parse<M: Name + Default>(&self, json: &str) -> Result<M, String> {
        let descriptor = self.pool.get_message_by_name(&M::full_name());
        let descriptor = descriptor.expect("the descriptors hold every message of the API");
        let mut reader = serde_json::Deserializer::from_str(json);
        let message = DynamicMessage::deserialize(descriptor, &mut reader);
        let message = message.map_err(|error| format!("the JSON cannot be read: {error}"))?;
        reader.end().map_err(|error| format!("the JSON cannot be read: {error}"))?;
        M::decode(message.encode_to_vec().as_slice()).map_err(|error| error.to_string())
    }

    /// The message as JSON with the names of the API's fields as they are.
    pub(crate) fn with_api_names<M: Name>(&self, message: &M) -> io::Result<Value> {
        self.serialized(message, &SerializeOptions::new().use_proto_field_name(true))
    }

    /// The message as JSON. Empty fields are there too, so that a program finds each name.
    pub(crate) fn of<M: Name>(&self, message: &M) -> io::Result<Value> {
        let mut value = self.serialized(message, &SerializeOptions::new())?;
        remove_write_only(&mut value);
        Ok(value)
    }

    fn serialized<M: Name>(&self, message: &M, options: &SerializeOptions) -> io::Result<Value> {
        let descriptor = self.pool.get_message_by_name(&M::full_name());
        let descriptor = descriptor.expect("the descriptors hold every message of the API");
        let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
            .expect("what was encoded can be decoded");
        let options = options.clone().skip_default_fields(false);
        message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .map_err(io::Error::other)
    }
}

fn remove_write_only(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                !(WRITE_ONLY.contains(&name.as_str()) && value.as_str() == Some(""))
            });
            fields.values_mut().for_each(remove_write_only);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_write_only),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
