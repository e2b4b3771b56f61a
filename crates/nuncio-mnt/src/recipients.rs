//! Who gets the mails of a type.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::kind::AlarmType;
use nuncio_core::alarm::round::Addressee;
use nuncio_core::alarm::settings::AlarmSettings;
use nuncio_core::directory::user::{User, UserKind};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::RecordStore;
use nuncio_directory::directory::Directory;
use nuncio_directory::follow_up::AtExpiry;
use nuncio_directory::list::UserFilter;
use tokio::time::Instant;
use tracing::warn;

/// The most administrators that are told.
const ADMINISTRATORS_MAX: usize = 500;
/// How many of them are read at once.
const PAGE: u32 = 500;
/// How old the knowledge of them may be.
const AGE_MAX: Duration = Duration::from_mins(1);

/// Knows the administrators who want to be told of alarms.
#[derive(Clone)]
pub(crate) struct Administrators {
    directory: Directory,
    known: Arc<Mutex<Option<Known>>>,
}

type Known = (Instant, Vec<Administrator>);

impl Administrators {
    pub(crate) fn new(records: Arc<dyn RecordStore>) -> Self {
        let directory = Directory { records, follow_up: Arc::new(AtExpiry) };
        Self { directory, known: Arc::default() }
    }

    /// Enabled administrators with an address who "include system alarms in e-mails", at most
    /// [`ADMINISTRATORS_MAX`]; as they were within the last minute.
    pub(crate) async fn told_of_alarms(&self) -> Result<Vec<Administrator>, StoreError> {
        let known = self.known.lock().expect("nobody panics while holding it").clone();
        if let Some((read_at, known)) = known
            && read_at.elapsed() < AGE_MAX
        {
            return Ok(known);
        }
        let read = self.read().await?;
        let mut known = self.known.lock().expect("nobody panics while holding it");
        *known = Some((Instant::now(), read.clone()));
        Ok(read)
    }

    async fn read(&self) -> Result<Vec<Administrator>, StoreError> {
        let filter = UserFilter {
            kinds: vec![UserKind::Administrator],
            include_system_alarms_in_emails: true,
            ..UserFilter::default()
        };
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.directory.list::<User>(&filter, after, PAGE).await?;
            if !page.broken.is_empty() {
                let broken = page.broken.len();
                warn!(broken, "{broken} users cannot be read; they are not told of alarms");
            }
            let users = page.entries.into_iter().map(|entry| entry.subject);
            found.extend(users.filter(|user| user.is_enabled).filter_map(|user| {
                let address = user.email?;
                Some(Administrator { address, locale: user.language })
            }));
            after = page.next;
            if after.is_none() || ADMINISTRATORS_MAX <= found.len() {
                found.truncate(ADMINISTRATORS_MAX);
                return Ok(found);
            }
        }
    }
}

/// An administrator who wants to be told of alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Administrator {
    pub(crate) address: EmailAddress,
    /// A BCP 47 tag, or empty for the default.
    pub(crate) locale: String,
}

/// Why somebody gets the mails of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) addressee: Addressee,
    /// `SETTINGS`, `ALARM_TYPE`, `GROUP {name}` or `ADMINISTRATOR`.
    pub(crate) source: String,
}

/// Everybody who gets the mails of a type, each once, in the order of their addresses.
pub(crate) fn routes(
    settings: &AlarmSettings,
    kind: &AlarmType,
    administrators: &[Administrator],
) -> Vec<Route> {
    let mut found: BTreeMap<String, Route> = BTreeMap::new();
    let mut add = |address: &EmailAddress, locale: &str, source: String| {
        let address = address.as_str().to_owned();
        let locale = locale.to_owned();
        let addressee = Addressee { address: address.clone(), locale };
        found.entry(address).or_insert(Route { addressee, source });
    };
    let locale = settings.locale.as_str();
    for address in &settings.recipients {
        add(address, locale, "SETTINGS".to_owned());
    }
    for address in &kind.recipients {
        add(address, locale, "ALARM_TYPE".to_owned());
    }
    for name in &kind.recipient_groups {
        for address in settings.recipient_groups.get(name).into_iter().flatten() {
            add(address, locale, format!("GROUP {name}"));
        }
    }
    if settings.include_administrators {
        for one in administrators {
            let own = Some(one.locale.as_str()).filter(|own| !own.is_empty());
            add(&one.address, own.unwrap_or(locale), "ADMINISTRATOR".to_owned());
        }
    }
    found.into_values().collect()
}
