//! A connection and its options as they were typed, as they are opened, and as they may be written down.

use super::super::scan::name::snake;
use super::super::scan::write::lines;
use kernel::draft;
use kernel::error::{Error, Result};
use serde_json::{Map, Value};

/// Parameters of a URL that are as secret as its password.
const SECRETS: [&str; 4] = ["password", "passwd", "pwd", "sslpassword"];

#[derive(Debug, PartialEq, Eq)]
pub struct Connection {
    pub scheme: String,
    /// With its secrets: for the connector alone.
    pub url: String,
    /// Without them: `${SHOP_PASSWORD}` stands in their place.
    pub written: String,
    /// The variable that has to be set, when one was put in.
    pub variable: Option<String>,
    pub options: Vec<Setting>,
}

/// A further option of the connector.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    /// With its secrets: for the connector alone.
    pub value: Value,
    /// Of a URL: how it is written, without them.
    written: Option<String>,
    /// The variable that has to be set, when one was put in.
    pub variable: Option<String>,
}

impl Connection {
    /// Reads a URL; variables (`${VAR}`) in it are put in, and stay in what is written down.
    pub fn parse(typed: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        // The database in a file is named without slashes, too.
        let file = typed.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(|path| ("sqlite", path));
        let Some((scheme, _)) = typed.split_once("://").or(file) else {
            let detail = "a connection is a URL: `postgres://user:${PASSWORD}@host/database`, `sqlite:data/shop.db`";
            return Err(Error::project("discover", detail));
        };
        let url = put_in("the connection", typed, env)?;
        let (written, variable) = match typed.split_once("://") {
            Some((scheme, rest)) => without_secrets(typed, &variable(scheme, rest)),
            None => (typed.to_owned(), None),
        };
        Ok(Self { scheme: scheme.to_owned(), url, written, variable, options: Vec::new() })
    }

    /// Takes options; a URL among them (a registry's) has its secrets as the connection has.
    pub fn with(mut self, options: &[(String, Value)], env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        // Of one that is given twice, the last counts.
        let options: Map<String, Value> = options.iter().cloned().collect();
        for (name, value) in options {
            let setting = match value.as_str().filter(|text| text.contains("://")) {
                Some(typed) => self.url_setting(name, typed, env)?,
                None => Setting { name, value, written: None, variable: None },
            };
            self.options.push(setting);
        }
        Ok(self)
    }

    fn url_setting(&self, name: String, typed: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Setting> {
        let word = snake(&name).to_ascii_uppercase();
        let variable = format!("{word}_PASSWORD");
        // The connection's password is another.
        let is_taken = self.variable.as_ref() == Some(&variable);
        let variable = if is_taken { format!("{word}_URL_PASSWORD") } else { variable };
        let (written, variable) = without_secrets(typed, &variable);
        let value = put_in(&format!("the option {name}"), typed, env)?.into();
        Ok(Setting { name, value, written: Some(written), variable })
    }

    /// All variables that have to be set.
    pub fn variables(&self) -> impl Iterator<Item = &String> {
        self.variable.iter().chain(self.options.iter().filter_map(|setting| setting.variable.as_ref()))
    }
}

impl Setting {
    /// As a source's file has it. A URL is in quotes, for a variable may stand in it.
    pub fn line(&self) -> String {
        match &self.written {
            Some(written) => format!("{}: {}\n", self.name, Value::from(written.as_str())),
            None => lines(&Map::from_iter([(self.name.clone(), self.value.clone())])),
        }
    }
}

/// A text with its variables put in.
fn put_in(what: &str, typed: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let yaml = format!("text: {}", Value::from(typed));
    let draft = draft::read::<Map<String, Value>>(what, &yaml, env).map_err(|faults| {
        let told: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        Error::project(format!("read {what}"), told.join("; "))
    })?;
    Ok(draft.value["text"].as_str().unwrap_or_default().to_owned())
}

/// A URL with a variable in the place of its password, and that variable; one that has a variable there stays as it is.
fn without_secrets(typed: &str, variable: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = typed.split_once("://") else { return (typed.to_owned(), None) };
    let put = format!("${{{variable}}}");
    let mut is_put = false;
    let mut hide = |secret: &str| {
        if secret.is_empty() || secret.starts_with("${") {
            return secret.to_owned();
        }
        is_put = true;
        put.clone()
    };
    // A password may hold any sign that nobody escaped: the last `@` ends it.
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let user = user.map(|user| match user.split_once(':') {
        Some((user, password)) => format!("{user}:{}@", hide(password)),
        None => format!("{user}@"),
    });
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let query = query.map(|query| {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, value)) if SECRETS.contains(&name.to_ascii_lowercase().as_str()) => {
                format!("{name}={}", hide(value))
            }
            _ => pair.to_owned(),
        });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    let written = format!("{scheme}://{}{place}{}", user.unwrap_or_default(), query.unwrap_or_default());
    (written, is_put.then(|| variable.to_owned()))
}

