//! Files that clients import without registering them: `google/type` and the annotations of the API's own clients. The
//! `google/protobuf` ones are the compiler's.

use protox::file::{File, FileResolver};

pub struct Known;

impl FileResolver for Known {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let Some((package, body)) = body(name) else { return Err(protox::Error::file_not_found(name)) };
        File::from_source(name, &format!("syntax = \"proto3\";\npackage {package};\n{body}"))
    }
}

/// Package and content. Names and numbers are those of the published files.
fn body(name: &str) -> Option<(&'static str, &'static str)> {
    let google = |body| Some(("google.type", body));
    match name {
        "confluent/meta.proto" => Some(("confluent", META)),
        "confluent/types/decimal.proto" => {
            Some(("confluent.type", "message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }"))
        }
        "google/type/date.proto" => google("message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"),
        "google/type/datetime.proto" => google(DATETIME),
        "google/type/dayofweek.proto" => google(DAYOFWEEK),
        "google/type/decimal.proto" => google("message Decimal { string value = 1; }"),
        "google/type/fraction.proto" => google("message Fraction { int64 numerator = 1; int64 denominator = 2; }"),
        "google/type/interval.proto" => google(INTERVAL),
        "google/type/latlng.proto" => google("message LatLng { double latitude = 1; double longitude = 2; }"),
        "google/type/money.proto" => {
            google("message Money { string currency_code = 1; int64 units = 2; int32 nanos = 3; }")
        }
        "google/type/month.proto" => google(MONTH),
        "google/type/timeofday.proto" => {
            google("message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }")
        }
        _ => None,
    }
}

const META: &str = r#"import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }"#;

const DATETIME: &str = r#"import "google/protobuf/duration.proto";
message DateTime {
  int32 year = 1; int32 month = 2; int32 day = 3; int32 hours = 4; int32 minutes = 5; int32 seconds = 6; int32 nanos = 7;
  oneof time_offset { google.protobuf.Duration utc_offset = 8; TimeZone time_zone = 9; }
}
message TimeZone { string id = 1; string version = 2; }"#;

const INTERVAL: &str = r#"import "google/protobuf/timestamp.proto";
message Interval { google.protobuf.Timestamp start_time = 1; google.protobuf.Timestamp end_time = 2; }"#;

const DAYOFWEEK: &str =
    "enum DayOfWeek { DAY_OF_WEEK_UNSPECIFIED = 0; MONDAY = 1; TUESDAY = 2; WEDNESDAY = 3; THURSDAY = 4;
  FRIDAY = 5; SATURDAY = 6; SUNDAY = 7; }";

const MONTH: &str =
    "enum Month { MONTH_UNSPECIFIED = 0; JANUARY = 1; FEBRUARY = 2; MARCH = 3; APRIL = 4; MAY = 5; JUNE = 6;
  JULY = 7; AUGUST = 8; SEPTEMBER = 9; OCTOBER = 10; NOVEMBER = 11; DECEMBER = 12; }";
