//! The changes that break readers, under the names that the API has for them, and in words.

/// The rules whose change passes when a subject's policy is `LENIENT`: what an open object may hold is not looked at.
pub const LENIENT: [&str; 9] = [
    "ADDITIONAL_PROPERTIES_NARROWED",
    "ADDITIONAL_PROPERTIES_REMOVED",
    "UNEVALUATED_PROPERTIES_NARROWED",
    "UNEVALUATED_PROPERTIES_REMOVED",
    "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
    "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
    "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
    "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
];

/// A rule in words.
pub fn why(rule: &str) -> &'static str {
    match rule {
        "TYPE_CHANGED" => "{reader} wants another type than {writer}",
        "TYPE_NARROWED" => "{reader} wants whole numbers, {writer} allows any",
        "SCHEMA_ADDED" => "{reader} demands something here, {writer} nothing",
        "CONDITION_CHANGED" => "`if`, `then` or `else` differ",
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" => {
            "{writer} may hold this property, {reader} neither names it nor takes unknown ones"
        }
        "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "{reader} does not name this property of {writer} and takes unknown ones of another type only"
        }
        "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" | "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" => {
            "{reader} requires this property and has no default for it, {writer} does not know it"
        }
        "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL"
        | "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" => {
            "{writer} takes unknown properties, so it may have written anything under the name that {reader} now has a \
             type for; with `additionalProperties: false` in {writer} it could be added"
        }
        "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "{writer} takes unknown properties of another type than {reader} wants here"
        }
        "REQUIRED_ATTRIBUTE_ADDED" => "{reader} requires this property and has no default for it, {writer} does not",
        "ADDITIONAL_PROPERTIES_REMOVED" | "UNEVALUATED_PROPERTIES_REMOVED" => {
            "{writer} takes unknown properties, {reader} does not"
        }
        "ADDITIONAL_PROPERTIES_NARROWED" | "UNEVALUATED_PROPERTIES_NARROWED" => {
            "{writer} takes unknown properties of any type, {reader} only some"
        }
        "ADDITIONAL_ITEMS_REMOVED" | "UNEVALUATED_ITEMS_REMOVED" => "{writer} takes more items, {reader} does not",
        "ADDITIONAL_ITEMS_NARROWED" | "UNEVALUATED_ITEMS_NARROWED" => {
            "{writer} takes more items of any type, {reader} only some"
        }
        "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL" => "{writer} has this item, {reader} has fewer and takes no more",
        "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "{reader} does not name this item of {writer} and takes more items of another type only"
        }
        "ITEM_ADDED_TO_OPEN_CONTENT_MODEL" => "{writer} takes any item here, {reader} only some",
        "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "{writer} takes items of another type here than {reader} wants"
        }
        "DEPENDENCY_ARRAY_ADDED" | "DEPENDENCY_SCHEMA_ADDED" => "{reader} has a dependency that {writer} lacks",
        "DEPENDENCY_ARRAY_EXTENDED" => "{reader} requires more beside this property than {writer}",
        "DEPENDENCY_ARRAY_CHANGED" => "{reader} requires others beside this property than {writer}",
        "ENUM_ARRAY_NARROWED" => "{reader} lacks values that {writer} allows",
        "ENUM_ARRAY_CHANGED" => "{reader} allows other values than {writer}",
        "COMBINED_TYPE_CHANGED" => "{reader} combines schemas in another way than {writer}",
        "PRODUCT_TYPE_EXTENDED" => "{reader} demands more than {writer}",
        "SUM_TYPE_NARROWED" => "{reader} has fewer choices than {writer}",
        "COMBINED_TYPE_SUBSCHEMAS_CHANGED" => "no choice of {reader} goes with each one of {writer}",
        "NOT_TYPE_EXTENDED" => "{reader} excludes more than {writer}",
        "MULTIPLE_OF_EXPANDED" => "{reader} allows fewer multiples than {writer}",
        "MULTIPLE_OF_CHANGED" => "{reader} allows other multiples than {writer}",
        "TOO_COMPLEX" => "the two schemas are too large and too interwoven to be compared",
        rule if rule.ends_with("_ADDED") => "{reader} has a bound here that {writer} lacks",
        rule if rule.ends_with("_INCREASED") => "the bound of {reader} is greater than that of {writer}",
        rule if rule.ends_with("_DECREASED") => "the bound of {reader} is less than that of {writer}",
        rule if rule.ends_with("_CHANGED") => "{reader} differs from {writer} here",
        _ => "{reader} does not take all that {writer} allows",
    }
}
