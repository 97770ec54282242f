//! Where an environment's keys are: the path of a key file, or the URL of a key in a system that keeps keys.

use super::{aws, azure, gcp, vault};
use kernel::suggest;

/// What `keys:` says, understood.
pub enum Place {
    File(String),
    System(System),
}

pub enum System {
    Vault(vault::Address),
    Aws(aws::Address),
    Azure(azure::Address),
    Google(gcp::Address),
}

const SCHEMES: [&str; 5] = ["vault", "vault+http", "aws-kms", "azure-kv", "gcp-kms"];

impl Place {
    /// Reads it without opening anything. An error says what is wrong and what to write, and quotes nothing but the scheme:
    /// a URL may hold what should not have been there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::File(text.to_owned())) };
        let system = match scheme {
            "vault" => System::Vault(vault::Address::parse("https", rest)?),
            "vault+http" => System::Vault(vault::Address::parse("http", rest)?),
            "aws-kms" => System::Aws(aws::Address::parse(rest)?),
            "azure-kv" => System::Azure(azure::Address::parse(rest)?),
            "gcp-kms" => System::Google(gcp::Address::parse(rest)?),
            _ => {
                let hint = suggest::hint(scheme, SCHEMES).unwrap_or_default();
                return Err(format!(
                    "it can be the path of a key file, or a URL of one of these: {}; {hint}",
                    SCHEMES.join(", ")
                ));
            }
        };
        Ok(Self::System(system))
    }
}

/// Names with their values.
pub(super) type Options<'a> = Vec<(&'a str, &'a str)>;

/// What stands before `?` of an address, and its options, of which only `known` may be.
pub(super) fn options<'a>(rest: &'a str, known: &[&str]) -> Result<(&'a str, Options<'a>), String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let options: Options = pairs.collect();
    match options.iter().find(|(name, value)| !known.contains(name) || value.is_empty()) {
        None => Ok((path, options)),
        Some(_) if known.is_empty() => Err("it has no options behind `?`".into()),
        Some(_) => Err(format!("the options behind `?` are {}, each with a value", known.join(", "))),
    }
}

/// An endpoint other than the system's own. In the clear only on this machine: the secrets themselves go over it.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|_| "its endpoint is no URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no credentials in a URL: they come from the environment".into());
    }
    let is_own_machine = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("its endpoint has no host".into()),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_own_machine => {}
        "http" => return Err("keys never go over the network in the clear: http is for this machine only".into()),
        _ => return Err("its endpoint must be https://".into()),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A name in a path: letters, digits, `-`, `_` and `.`, so that nothing can lead elsewhere.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text != "." && text != ".." && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Place::parse(text).map(|_| ()).err().unwrap_or_default()
    }

    #[test]
    fn every_system_has_its_url() {
        for good in [
            "vault://vault:8200/transit/lavra",
            "vault://vault.acme.example/team/transit/lavra",
            "vault+http://127.0.0.1:8200/transit/lavra",
            "aws-kms://arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "aws-kms://alias/lavra?region=sa-east-1&endpoint=http://127.0.0.1:5000",
            "azure-kv://acme.vault.azure.net/lavra",
            "gcp-kms://projects/p/locations/global/keyRings/r/cryptoKeys/lavra",
        ] {
            assert_eq!(fault(good), "", "{good}");
            assert!(matches!(Place::parse(good), Ok(Place::System(_))));
        }
        assert!(matches!(Place::parse(".lavra/keys.json"), Ok(Place::File(path)) if path == ".lavra/keys.json"));
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_is_quoted() {
        for (bad, told) in [
            ("valt://host/transit/lavra", "did you mean `vault`?"),
            ("s3://bucket/keys.json", "the path of a key file"),
            ("vault://SECRET@host/transit/lavra", "environment"),
            ("vault://host:8200/transit", "vault://HOST:8200/transit/KEY"),
            ("vault+http://vault.acme.example/transit/lavra", "in the clear"),
            ("vault://host/transit/../lavra", "vault://HOST:8200/transit/KEY"),
            ("aws-kms://?region=sa-east-1", "aws-kms://"),
            ("aws-kms://alias/lavra?regoin=SECRET", "region, endpoint"),
            ("aws-kms://alias/lavra?endpoint=http://kms.acme.example", "in the clear"),
            ("azure-kv://evil.example/SECRET", "vault.azure.net"),
            ("azure-kv://acme.vault.azure.net", "azure-kv://"),
            ("gcp-kms://projects/p", "gcp-kms://projects/"),
        ] {
            let fault = fault(bad);
            assert!(fault.contains(told) && !fault.contains("SECRET"), "{bad}: {fault}");
        }
    }
}
