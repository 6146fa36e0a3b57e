//! What decides who is known: the files, and what the dashboard itself gave and took.

use super::grants::{Grant, Issued, Ledger, Maker};
use super::identity::Role;
use super::known::{Holder, Known, Person};
use super::token::SecretHash;
use crate::protocol::{HostId, Timestamp};
use std::collections::HashMap;

/// Most tokens that one enrolment secret may have been given for before a host comes with one of them.
const MAX_TRADED: usize = 4;

/// What [`Known`] is made of.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) files: Known,
    pub(super) ledger: Ledger,
}

/// The admins of every host in the files, with the end of their access; `None` is no end.
#[derive(Debug)]
pub(super) struct Admins<'a>(HashMap<&'a str, Option<Timestamp>>);

/// Whoever made a token may make none today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MakerGone;

impl Parts {
    /// The files, with what was given and without what was taken.
    pub(super) fn known(&self) -> Known {
        let mut known = self.files.clone();
        let admins = self.admins();
        for (hash, issued) in &self.ledger.issued {
            let Ok(expires) = self.lasts(issued, &admins) else {
                continue;
            };
            let holder = match issued.grant.clone() {
                Grant::Agent { host_id } => Holder::Agent(host_id),
                Grant::Api { name, role, hosts } => Holder::User(Person {
                    name,
                    role,
                    scope: hosts,
                    expires,
                }),
                Grant::Enrolment { hosts } => Holder::Enrolment(hosts, expires),
            };
            known.holders.entry(*hash).or_insert(holder);
        }
        for hash in self.ledger.revoked.keys() {
            known.holders.remove(hash);
        }
        for (hash, holder) in &known.holders {
            // A host that asked for a token is one when it comes with that.
            if let Holder::Agent(host) = holder
                && !self.is_traded(*hash)
            {
                known.hosts.insert(host.clone());
            }
        }
        known
    }

    fn is_traded(&self, hash: SecretHash) -> bool {
        let issued = self.ledger.issued.get(&hash);
        issued.is_some_and(|issued| issued.traded_for.is_some())
    }

    /// The tokens that were given for a secret, of which no host has come with one; those of one host, or all.
    pub(super) fn traded(&self, secret: SecretHash, of: Option<&HostId>) -> Vec<SecretHash> {
        let issued = self.ledger.issued.iter();
        let traded = issued.filter(|(hash, issued)| {
            let is_of = match &issued.grant {
                Grant::Agent { host_id } => of.is_none_or(|of| of == host_id),
                Grant::Api { .. } | Grant::Enrolment { .. } => false,
            };
            is_of && issued.traded_for == Some(secret) && !self.ledger.revoked.contains_key(hash)
        });
        traded.map(|(hash, _)| *hash).collect()
    }

    /// Forgets the oldest of the tokens that were given for a secret where there are as many as there may be.
    pub(super) fn make_room_for_trade(&mut self, secret: SecretHash) -> Vec<SecretHash> {
        let mut gone = self.traded(secret, None);
        gone.sort_by_key(|hash| self.ledger.issued.get(hash).map(|issued| issued.created));
        gone.truncate((gone.len() + 1).saturating_sub(MAX_TRADED));
        for hash in &gone {
            self.ledger.issued.remove(hash);
        }
        gone
    }

    /// Whether there is a token of this hash that was not taken back, good or not.
    pub(super) fn has(&self, hash: SecretHash) -> bool {
        !self.ledger.revoked.contains_key(&hash)
            && (self.files.holders.contains_key(&hash) || self.ledger.issued.contains_key(&hash))
    }

    /// Who may make tokens by the files.
    pub(super) fn admins(&self) -> Admins<'_> {
        let mut admins: HashMap<&str, Option<Timestamp>> = HashMap::new();
        let found = self.files.people().filter(|person| is_admin(person));
        for Person { name, expires, .. } in found {
            let until = admins.entry(name).or_insert(*expires);
            *until = until.zip(*expires).map(|(a, b)| a.max(b));
        }
        Admins(admins)
    }

    /// Until when a token is good. That of a host depends on nobody: without it the host would be shut out.
    pub(super) fn lasts(
        &self,
        issued: &Issued,
        admins: &Admins<'_>,
    ) -> Result<Option<Timestamp>, MakerGone> {
        let makers_end = match (&issued.grant, issued.maker()) {
            (Grant::Agent { .. }, _) | (_, Maker::Local) => None,
            (_, Maker::User) => *admins.0.get(&*issued.created_by).ok_or(MakerGone)?,
            // No API token is made by another, so this goes on for one step.
            (Grant::Api { .. }, Maker::Token(_)) => return Err(MakerGone),
            (Grant::Enrolment { .. }, Maker::Token(parent)) => self.parent(parent, admins)?,
        };
        Ok(earlier(issued.expires, makers_end))
    }

    /// Until when an API token may make others.
    fn parent(
        &self,
        hash: SecretHash,
        admins: &Admins<'_>,
    ) -> Result<Option<Timestamp>, MakerGone> {
        if self.ledger.revoked.contains_key(&hash) {
            return Err(MakerGone);
        }
        if let Some(Holder::User(person)) = self.files.holders.get(&hash) {
            return if is_admin(person) {
                Ok(person.expires)
            } else {
                Err(MakerGone)
            };
        }
        match self.ledger.issued.get(&hash) {
            Some(issued) if matches!(issued.grant, Grant::Api { .. }) => self.lasts(issued, admins),
            _ => Err(MakerGone),
        }
    }

    /// Who made the tokens that are neither good for that reason nor taken back: a name for each.
    pub(super) fn of_gone_makers(&self) -> impl Iterator<Item = &str> {
        let admins = self.admins();
        let issued = self.ledger.issued.iter();
        issued.filter_map(move |(hash, issued)| {
            let is_revoked = self.ledger.revoked.contains_key(hash);
            let is_gone = !is_revoked && self.lasts(issued, &admins).is_err();
            is_gone.then_some(&*issued.created_by)
        })
    }
}

fn is_admin(person: &Person) -> bool {
    person.role == Role::Admin && person.scope.is_every()
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
