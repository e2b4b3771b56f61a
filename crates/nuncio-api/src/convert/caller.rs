//! Callers.

use std::collections::BTreeSet;

use nuncio_core::caller::Permission;
use nuncio_core::caller::known::{Credential, KnownCaller};
use nuncio_core::caller::limits::CallerLimits;
use nuncio_core::violation::{Fault, Violations};

use crate::convert::enums::known_all;
use crate::convert::time::timestamp;
use crate::v1;

/// What a caller of the API wants for a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedCaller {
    pub name: String,
    pub permissions: BTreeSet<Permission>,
    pub limits: CallerLimits,
    pub by_token: bool,
}

impl WantedCaller {
    pub fn read(violations: &mut Violations, given: v1::Caller) -> Self {
        let permissions = known_all::<v1::CallerPermission, _>(
            violations,
            "caller.permissions",
            &given.permissions,
        );
        let by_token = match given.credential() {
            v1::CallerCredential::Token => true,
            v1::CallerCredential::Certificate => false,
            v1::CallerCredential::Unspecified => {
                let problem = "say how it proves who it is: by a certificate or by a token";
                violations.add_as(Fault::Missing, "caller.credential", problem);
                false
            }
        };
        let limits = CallerLimits {
            calls_per_second: limit(given.calls_per_second),
            calls_at_once: limit(given.calls_at_once),
        };
        Self { name: given.name, permissions: permissions.into_iter().collect(), limits, by_token }
    }
}

impl From<&KnownCaller> for v1::Caller {
    fn from(known: &KnownCaller) -> Self {
        let permissions = known.permissions.iter();
        let credential = match known.credential {
            Credential::Certificate => v1::CallerCredential::Certificate,
            Credential::Token(_) => v1::CallerCredential::Token,
        };
        Self {
            name: known.name.clone(),
            permissions: permissions.map(|one| v1::CallerPermission::from(*one).into()).collect(),
            credential: credential.into(),
            create_time: Some(timestamp(known.created_at)),
            calls_per_second: told(known.limits.calls_per_second),
            calls_at_once: told(known.limits.calls_at_once),
        }
    }
}

/// None where nothing is said; what cannot be is 0, which no limit is.
fn limit(given: i32) -> Option<u32> {
    (given != 0).then(|| u32::try_from(given).unwrap_or_default())
}

fn told(limit: Option<u32>) -> i32 {
    i32::try_from(limit.unwrap_or_default()).unwrap_or(i32::MAX)
}
