use super::{Action, Record};
use crate::protocol::HostId;

/// Which records are asked for: of a host or a user their names may be given in part, in either case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) host: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) action: Option<Action>,
    pub(crate) result: Option<String>,
}

impl Filter {
    pub(super) fn wants(&self, record: &Record) -> bool {
        let has = |part: &Option<String>, whole: Option<&str>| {
            part.as_ref().is_none_or(|part| {
                whole.is_some_and(|whole| whole.to_lowercase().contains(&part.to_lowercase()))
            })
        };
        self.action.is_none_or(|action| action == record.action)
            && self.result.as_ref().is_none_or(|of| *of == record.result)
            && (has(&self.host, record.host_id.as_ref().map(HostId::as_str))
                || record
                    .hosts
                    .iter()
                    .any(|host| has(&self.host, Some(host.as_str()))))
            && has(&self.user, record.user.as_deref())
    }
}
