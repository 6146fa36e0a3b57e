//! Signing in with a password.

use super::device::{self, Devices};
use super::known::Password;
use super::limiter::{Guesser, Limiter};
use super::one_time::{OneTime, UsedCodes};
use super::password::Passwords;
use super::peer::{home, network, wider};
use super::{Auth, SecretHash, Via, cookie, is_user_name, origin, set_cookie};
use crate::dashboard::problem::Problem;
use crate::dashboard::visits::{Visit, Visits};
use crate::protocol::Timestamp;
use axum::http::HeaderMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many people may wait for their password to be checked: of strangers in all,
const MAX_STRANGERS: usize = 32;
/// of them from one network,
const MAX_FROM_NETWORK: usize = 4;
/// from all networks of a home (56 bits of IPv6),
const MAX_FROM_HOME: usize = 6;
/// from those around it (48 bits of IPv6, 24 of IPv4), which may be one person's and take a quarter,
const MAX_FROM_NEARBY: usize = 8;
/// and of each user in browsers that are known.
const MAX_KNOWN: usize = 2;

/// A longer password is none; keeps the work of hashing it small.
pub(super) const LONGEST_PASSWORD: usize = 4096;

/// What signing in takes, and how often it was tried.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) limiter: Limiter,
    pub(super) passwords: Passwords,
    pub(super) codes: UsedCodes,
    devices: Devices,
    strangers: Semaphore,
    by_network: Visits,
    by_home: Visits,
    nearby: Visits,
    known: Visits,
}

/// A place among those whose password is checked, until it is dropped.
pub(super) struct Turn<'a> {
    _one_of_few: Option<SemaphorePermit<'a>>,
    _own: Option<Visit>,
}

/// What somebody says to be let in.
pub(crate) struct Attempt<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: String,
    /// A one-time code, for those who have such.
    pub(crate) code: Option<&'a str>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) headers: &'a HeaderMap,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// Of what was said something is wrong, and nobody is told what.
    #[error("wrong user, password or one-time code")]
    Wrong,
    #[error("too many attempts: wait, then try again")]
    Wait(Duration),
    #[error("the system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Somebody who was let in.
pub(crate) struct SignedIn {
    /// The values of `Set-Cookie`: of the session, and of the browser.
    pub(crate) cookies: [String; 2],
    /// The session.
    pub(crate) id: SecretHash,
    /// The one that the same browser had before, and which is over.
    pub(crate) before: Option<SecretHash>,
}

impl SignIn {
    pub(super) fn new() -> Self {
        Self {
            limiter: Limiter::default(),
            passwords: Passwords::new(),
            codes: UsedCodes::default(),
            devices: Devices::new(""),
            strangers: Semaphore::new(MAX_STRANGERS),
            by_network: Visits::at_most(MAX_FROM_NETWORK),
            by_home: Visits::at_most(MAX_FROM_HOME),
            nearby: Visits::at_most(MAX_FROM_NEARBY),
            known: Visits::at_most(MAX_KNOWN),
        }
    }

    /// Checks the cookies of browsers with these.
    pub(super) fn use_devices(&mut self, devices: Devices) {
        self.devices = devices;
    }

    /// A place among those whose password is checked; none when there are too many.
    fn turn(&self, who: Guesser<'_>) -> Option<Turn<'_>> {
        if who.device.is_some() {
            // The users file bounds how many there are. Nobody who signs in again and again takes those of others.
            let own = self.known.begin(who.user)?;
            return Some(Turn {
                _one_of_few: None,
                _own: Some(own),
            });
        }
        let own = match who.address {
            // Behind loopback many may sit, if the proxy there is not trusted to tell them apart.
            Some(address) if !address.is_loopback() => Some(self.near(address)?),
            _ => None,
        };
        let permit = self.strangers.try_acquire().ok()?;
        Some(Turn {
            _one_of_few: Some(permit),
            _own: own,
        })
    }

    /// A place of the network of this address, and of the wider ones.
    fn near(&self, address: IpAddr) -> Option<Visit> {
        let mut place = self.nearby.begin(&wider(address).to_string())?;
        if let Some(home) = home(address) {
            place = self.by_home.begin(&home.to_string())?.within(place);
        }
        let own = self.by_network.begin(&network(address).to_string())?;
        Some(own.within(place))
    }

    /// Somebody was let in before we were started: the code with which they were is used up.
    pub(super) fn was_let_in(&self, user: &str, at: Timestamp) {
        self.codes.was_used(user, at);
    }

    pub(super) fn password_checks(&self) -> u64 {
        self.passwords.checked()
    }
}

impl Auth {
    /// Takes up an attempt to show who `user` is, which counts as failed until the limiter is told that it was none.
    ///
    /// # Errors
    /// With how long to wait, after too many.
    pub(super) fn begin<'a>(
        &'a self,
        user: &'a str,
        known: Option<&Password>,
        address: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<(Guesser<'a>, Turn<'a>), SignInError> {
        let door = &self.sign_in;
        let device = device::cookie(headers).zip(known);
        let device = device.and_then(|(cookie, known)| {
            let password = known.fingerprint();
            door.devices.find(cookie, user, password, Timestamp::now())
        });
        let guesser = Guesser {
            // What cannot be a name is one name, so that no text fills the memory.
            user: if is_user_name(user) { user } else { "" },
            address,
            device,
        };
        let Some(turn) = door.turn(guesser) else {
            return Err(SignInError::Wait(Duration::from_secs(1)));
        };
        door.limiter
            .begin(guesser, Instant::now())
            .map_err(SignInError::Wait)?;
        Ok((guesser, turn))
    }