/// `SHOP_PASSWORD` of a database `shop`; without one, after its host.
fn variable(scheme: &str, rest: &str) -> String {
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split('?').next().unwrap_or_default();
    let (host, database) = place.split_once('/').unwrap_or((place, ""));
    let host = host.split(':').next().unwrap_or_default();
    let name = [database, host, scheme].into_iter().find(|name| !name.is_empty()).unwrap_or(scheme);
    let name = snake(&name.replace(['-', '.', '/', ',', ' '], "_")).to_ascii_uppercase();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("DB_{name}_PASSWORD"),
        false => format!("{name}_PASSWORD"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_used_and_not_written() {
        for (typed, written, variable) in [
            ("postgres://u:s3cret@db/shop", "postgres://u:${SHOP_PASSWORD}@db/shop", Some("SHOP_PASSWORD")),
            ("mysql://u:s3/cr@t@db:3306", "mysql://u:${DB_PASSWORD}@db:3306", Some("DB_PASSWORD")),
            ("postgres://u@db/shop", "postgres://u@db/shop", None),
            ("postgres://u:${PGPASSWORD}@db/shop", "postgres://u:${PGPASSWORD}@db/shop", None),
            (
                "postgres://db/my-shop?user=u&password=s3cret",
                "postgres://db/my-shop?user=u&password=${MY_SHOP_PASSWORD}",
                Some("MY_SHOP_PASSWORD"),
            ),
            ("kafka://10.0.0.1:9092", "kafka://10.0.0.1:9092", None),
            ("sqlite:data/shop.db", "sqlite:data/shop.db", None),
        ] {
            let env = |name: &str| (name == "PGPASSWORD").then(|| "s3cret".to_owned());
            let connection = Connection::parse(typed, &env).expect("a connection");
            assert_eq!(connection.written, written);
            assert_eq!(connection.variable.as_deref(), variable, "{typed}");
            assert_eq!(connection.url, typed.replace("${PGPASSWORD}", "s3cret"));
        }
    }

    #[test]
    fn a_password_in_an_option_is_used_and_not_written() {
        let env = |name: &str| (name == "REG").then(|| "s3cret".to_owned());
        let with = |url: &str, name: &str, value: Value| {
            let connection = Connection::parse(url, &env).expect("a connection");
            connection.with(&[(name.to_owned(), value)], &env).expect("an option")
        };
        for (typed, line, variable) in [
            ("https://u:s3cret@reg.acme", "registry: \"https://u:${REGISTRY_PASSWORD}@reg.acme\"\n", true),
            ("https://u:${REG}@reg.acme", "registry: \"https://u:${REG}@reg.acme\"\n", false),
            ("https://reg.acme", "registry: \"https://reg.acme\"\n", false),
        ] {
            let connection = with("kafka://host:9092", "registry", typed.into());
            let setting = connection.options.first().expect("the option");
            assert_eq!(setting.line(), line);
            assert_eq!(setting.value, typed.replace("${REG}", "s3cret"), "the connector is given the password");
            assert_eq!(connection.variables().any(|variable| variable == "REGISTRY_PASSWORD"), variable, "{typed}");
        }
        let both = with("kafka://u:one@registry:9092", "registry", "https://u:other@registry".into());
        let variables: Vec<&String> = both.variables().collect();
        assert_eq!(variables, ["REGISTRY_PASSWORD", "REGISTRY_URL_PASSWORD"], "two passwords are two variables");
        assert_eq!(with("kafka://host:9092", "timeout_ms", 5.into()).options[0].line(), "timeout_ms: 5\n");
        assert_eq!(with("kafka://host:9092", "format", "avro".into()).options[0].line(), "format: avro\n");
    }

    #[test]
    fn what_is_no_url_or_lacks_its_variable_is_told() {
        let told = |typed: &str| Connection::parse(typed, &|_| None).expect_err("no connection").to_string();
        assert!(told("db").contains("a connection is a URL"));
        assert!(told("postgres://u:${NOT_SET}@db").contains("`NOT_SET` is not set"));
    }
}
