//! The machine that an admin chose for a host of which there were two, and the machines that it is not.
//!
//! A reboot gives the chosen machine another boot id. So a boot that nobody has seen takes over the choice while the
//! chosen one is not connected; one that came while it was connected, and after which it went on, is another machine.

use super::machine_key::MachineKey;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most machines remembered that are not the chosen one.
const MAX_OTHERS: usize = 16;

/// Where the chosen machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Its connection is open; the machine may have lost its power a moment ago.
    Connected,
    /// It was heard a while ago, and may come back.
    Away,
    /// It was not heard for so long that it counts as gone.
    Gone,
}

/// What the choice says of a machine that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the chosen one, maybe after a reboot.
    Chosen,
    /// It is another one, and is turned away.
    TurnedAway,
    /// It is another one, and the chosen one is gone: an admin has to choose again.
    Contested,
    /// It may be any of those between which an admin has to choose again.
    Unknown,
    /// It shows that the choice cannot be relied on any more.
    Void,
}

/// A choice between living machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    key: MachineKey,
    /// The admin named this very boot. Otherwise it came when that one was not connected.
    is_explicit: bool,
    /// Another machine came when the chosen one was gone.
    is_contested: bool,
    /// Machines that are not the chosen one.
    others: VecDeque<MachineKey>,
    /// Boots that came while the chosen one seemed to be connected: other machines, unless it is never heard again.
    turned_away: VecDeque<MachineKey>,
}

impl Choice {
    /// An admin chose `key`, and not the `others`, of which those come first that are the least important.
    pub(super) fn new(key: MachineKey, others: impl IntoIterator<Item = MachineKey>) -> Self {
        let mut choice = Self {
            key,
            is_explicit: true,
            is_contested: false,
            others: VecDeque::new(),
            turned_away: VecDeque::new(),
        };
        for other in others {
            if !other.is(&choice.key) {
                remember(&mut choice.others, other);
            }
        }
        choice
    }

    /// The chosen machine.
    pub(super) fn key(&self) -> &MachineKey {
        &self.key
    }

    /// The machines that are known not to be the chosen one.
    pub(super) fn others(&self) -> impl Iterator<Item = &MachineKey> {
        self.others.iter()
    }

    /// The chosen machine was heard: whoever was turned away before is another one. `true` if that changes anything.
    pub(super) fn heard(&mut self) -> bool {
        let is_news = !self.turned_away.is_empty();
        for other in self.turned_away.drain(..) {
            remember(&mut self.others, other);
        }
        is_news
    }

    /// Judges a machine that comes. `is_known` says that it was let in before.
    pub(super) fn judge(
        &mut self,
        key: &MachineKey,
        is_known: bool,
        chosen: Whereabouts,
    ) -> Verdict {
        if key.is(&self.key) {
            // It may say more than it did.
            self.key = key.clone();
            self.heard();
            self.is_contested = false;
            return Verdict::Chosen;
        }
        let is_gone = chosen == Whereabouts::Gone;
        if self.others.iter().any(|other| other.is(key)) {
            self.is_contested |= is_gone;
            return if is_gone {
                Verdict::Contested
            } else {
                Verdict::TurnedAway
            };
        }
        if self.is_contested {
            return Verdict::Unknown;
        }
        let is_connected = chosen == Whereabouts::Connected;
        if is_connected && self.is_explicit {
            return self.turn_away(key);
        }
        // Another boot than the admin's has the place: which of the two is the chosen machine, nobody knows.
        if is_connected || is_known {
            return Verdict::Void;
        }
        // Who was set up anew has another id, and took its time.
        if !is_gone && !key.is_installation_of(&self.key) {
            return self.turn_away(key);
        }
        self.turned_away.retain(|known| !known.is(key));
        self.key = key.clone();
        self.is_explicit = false;
        Verdict::Chosen
    }

    fn turn_away(&mut self, key: &MachineKey) -> Verdict {
        remember(&mut self.turned_away, key.clone());
        Verdict::TurnedAway
    }
}

/// Puts a key at the end, and forgets the first of too many.
fn remember(keys: &mut VecDeque<MachineKey>, key: MachineKey) {
    keys.retain(|known| !known.is(&key));
    keys.push_back(key);
    if keys.len() > MAX_OTHERS {
        keys.pop_front();
    }
}
