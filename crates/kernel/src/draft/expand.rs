//! `${VAR}` and `${VAR:-default}` in values.

use super::Env;

/// A value's text with its variables put in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// There is nothing to put in.
    AsWritten,
    Value(String),
    /// What is wrong, one sentence for each reference, with the reference as written.
    Faults(Vec<(String, String)>),
}

/// Puts variables in. `$${` stands for `${` itself. A variable that is unset or empty needs a default: that an empty
/// password or host is meant has to be said, as `${VAR:-}`.
pub(super) fn expand(text: &str, env: Env) -> Expanded {
    if !text.contains("${") {
        return Expanded::AsWritten;
    }
    let (mut out, mut faults, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(kept) = before.strip_suffix('$') {
            out.push_str(kept);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let Some((inner, after)) = from[2..].split_once('}') else {
            faults.push((from.into(), "`${` has no closing `}`".into()));
            break;
        };
        match value(inner, env) {
            Ok(value) => out.push_str(&value),
            Err(why) => faults.push((format!("${{{inner}}}"), why)),
        }
        rest = after;
    }
    out.push_str(rest);
    if faults.is_empty() { Expanded::Value(out) } else { Expanded::Faults(faults) }
}

fn value(inner: &str, env: Env) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let good = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        return Err(format!("`{name}` can't be the name of a variable"));
    }
    match (env(name).filter(|value| !value.is_empty()), default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.into()),
        (None, None) => Err(format!("the variable `{name}` is not set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("db".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_put_in_and_defaults_fill_gaps() {
        let value = |text| match expand(text, &env) {
            Expanded::Value(value) => value,
            other => format!("{other:?}"),
        };
        assert_eq!(value("postgres://${HOST}:${PORT:-5432}/x"), "postgres://db:5432/x");
        assert_eq!(value("${EMPTY:-x}${NONE:-}"), "x");
        assert_eq!(value("$${HOST} costs $5"), "${HOST} costs $5");
        assert_eq!(expand("$5 and }", &env), Expanded::AsWritten);
    }

    #[test]
    fn every_variable_without_a_value_is_named() {
        let Expanded::Faults(faults) = expand("${A}/${EMPTY}/${2x}/${open", &env) else { unreachable!() };
        let shown: Vec<&str> = faults.iter().map(|(written, _)| written.as_str()).collect();
        assert_eq!(shown, ["${A}", "${EMPTY}", "${2x}", "${open"]);
    }
}
