//! Asking somebody who is signed in for their password or a one-time code once more, before what a stolen session or a
//! browser that was left open must not do.

use super::sign_in::{LONGEST_PASSWORD, SignInError};
use super::{Auth, ClientAddress, Identity, Via};
use crate::dashboard::problem::Problem;
use crate::protocol::Timestamp;
use axum::http::HeaderMap;
use std::time::Duration;

/// What somebody says to show once more who they are: one of the two is enough, and both must be right.
pub(crate) struct Again {
    pub(crate) password: Option<String>,
    /// A one-time code, of those who have such.
    pub(crate) code: Option<String>,
}

/// Why somebody did not show who they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfirmError {
    #[error("this needs your password again: send it as `password`, or a one-time code as `code`")]
    Missing,
    #[error("wrong password or one-time code")]
    Wrong,
    #[error("too many attempts: wait, then try again")]
    Wait(Duration),
}

impl Auth {
    /// Returns when somebody has shown again who they are. Only sessions have a password to ask for: an API token is a
    /// secret of its own, users whom a proxy names are asked by the proxy, and whoever opens the socket owns the data.
    ///
    /// # Errors
    /// When nothing was said or it is wrong, and after too many attempts; they count as attempts to sign in.
    pub(crate) async fn confirm(
        &self,
        identity: &Identity,
        again: Again,
        ClientAddress(address): ClientAddress,
        headers: &HeaderMap,
    ) -> Result<(), ConfirmError> {
        if !matches!(identity.via, Via::Session(_)) {
            return Ok(());
        }
        let is_said = |text: &String| !text.is_empty();
        let (password, code) = (again.password.filter(is_said), again.code.filter(is_said));
        if password.is_none() && code.is_none() {
            return Err(ConfirmError::Missing);
        }
        let door = &self.sign_in;
        let user = &identity.name;
        let known = self.credentials.password(user).ok_or(ConfirmError::Wrong)?;
        let begun = self.begin(user, Some(&known), address, headers);
        let (guesser, _turn) = begun.map_err(ConfirmError::from)?;
        if let Some(password) = password {
            if password.len() > LONGEST_PASSWORD {
                return Err(ConfirmError::Wrong);
            }
            let hash = Some(known.phc.clone());
            if !door.passwords.check(hash, None, password).await {
                return Err(ConfirmError::Wrong);
            }
        }
        if let Some(code) = code {
            let codes = known.one_time.as_ref().ok_or(ConfirmError::Wrong)?;
            if !door.codes.take(user, codes, &code, Timestamp::now()) {
                return Err(ConfirmError::Wrong);
            }
        }
        door.limiter.succeeded(guesser);
        Ok(())
    }
}

impl From<SignInError> for ConfirmError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wait(wait) => Self::Wait(wait),
            SignInError::Wrong | SignInError::Random(_) => Self::Wrong,
        }
    }
}

/// 403 and not 401: whoever asks is signed in, and stays so.
impl From<ConfirmError> for Problem {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Missing | ConfirmError::Wrong => Self::forbidden(error.to_string()),
            ConfirmError::Wait(wait) => Self::too_many(wait),
        }
    }
}
