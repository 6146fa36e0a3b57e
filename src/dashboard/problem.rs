//! Errors as HTTP tells them: `application/problem+json` (RFC 9457), in one place.

use super::auth::GrantError;
use super::log_access::LogAccessError;
use super::serve::TooManyHosts;
use crate::runlog::LogError;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;

/// An answer that says what is wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<Duration>,
}

impl Problem {
    /// With any status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// 400: the request itself is wrong.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: nobody knows who asks.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign in, or send a valid token")
    }

    /// 401: a token that no host has, and what it may be.
    pub(crate) fn unknown_token(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: they may not.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 410: there was such a thing, and it will not come back by itself.
    pub(crate) fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, detail)
    }

    /// 421: sent to a name that is not ours.
    pub(crate) fn misdirected() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this host name is not the dashboard's: use the address in `public_url`, or set `public_url` to this one",
        )
    }

    /// 429: come back after `wait`.
    pub(crate) fn too_many(wait: Duration) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            detail: "too many attempts: wait, then try again".to_owned(),
            retry_after: Some(wait),
        }
    }

    /// 503: not now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500: what happened goes to our log, not to the client.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error of the dashboard: the reason is in its journal",
        )
    }

    /// 404: as for a host that somebody may not see.
    pub(crate) fn no_such_host(id: &str) -> Self {
        Self::not_found(format!(
            "unknown host \"{id}\": create a token for it (page: Access, or agents file)"
        ))
    }

    /// The same, to be asked for again after `wait`.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// What it says.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same with another detail.
    pub(crate) fn because(self, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..self
        }
    }

    /// What the answer's status will be.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            title: &'a str,
            status: u16,
            detail: &'a str,
        }
        let body = Body {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            let value = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        let status = match error {
            GrantError::TwoAlready(_) | GrantError::HasToken(_) => StatusCode::CONFLICT,
            GrantError::NoEnrolment | GrantError::OtherHost(_) => StatusCode::FORBIDDEN,
        };
        Self::new(status, error.to_string())
    }
}

impl From<TooManyHosts> for Problem {
    fn from(error: TooManyHosts) -> Self {
        tracing::warn!("host refused: {error}");
        Self::unavailable(error.to_string())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            other => other,
        };
        Self::new(status, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::not_found("unknown host or run")
    }
}

impl From<LogAccessError> for Problem {
    fn from(error: LogAccessError) -> Self {
        match error {
            LogAccessError::Gone(_) => Self::gone(error.to_string()),
            LogAccessError::Mending(_) | LogAccessError::Ending => {
                Self::unavailable(error.to_string())
            }
            LogAccessError::Log(error) => error.into(),
            LogAccessError::State(error) => Self::internal(&error),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        if error.is_not_found() {
            Self::not_found("this run has no log")
        } else {
            Self::internal(&error)
        }
    }
}

/// The answer to a path that is none.
pub(crate) async fn no_such_path() -> Problem {
    Problem::not_found("unknown path")
}

/// The answer to a method that the path does not have.
pub(crate) async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not allow this method",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_has_title_status_and_detail() {
        let response = Problem::too_many(Duration::from_millis(1500)).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(response.headers()["retry-after"], "2");
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["title"], "Too Many Requests");
        assert_eq!(body["status"], 429);
        assert_eq!(body["detail"], "too many attempts: wait, then try again");
    }

    #[tokio::test]
    async fn what_went_wrong_inside_is_not_told() {
        let response = Problem::internal(&std::io::Error::other("secret")).into_response();
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}
