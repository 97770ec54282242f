//! Objects whose names are data, where the contract says an array of objects with `key` and `value`.

use super::nested::{name_of, with_quotes};
use super::parse::{self, Bad};
use arrow::datatypes::DataType;

/// Whether the type has such an array in it.
pub fn are_in(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| are_in(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) => {
            value_of(item.data_type()).is_some() || are_in(item.data_type())
        }
        _ => false,
    }
}

/// The type of the values, where the items of an array are pairs.
fn value_of(item: &DataType) -> Option<&DataType> {
    let DataType::Struct(fields) = item else { return None };
    fields.find("key").filter(|_| fields.len() == 2)?;
    fields.find("value").map(|(_, field)| field.data_type())
}

/// The JSON with arrays of pairs where it has such objects; `None` when it has none, or is broken.
pub fn listed(json: &[u8], data_type: &DataType) -> Option<Vec<u8>> {
    let mut out = Pairs { json: Vec::with_capacity(json.len() * 2), is_changed: false };
    out.write(json, data_type).ok()?;
    out.is_changed.then_some(out.json)
}

struct Pairs {
    json: Vec<u8>,
    is_changed: bool,
}

impl Pairs {
    fn write(&mut self, json: &[u8], data_type: &DataType) -> Result<(), Bad> {
        match (data_type, json.first()) {
            (DataType::List(item) | DataType::LargeList(item), Some(b'{')) => match value_of(item.data_type()) {
                Some(inner) => self.pairs(json, inner)?,
                None => self.json.extend_from_slice(json),
            },
            (DataType::List(item) | DataType::LargeList(item), Some(b'[')) => {
                self.json.push(b'[');
                let mut is_first = true;
                parse::array(json, 0, |value| {
                    self.part(&mut is_first);
                    self.write(&json[with_quotes(&value)], item.data_type())
                })?;
                self.json.push(b']');
            }
            (DataType::Struct(fields), Some(b'{')) => {
                self.json.push(b'{');
                let mut is_first = true;
                parse::object(json, 0, json.len(), &mut |key: parse::Value, value: parse::Value| {
                    self.part(&mut is_first);
                    let name = String::from_utf8_lossy(&name_of(json, &key)).into_owned();
                    self.json.extend_from_slice(&json[with_quotes(&key)]);
                    self.json.push(b':');
                    let inner = fields.find(&name).map_or(&DataType::Null, |(_, field)| field.data_type());
                    self.write(&json[with_quotes(&value)], inner)
                })?;
                self.json.push(b'}');
            }
            _ => self.json.extend_from_slice(json),
        }
        Ok(())
    }

    fn pairs(&mut self, json: &[u8], inner: &DataType) -> Result<(), Bad> {
        self.is_changed = true;
        self.json.push(b'[');
        let mut is_first = true;
        parse::object(json, 0, json.len(), &mut |key: parse::Value, value: parse::Value| {
            self.part(&mut is_first);
            self.json.extend_from_slice(b"{\"key\":");
            self.json.extend_from_slice(&json[with_quotes(&key)]);
            self.json.extend_from_slice(b",\"value\":");
            self.write(&json[with_quotes(&value)], inner)?;
            self.json.push(b'}');
            Ok(())
        })?;
        self.json.push(b']');
        Ok(())
    }

    fn part(&mut self, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.json.push(b',');
        }
    }
}
