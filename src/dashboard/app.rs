//! What every request may need.

use super::audit::Audit;
use super::auth::{Auth, Identity, Via, wider};
use super::core::Core;
use super::cpu_permits::CpuPermits;
use super::live::Shares;
use super::problem::Problem;
use super::rates::{REQUEST, Rates, Who};
use super::search::Searches;
use super::visits::{Visit, Visits};
use crate::protocol::HostId;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// The most pages that one user may have open,
const MOST_PAGES: usize = 200;
/// and the most answers that may be under way to them: each holds up to a few MiB in memory.
const MOST_ANSWERS: usize = 64;

/// Most hosts with an enrolment secret that may send a long message at a time: each takes up to 1 MiB.
const MAX_LONG_ENROLMENTS: usize = 8;

/// Most requests that change something which a network of strangers may have under way: each may be slow.
const MAX_OF_STRANGERS: usize = 16;
/// The same of the wider network around it, which may be one person's: 24 bits of IPv4, 48 of IPv6.
const MAX_OF_STRANGERS_NEARBY: usize = 64;
/// The same of all strangers together. Behind a proxy each such request holds a connection that counts as the proxy's.
const MAX_OF_ALL_STRANGERS: usize = 1_024;
/// The same of all strangers together whose networks cannot be told apart.
const MAX_OF_UNKNOWN_STRANGERS: usize = 256;

/// The dashboard, as its requests see it.
#[derive(Debug)]
pub(crate) struct App {
    /// Who may come in.
    pub(crate) auth: Auth,
    /// What it works on.
    pub(crate) core: Arc<Core>,
    /// Lets few searches run at a time.
    pub(crate) searches: Searches,
    /// How many pages each user has open.
    pub(crate) visits: Visits,
    /// What the pages and requests of each user have together.
    pub(crate) shares: Shares,
    /// Lets few of those that come to enrol send long messages at a time.
    pub(crate) long_enrolments: Arc<Semaphore>,
    /// How many answers are under way to each user.
    pub(crate) answers: Visits,
    /// How many requests that change something each network of strangers has under way,
    pub(crate) strangers: Visits,
    /// each wider network,
    pub(crate) strangers_nearby: Visits,
    /// all of them together,
    pub(crate) all_strangers: Visits,
    /// and those of strangers who share an address with many, together.
    pub(crate) unknown_strangers: Visits,
    /// How often everybody may ask.
    pub(crate) rates: Arc<Rates>,
    /// Who did what.
    pub(crate) audit: Arc<Audit>,
}

impl App {
    pub(crate) fn new(auth: Auth, core: Arc<Core>, audit: Arc<Audit>) -> Self {
        Self {
            auth,
            core,
            searches: Searches::new(CpuPermits::of_machine()),
            visits: Visits::at_most(MOST_PAGES),
            shares: Shares::default(),
            long_enrolments: Arc::new(Semaphore::new(MAX_LONG_ENROLMENTS)),
            answers: Visits::at_most(MOST_ANSWERS),
            strangers: Visits::at_most(MAX_OF_STRANGERS),
            strangers_nearby: Visits::at_most(MAX_OF_STRANGERS_NEARBY),
            all_strangers: Visits::at_most(MAX_OF_ALL_STRANGERS),
            unknown_strangers: Visits::at_most(MAX_OF_UNKNOWN_STRANGERS),
            rates: Arc::default(),
            audit,
        }
    }

    /// Takes so many records from somebody's share of the audit log, before what they record is done.
    ///
    /// # Errors
    /// 429 when that is more than is left of it.
    pub(crate) fn charge_deeds(&self, identity: &Identity, records: u32) -> Result<(), Problem> {
        if identity.via == Via::Socket {
            return Ok(());
        }
        self.charge(&Who::Deeds(identity.name.clone()), records)
    }

    /// Takes a record from what somebody may sign in, which leaves them what they may do. To be called before their
    /// password is looked at.
    ///
    /// # Errors
    /// 429 when nothing is left of it.
    pub(crate) fn charge_sign_in(&self, user: &str) -> Result<(), Problem> {
        self.charge(&Who::SignIns(user.to_owned()), 1)
    }

    /// Gives that back, as it was not that user: who guesses takes nothing from them.
    pub(crate) fn give_back_sign_in(&self, user: &str) {
        let who = Who::SignIns(user.to_owned());
        self.rates.give_back(&who, REQUEST);
    }

    /// Refuses what would have to be written down while the audit log takes nothing any more.
    ///
    /// # Errors
    /// 503, with what to do.
    pub(crate) fn can_be_written_down(&self) -> Result<(), Problem> {
        if self.audit.takes_deeds() {
            return Ok(());
        }
        Err(Problem::unavailable(
            "the audit log cannot be written, so nothing can be changed now: make room on the disk of the data folder, or look up the reason in the dashboard's journal; then try again",
        ))
    }

    fn charge(&self, who: &Who, records: u32) -> Result<(), Problem> {
        let charged = self.rates.charge(who, records * REQUEST, Instant::now());
        charged.map_err(|wait| {
            Problem::too_many(wait)
                .because("too many changes in a short time: wait, then try again")
        })
    }

    /// A place for a request of a stranger that changes something, by where it comes from; none while there are too
    /// many of them under way.
    pub(crate) fn stranger_begins(&self, network: Option<IpAddr>) -> Option<Visit> {
        let Some(network) = network else {
            return self.unknown_strangers.begin("");
        };
        let all = self.all_strangers.begin("")?;
        let nearby = self.strangers_nearby.begin(&wider(network).to_string())?;
        let here = self.strangers.begin(&network.to_string())?;
        Some(here.within(nearby.within(all)))
    }

    /// The folder of a host's logs.
    pub(crate) fn logs_of(&self, host: &HostId) -> PathBuf {
        self.core.log_dir(host)
    }
}