    /// Whether a browser keeps the session that it would get where it asks from.
    ///
    /// # Errors
    /// 403 to a page without TLS that is not on this machine: to sign in there would send the password in clear, and
    /// lead nowhere.
    pub(crate) fn keeps_session(&self, headers: &HeaderMap) -> Result<(), Problem> {
        origin::insecure_page(headers).map_or(Ok(()), |page| {
            Err(Problem::forbidden(format!(
                "signing in does not work at {page}: browsers keep a sign-in only over https://; open the page with https://, or through an SSH tunnel to localhost"
            )))
        })
    }

    /// Signs somebody in, always with a new session.
    ///
    /// # Errors
    /// When user, password or code is wrong, which take the same time; after too many attempts.
    pub(crate) async fn sign_in(&self, attempt: Attempt<'_>) -> Result<SignedIn, SignInError> {
        let door = &self.sign_in;
        let Attempt { user, address, .. } = attempt;
        let known = self.credentials.password(user);
        let (guesser, _turn) = self.begin(user, known.as_ref(), address, attempt.headers)?;
        if attempt.password.len() > LONGEST_PASSWORD {
            return Err(SignInError::Wrong);
        }
        let hash = known.as_ref().map(|known| known.phc.clone());
        let stand_in = self.credentials.stand_in();
        let right = door.passwords.check(hash, stand_in, attempt.password).await;
        let now = Timestamp::now();
        let Some(known) = known.filter(|_| right) else {
            return Err(SignInError::Wrong);
        };
        if let Some(codes) = &known.one_time {
            let code = attempt.code.unwrap_or("");
            if !door.codes.take(user, codes, code, now) {
                self.look_at_clock(user, codes, code, now);
                return Err(SignInError::Wrong);
            }
            self.sessions.clock.codes.fitted();
        }
        let via = Via::Socket;
        let lasts_until = self.sessions.clock.not_before(now);
        if known.person.identity(via, lasts_until).is_none() {
            return Err(SignInError::Wrong);
        }
        door.limiter.succeeded(guesser);
        // Whoever planted the cookie that came along must not be in with us.
        let before = cookie(attempt.headers).filter(|id| self.sessions.remove(*id).is_some());
        let hash = known.fingerprint();
        // By the clock by which it will be looked at: it would have ended by one that was ahead once.
        let (cookie, id) = self.sessions.create(user, hash, address, lasts_until)?;
        let device = door.devices.issue(user, hash, now)?;
        let cookies = [
            set_cookie(&cookie, attempt.headers, self.sessions.lifetime()),
            device::set_cookie(&device, attempt.headers),
        ];
        Ok(SignedIn {
            cookies,
            id,
            before,
        })
    }
}

impl Auth {
    /// Looks whether a code that came with the right password shows that the clock is wrong. That is aside, so that
    /// the answer takes as long as one to a wrong password.
    fn look_at_clock(&self, user: &str, codes: &OneTime, code: &str, now: Timestamp) {
        let used = self.sign_in.codes.last(user);
        let clock = Arc::clone(&self.sessions.clock);
        let (user, codes, code) = (user.to_owned(), codes.clone(), code.to_owned());
        tokio::task::spawn_blocking(move || {
            if let Some(misfit) = codes.misfit(&code, now, used) {
                clock.codes.missed(&user, misfit, Instant::now());
            }
        });
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::unauthorized().because(error.to_string()),
            SignInError::Wait(wait) => Self::too_many(wait),
            SignInError::Random(error) => Self::internal(&error),
        }
    }
}
