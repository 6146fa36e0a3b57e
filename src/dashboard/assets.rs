//! The page: the files of `web/`, part of the program.

use super::problem::{Problem, no_such_path};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Path, content, and the same compressed with gzip.
static FILES: &[(&str, &[u8], &[u8])] = include!(concat!(env!("OUT_DIR"), "/web.rs"));

static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| {
    let asset = |(path, content, gzip): &(&'static str, &'static [u8], &'static [u8])| {
        let digest = Sha256::digest(content);
        let tag: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
        let asset = Asset {
            content,
            // What grows by it, or hardly shrinks, is sent as it is.
            gzip: (gzip.len() + 64 < content.len()).then_some(*gzip),
            kind: kind(path),
            // Weak: both forms of the content have the same one.
            tag: format!("W/\"{tag}\""),
        };
        (*path, asset)
    };
    FILES.iter().map(asset).collect()
});

/// Changes with any file of the page, so that an open page can see that it is an old one.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (path, content, _) in FILES {
        digest.update(path.len().to_le_bytes());
        digest.update(path);
        digest.update(content.len().to_le_bytes());
        digest.update(content);
    }
    let digest = digest.finalize();
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
});

/// The version of the page.
pub(super) fn version() -> &'static str {
    &VERSION
}

struct Asset {
    content: &'static [u8],
    gzip: Option<&'static [u8]>,
    kind: &'static str,
    tag: String,
}

/// The one page, which finds out from the path what to show.
pub(crate) async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    answer("/index.html", &headers).await
}

/// Any file of the page. A browser that opens a path that is none gets the page, which says so, with 404; programs get
/// a problem as JSON.
pub(crate) async fn file(uri: Uri, mut headers: HeaderMap) -> Result<Response, Problem> {
    let path = uri.path();
    if ASSETS.contains_key(path) || path.starts_with("/api/") || !opens_page(&headers) {
        return answer(path, &headers).await;
    }
    // The page may be known to the browser; that there is nothing at this path is said in full.
    headers.remove(header::IF_NONE_MATCH);
    let mut page = answer("/index.html", &headers).await?;
    *page.status_mut() = StatusCode::NOT_FOUND;
    Ok(page)
}

/// Whether the client wants something for a person to read, as a browser does that opens an address.
fn opens_page(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}

async fn answer(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let Some(asset) = ASSETS.get(path) else {
        return Err(no_such_path().await);
    };
    let common = [
        (header::ETAG, asset.tag.as_str()),
        // Asked for anew each time, answered with 304: page and program are always of one version.
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Accept-Encoding"),
    ];
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| {
            tag.trim_start_matches("W/") == asset.tag.trim_start_matches("W/") || tag == "*"
        });
    if known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let kind = [(header::CONTENT_TYPE, asset.kind)];
    Ok(match asset.gzip {
        Some(gzip) if takes_gzip(headers) => {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            (common, kind, encoding, gzip).into_response()
        }
        _ => (common, kind, asset.content).into_response(),
    })
}

/// Whether the client has named gzip, and not to refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.split(';').map(str::trim))
        .any(|mut coding| {
            let named = coding.next() == Some("gzip");
            named
                && !coding.any(|weight| {
                    weight
                        .strip_prefix("q=")
                        .is_some_and(|q| q.parse() == Ok(0.0))
                })
        })
}

/// Puts on an answer what keeps a page from doing what ours never does.
pub(crate) fn secure(headers: &mut HeaderMap, behind_tls: bool) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
        connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
        frame-ancestors 'none'";
    const NOTHING: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
        magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=()";
    let always: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("permissions-policy"), NOTHING),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if behind_tls {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, kind)| kind) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_is_sent_once_and_then_known() {
        let first = page(HeaderMap::new()).await.unwrap();
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()["content-type"], "text/html; charset=utf-8");
        let tag = first.headers()["etag"].clone();
        let body = axum::body::to_bytes(first.into_body(), 1 << 20)
            .await
            .unwrap();
        assert!(body.starts_with(b"<!doctype html>"));
        let mut again = HeaderMap::new();
        again.insert("if-none-match", tag);
        assert_eq!(page(again).await.unwrap().status(), 304);
    }

    #[tokio::test]
    async fn a_client_that_takes_gzip_gets_it() {
        let script = Uri::from_static("/view/app.js");
        for (accept, gzip) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("gzip;q=0, identity", false),
            ("br", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept-encoding", HeaderValue::from_static(accept));
            let answer = file(script.clone(), headers).await.unwrap();
            let encoding = answer.headers().get("content-encoding").cloned();
            assert_eq!(
                encoding,
                gzip.then(|| HeaderValue::from_static("gzip")),
                "{accept}"
            );
            assert_eq!(answer.headers()["vary"], "Accept-Encoding");
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
                .await
                .unwrap();
            assert_eq!(body.starts_with(&[0x1f, 0x8b]), gzip, "{accept}");
        }
    }

    #[tokio::test]
    async fn a_browser_at_an_unknown_path_gets_the_page_with_404_and_a_program_gets_json() {
        let open = |path: &'static str, accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("accept", HeaderValue::from_static(accept));
            headers.insert("if-none-match", HeaderValue::from_static("*"));
            file(Uri::from_static(path), headers)
        };
        let shown = open("/nope", "text/html,*/*;q=0.8").await.unwrap();
        assert_eq!(shown.status(), 404);
        assert_eq!(shown.headers()["content-type"], "text/html; charset=utf-8");
        for (path, accept) in [
            ("/nope", "*/*"),
            ("/api/nope", "text/html"),
            ("/nope.js", "*/*"),
        ] {
            assert!(open(path, accept).await.is_err(), "{path} {accept}");
        }
    }

    #[test]
    fn what_is_loaded_with_the_page_is_under_115_kb_compressed() {
        let (_, page, _) = FILES
            .iter()
            .find(|(path, ..)| *path == "/index.html")
            .unwrap();
        let page = std::str::from_utf8(page).unwrap();
        // What is not named in it is loaded when somebody opens the place that needs it.
        let is_loaded = |path: &str| path == "/index.html" || page.contains(&format!("\"{path}\""));
        let loaded = FILES.iter().filter(|(path, ..)| is_loaded(path));
        let sizes = loaded.map(|(_, plain, gzip)| gzip.len().min(plain.len()));
        let sizes: Vec<_> = sizes.collect();
        let size: usize = sizes.iter().sum();
        assert!(sizes.len() > 50, "{} files", sizes.len());
        assert!(size < 115_000, "{size} bytes");
    }

    #[tokio::test]
    async fn what_is_no_file_of_the_page_is_not_found() {
        for path in [
            "/nothing.js",
            "/../Cargo.toml",
            "/index.html/",
            "//index.html",
        ] {
            let uri = Uri::try_from(path).unwrap();
            assert_eq!(
                file(uri, HeaderMap::new()).await.unwrap_err().status(),
                404,
                "{path}"
            );
        }
    }
}
