//! What requests carry, with our own errors where it is not right.

use super::app::App;
use super::auth::Identity;
use super::cpu_permits::CpuPermits;
use super::live::Share;
use super::problem::Problem;
use super::rates::{REQUEST, Who};
use axum::Json;
use axum::body::{Bytes, HttpBody};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A value written as a JSON object. Serde also takes a list for a struct, by the order of its fields, which nobody
/// who sends a request knows.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// How long the body of a request may take.
const BODY_WITHIN: Duration = Duration::from_secs(15);

/// Longest body that may be left out, in bytes; it holds a password at most.
const MAX_OPTIONAL_BYTES: usize = 64 * 1024;

/// Longest body that needs no place among the long ones and is parsed at once, in bytes.
const FREE_BYTES: usize = 64 * 1024;

/// So many bytes of a long body count as one more request.
const BYTES_A_REQUEST: usize = 8 * 1024;

/// A body of `application/json`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = tokio::time::timeout(BODY_WITHIN, Json::from_request(request, state));
        let Ok(body) = body.await else {
            return Err(too_slow());
        };
        let Json(Object(value)) = body?;
        Ok(Self(value))
    }
}

/// A body of `application/json` that may be far longer than others. Few long ones of a user are in memory at a time, and
/// each is charged by its bytes before it is parsed.
pub(crate) struct LongBody<T> {
    pub(crate) value: T,
    /// To be an extension of the answer, which keeps it until the answer was taken.
    pub(crate) place: Option<LongBodyPlace>,
}

/// The place that a long body has among those of its user, until the last of these is dropped.
#[derive(Clone)]
pub(crate) struct LongBodyPlace {
    /// Without it, the next one would be counted anew.
    _share: Arc<Share>,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for LongBody<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let longest = HttpBody::size_hint(request.body()).upper();
        let is_short = longest.is_some_and(|bytes| bytes <= FREE_BYTES as u64);
        let identity = request.extensions().get::<Identity>().cloned();
        let place = match &identity {
            Some(identity) if !is_short => Some(place_of(app, identity).await?),
            _ => None,
        };
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let Ok(bytes) = timeout(BODY_WITHIN, Bytes::from_request(request, app)).await else {
            return Err(too_slow());
        };
        let bytes = bytes.map_err(JsonRejection::from)?;
        if let Some(identity) = &identity {
            let who = Who::User(identity.name.clone());
            app.rates.spend(&who, more_for(bytes.len()), Instant::now());
        }
        let is_long = bytes.len() > FREE_BYTES;
        let parsing = Json::from_request(Request::from_parts(parts, bytes.into()), app);
        let Json(Object(value)) = if is_long {
            let _processor = CpuPermits::of_machine().acquire().await;
            // It takes milliseconds, and never waits.
            tokio::task::block_in_place(|| Handle::current().block_on(parsing))?
        } else {
            parsing.await?
        };
        Ok(Self { value, place })
    }
}

async fn place_of(app: &App, identity: &Identity) -> Result<LongBodyPlace, Problem> {
    let share = app.shares.of(&identity.name);
    let permit = Arc::clone(&share.long_bodies).acquire_owned();
    let Ok(Ok(permit)) = timeout(BODY_WITHIN, permit).await else {
        let problem = Problem::too_many(Duration::from_secs(1));
        return Err(problem.because("too many long requests of yours are under way: wait"));
    };
    Ok(LongBodyPlace {
        _share: share,
        _permit: Arc::new(permit),
    })
}

/// What a body counts for besides its request.
fn more_for(bytes: usize) -> u32 {
    REQUEST * u32::try_from(bytes / BYTES_A_REQUEST).unwrap_or(u32::MAX / REQUEST)
}

/// A body of `application/json` that may be left out, which is then as `{}`.
pub(crate) struct MaybeBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_OPTIONAL_BYTES);
        let Ok(body) = tokio::time::timeout(BODY_WITHIN, body).await else {
            return Err(too_slow());
        };
        let mut body = body.map_err(|_| {
            let detail =
                format!("the body is longer than {MAX_OPTIONAL_BYTES} bytes, or incomplete");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        })?;
        if body.is_empty() {
            body = Bytes::from_static(b"{}");
            let json = HeaderValue::from_static("application/json");
            parts.headers.insert(header::CONTENT_TYPE, json);
        }
        let request = Request::from_parts(parts, body.into());
        let Json(Object(value)) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// The body of a request that takes nothing: none, or `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

fn too_slow() -> Problem {
    let detail = format!("the body did not arrive within {} s", BODY_WITHIN.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}

/// What follows the `?`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// The ids in the path; what cannot name a host or run does not exist.
pub(crate) struct Ids<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) = Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}
