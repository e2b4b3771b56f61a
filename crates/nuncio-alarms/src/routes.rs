//! The routes as they are saved: one settings document.

use std::sync::Arc;

use nuncio_core::alarm::route::Route;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SettingsDocument};
use tracing::error;

mod file;

/// The routes and their etag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedRoutes {
    /// By id.
    pub routes: Vec<Route>,
    /// Empty while none were saved.
    pub etag: String,
}

impl SavedRoutes {
    pub fn find(&self, id: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.id == id)
    }
}

/// The routes as this node knows them now.
pub fn routes(settings: &dyn SettingsShare) -> SavedRoutes {
    let saved = settings.document(SettingsDocument::AlarmRoutes).borrow().clone();
    let Some(saved) = saved else { return SavedRoutes::default() };
    let routes = file::read(saved.content.expose()).unwrap_or_else(|problem| {
        error!("the routes of alarms cannot be read: {problem}");
        Vec::new()
    });
    SavedRoutes { routes, etag: saved.etag() }
}

/// Saves all routes if the present ones still have this etag.
pub async fn save(
    settings: &Arc<dyn SettingsShare>,
    routes: SavedRoutes,
    change: DocumentChange,
) -> Result<SavedRoutes, SaveError> {
    let SavedRoutes { mut routes, etag } = routes;
    routes.sort_by(|one, other| one.id.cmp(&other.id));
    let content = Sensitive::from(file::write(&routes));
    let document = SettingsDocument::AlarmRoutes;
    let saved = settings.save_document(document, content, change, Some(&etag)).await?;
    Ok(SavedRoutes { routes, etag: saved.etag() })
}
