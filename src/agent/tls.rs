//! Whom the agent trusts to be the dashboard, and why it does not.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many names of a certificate are shown.
const MAX_NAMES: usize = 10;

/// Why there is no TLS with the dashboard.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("cannot use ca_file {}: {problem}; it must contain certificates in PEM", path.display())]
    Authority { path: PathBuf, problem: String },
    #[error("this system has no root certificates; install them, or set ca_file")]
    NoRoots,
    #[error(
        "the dashboard's certificate is not trusted: none of this system's roots signed it; set ca_file to the certificate of the authority that signed it or, if that is an intermediate one, configure the server to send the whole chain (fullchain.pem)"
    )]
    UnknownIssuer,
    #[error(
        "the dashboard's certificate is not trusted: neither one of this system's roots nor an authority in ca_file {} signed it; put the certificate of the authority that signed it into that file or, if that is an intermediate one, configure the server to send the whole chain (fullchain.pem)",
        .0.display()
    )]
    IssuerNotInFile(PathBuf),
    #[error(
        "the dashboard's certificate is not trusted: no authority in ca_file {} signed it, and the system's roots are not used (system_roots = false); put the certificate of the authority that signed it into that file or, if that is an intermediate one, configure the server to send the whole chain (fullchain.pem)",
        .0.display()
    )]
    IssuerNotInFileAlone(PathBuf),
    #[error(
        "the dashboard's certificate is that of an authority and cannot be a server's; make a certificate for {host} without CA:TRUE, sign it with this authority, and set ca_file to the authority's certificate"
    )]
    IsAuthority { host: String },
    #[error(
        "the dashboard's certificate names no host in subjectAltName, and its common name is not used; make a certificate with subjectAltName=DNS:{host}"
    )]
    NoNames { host: String },
    #[error(
        "the dashboard's certificate is not for {host}; correct `dashboard`, or make a certificate for that name; this one is for {}",
        names.join(", ")
    )]
    OtherNames { host: String, names: Vec<String> },
    #[error(
        "the dashboard's certificate is not valid at the time of this host; renew it, or correct the host's clock: it expired on {until}, and the clock says {now}"
    )]
    Expired { until: String, now: String },
    #[error(
        "the dashboard's certificate is not valid at the time of this host; correct the host's clock: it says {now}, and the certificate begins on {from}"
    )]
    NotYet { from: String, now: String },
    #[error("the host name in `dashboard` cannot have a certificate: {0}")]
    Name(rustls::pki_types::InvalidDnsNameError),
    #[error(
        "the dashboard's certificate is not for {host}; correct `dashboard`, or make a certificate for that name"
    )]
    OtherName { host: String },
    #[error(
        "the dashboard's certificate is not valid at the time of this host; renew it, or correct the host's clock"
    )]
    OtherTime,
    #[error(
        "the dashboard's certificate has no extensions (X.509 version 1), so it names no host; make a certificate with subjectAltName=DNS:{host} (with `openssl x509 -req`, add -extfile or -copy_extensions)"
    )]
    NoExtensions { host: String },
    #[error(
        "the dashboard's certificate cannot be used: {problem}; make another one with subjectAltName=DNS:{host}, signed by the authority in ca_file or a public one"
    )]
    Unusable { problem: String, host: String },
    #[error(
        "the server at that address does not speak TLS; correct the address or the port in `dashboard`"
    )]
    NoTls,
    #[error("TLS cannot be set up: {0}")]
    SetUp(#[from] rustls::Error),
}

impl TlsError {
    /// What a failed handshake with `host` means, if TLS itself is the reason.
    pub(super) fn of(error: &io::Error, host: &str, trust: Trust<'_>) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let certificate = match error {
            rustls::Error::InvalidCertificate(certificate) => certificate,
            rustls::Error::InvalidMessage(_) => return Some(Self::NoTls),
            other => return Some(Self::SetUp(other.clone())),
        };
        Some(match certificate {
            // The signature is bad where the authority was made anew with the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                match (trust.ca_file.map(Path::to_owned), trust.system_roots) {
                    (None, _) => Self::UnknownIssuer,
                    (Some(path), true) => Self::IssuerNotInFile(path),
                    (Some(path), false) => Self::IssuerNotInFileAlone(path),
                }
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let host = host.to_owned();
                if presented.is_empty() {
                    Self::NoNames { host }
                } else {
                    let names = presented.iter().take(MAX_NAMES).cloned().collect();
                    Self::OtherNames { host, names }
                }
            }
            CertificateError::NotValidForName => Self::OtherName {
                host: host.to_owned(),
            },
            CertificateError::ExpiredContext { time, not_after } => Self::Expired {
                until: date(not_after),
                now: date(time),
            },
            CertificateError::NotValidYetContext { time, not_before } => Self::NotYet {
                from: date(not_before),
                now: date(time),
            },
            CertificateError::Expired | CertificateError::NotValidYet => Self::OtherTime,
            other => Self::of_form(other, host),
        })
    }
}

