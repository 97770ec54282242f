//! TLS as clients of databases ask for it: whether there is any, and how much of the server's certificate must be right.

use kernel::error::{Error, Result, io};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is said of a connection that ended in the middle.
pub const CLOSED: &str = "the server, or something on the way to it, closed the connection";

/// What tokio's codecs say of a message of which the end is missing; it has no kind of its own.
const CUT_SHORT: &str = "bytes remaining on stream";

/// Why a connection broke. Of one that ended without TLS's own end rustls tells a link for programmers.
pub fn broken(error: &std::io::Error) -> String {
    let text = error.to_string();
    match error.kind() == std::io::ErrorKind::UnexpectedEof || text == CUT_SHORT {
        true => CLOSED.to_owned(),
        false => text,
    }
}

/// How much of a server's certificate must be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Nothing: it keeps those out who only listen.
    Nothing,
    /// Somebody who is trusted must have signed it.
    Chain,
    /// And it must be for the host that was called.
    Host,
}

/// What else a client's TLS is made of.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// PEM of those who are trusted. Without it, those whom browsers trust.
    pub roots: Option<PathBuf>,
    /// PEM of the client's own certificate and of its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The configuration of a client.
pub fn client_config(verify: Verify, files: &Files) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let fault = |e: rustls::Error| Error::project("set up TLS", &e);
    let verifier: Arc<dyn ServerCertVerifier> = match verify {
        Verify::Nothing => Arc::new(Lenient { provider: provider.clone(), chain: None }),
        Verify::Chain | Verify::Host => {
            let roots = Arc::new(roots(files.roots.as_deref())?);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            let chain = chain.map_err(|e| Error::project("set up TLS", &e))?;
            match verify {
                Verify::Host => chain,
                _ => Arc::new(Lenient { provider: provider.clone(), chain: Some(chain) }),
            }
        }
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(fault)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match &files.own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| not_pem(key, &e))?;
            builder.with_client_auth_cert(chain, key).map_err(fault)
        }
    }
}

fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|e| Error::project(format!("read {}", file.display()), &e))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = std::fs::read(file).map_err(|e| io(format!("read {}", file.display()), e))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|e| not_pem(file, &e))?;
    match all.is_empty() {
        true => Err(Error::project(format!("read {}", file.display()), "it holds no certificate in PEM")),
        false => Ok(all),
    }
}

fn not_pem(file: &Path, error: &rustls::pki_types::pem::Error) -> Error {
    Error::project(format!("read {}", file.display()), format!("it is no PEM file: {error}"))
}

/// Lets a certificate be for another host, or be anybody's.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last.
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_verify_makes_a_client() {
        for verify in [Verify::Nothing, Verify::Chain, Verify::Host] {
            client_config(verify, &Files::default()).expect("a client");
        }
    }

    #[test]
    fn a_connection_that_ended_is_told_in_words_of_users() {
        let linked = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "close_notify: https://docs.rs/rustls");
        assert_eq!([broken(&linked), broken(&std::io::Error::other(CUT_SHORT))], [CLOSED, CLOSED]);
        let other = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(broken(&other), other.to_string());
    }

    #[test]
    fn a_file_without_a_certificate_is_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let files = Files { roots: Some(file.path().into()), own: None };
        let told = client_config(Verify::Host, &files).expect_err("no roots");
        assert!(told.to_string().contains("no certificate in PEM"), "{told}");
    }
}