/// What is wrong with the form of a certificate, in words; `None` where the verifier has a name for it alone.
fn form_in_words(error: &webpki::Error) -> Option<&'static str> {
    use webpki::Error;
    Some(match error {
        Error::EndEntityUsedAsCa => {
            "it is signed by a certificate that is not an authority's (it lacks CA:TRUE)"
        }
        Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => {
            "there are more authorities between it and the root than that allows (pathlen)"
        }
        Error::NameConstraintViolation => {
            "its authority may sign only for other names (nameConstraints)"
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            "it is not made for servers (extendedKeyUsage lacks serverAuth)"
        }
        Error::UnsupportedCriticalExtension => "it has an unknown critical extension",
        Error::InvalidCertValidity => "it ends before it begins",
        Error::InvalidSerialNumber => "its serial number is not valid",
        Error::BadDer
        | Error::BadDerTime
        | Error::TrailingData(_)
        | Error::ExtensionValueInvalid
        | Error::MalformedExtensions => "its encoding is not valid X.509",
        _ => return None,
    })
}

impl TlsError {
    /// What is wrong with the certificate of `host` itself: not who signed it, nor for whom and when it is.
    fn of_form(error: &CertificateError, host: &str) -> Self {
        let of_verifier = match error {
            CertificateError::Other(OtherError(other)) => other.downcast_ref::<webpki::Error>(),
            _ => None,
        };
        let host = host.to_owned();
        match (of_verifier, error) {
            (Some(webpki::Error::CaUsedAsEndEntity), _) => Self::IsAuthority { host },
            (Some(webpki::Error::UnsupportedCertVersion), _) => Self::NoExtensions { host },
            (Some(other), _) => Self::Unusable {
                problem: form_in_words(other).map_or_else(|| format!("{other:?}"), str::to_owned),
                host,
            },
            (
                None,
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            ) => {
                let problem =
                    "it is not made for servers (extendedKeyUsage lacks serverAuth)".to_owned();
                Self::Unusable { problem, host }
            }
            (None, CertificateError::BadEncoding) => Self::Unusable {
                problem: "its encoding is not valid X.509".to_owned(),
                host,
            },
            (None, CertificateError::UnhandledCriticalExtension) => Self::Unusable {
                problem: "it has an unknown critical extension".to_owned(),
                host,
            },
            (None, other) => Self::Unusable {
                problem: other.to_string(),
                host,
            },
        }
    }
}

/// In UTC, to the minute.
fn date(time: &UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(
        || format!("{seconds} s after 1970"),
        |time| time.format("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// Whom the agent trusts to be the dashboard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust<'a> {
    /// Authorities of one's own.
    pub(super) ca_file: Option<&'a Path>,
    /// Whether those of the system are trusted, too.
    pub(super) system_roots: bool,
}

/// Trusts the system's roots, unless they are left out, and those of `ca_file`. They are read anew each time, as both
/// may change.
pub(super) fn client_config(trust: Trust<'_>) -> Result<ClientConfig, TlsError> {
    let Trust {
        ca_file,
        system_roots,
    } = trust;
    let mut roots = RootCertStore::empty();
    if system_roots {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = ca_file {
        let bad = |problem: String| TlsError::Authority {
            path: path.to_owned(),
            problem,
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| bad(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(bad("it contains no certificate".to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        use webpki::Error;
        let trust = Trust {
            ca_file: None,
            system_roots: true,
        };
        for error in [
            Error::CaUsedAsEndEntity,
            Error::UnsupportedCertVersion,
            Error::EndEntityUsedAsCa,
            Error::PathLenConstraintViolated,
            Error::NameConstraintViolation,
            Error::EmptyEkuExtension,
            Error::UnsupportedCriticalExtension,
            Error::InvalidCertValidity,
            Error::InvalidSerialNumber,
            Error::ExtensionValueInvalid,
        ] {
            let name = format!("{error:?}");
            let error = CertificateError::Other(OtherError(Arc::new(error)));
            let error = io::Error::other(rustls::Error::InvalidCertificate(error));
            let words = TlsError::of(&error, "fleet.example.org", trust)
                .unwrap()
                .to_string();
            assert!(
                !words.contains(&name) && !words.contains("Error"),
                "{words}"
            );
            assert!(
                words.contains("make a certificate") || words.contains("make another one"),
                "{words}"
            );
        }
    }
}
