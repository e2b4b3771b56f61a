//! What `nuncio guests` and `nuncio users` have in common.

pub(crate) mod delete;
pub(crate) mod export;
pub(crate) mod import;

use nuncio_api::client::Clients;
use nuncio_api::v1;
use nuncio_api::v1::{
    BulkDeleteOptions, BulkDeleteSummary, DeleteRow, Guest, ImportGuestRow, ImportGuestsRequest,
    ImportOptions, ImportSummary, ImportUserRow, ImportUsersRequest, User,
};
use prost::{Message, Name};
use prost_types::FieldMask;
use tonic::Status;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::Table;
use crate::rows::columns::{Columns, full_name};
use crate::run::Context;
use crate::view;

/// The most rows of a message of an import.
const MESSAGE_ROWS_MAX: usize = 1000;
/// The most bytes of the rows of a message of an import, but at least one row: 8 MiB.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Guests or users, as the commands need them.
pub(crate) trait Person: Columns + Message + Name {
    type Filter: Clone;

    /// For people: `guests`.
    const PEOPLE: &'static str;

    async fn import(
        clients: &mut Clients,
        options: ImportOptions,
        rows: Vec<(i64, Self)>,
    ) -> Result<ImportSummary, Status>;

    /// A page, and the token of the next one.
    async fn list(
        clients: &mut Clients,
        filter: Self::Filter,
        page_size: i32,
        page_token: String,
    ) -> Result<(Vec<Self>, String), Status>;

    async fn get(clients: &mut Clients, name: String) -> Result<Option<Self>, Status>;

    async fn update(
        clients: &mut Clients,
        person: Self,
        options: UpdateOptions,
    ) -> Result<Option<Self>, Status>;

    async fn delete(clients: &mut Clients, name: String, etag: String) -> Result<(), Status>;

    async fn delete_many(
        clients: &mut Clients,
        options: BulkDeleteOptions,
        rows: Vec<DeleteRow>,
    ) -> Result<BulkDeleteSummary, Status>;

    fn set_etag(&mut self, etag: String);

    fn table(people: &[Self]) -> Table;
}

/// How somebody is updated.
pub(crate) struct UpdateOptions {
    pub(crate) mask: FieldMask,
    pub(crate) allow_missing: bool,
    pub(crate) validate_only: bool,
}

impl Person for Guest {
    type Filter = v1::ListGuestsRequest;

    const PEOPLE: &'static str = "guests";

    async fn import(
        clients: &mut Clients,
        options: ImportOptions,
        rows: Vec<(i64, Self)>,
    ) -> Result<ImportSummary, Status> {
        let first = ImportGuestsRequest { options: Some(options), rows: Vec::new() };
        let others = messages(rows).into_iter().map(|rows| {
            let row = |(row, guest)| ImportGuestRow { row, guest: Some(guest) };
            ImportGuestsRequest { options: None, rows: rows.into_iter().map(row).collect() }
        });
        let stream = futures::stream::iter([first].into_iter().chain(others).collect::<Vec<_>>());
        let answer = clients.directory.import_guests(stream).await?.into_inner();
        Ok(answer.summary.unwrap_or_default())
    }

    async fn list(
        clients: &mut Clients,
        filter: v1::ListGuestsRequest,
        page_size: i32,
        page_token: String,
    ) -> Result<(Vec<Self>, String), Status> {
        let request = v1::ListGuestsRequest { page_size, page_token, ..filter };
        let page = clients.directory.list_guests(request).await?.into_inner();
        Ok((page.guests, page.next_page_token))
    }

    async fn get(clients: &mut Clients, name: String) -> Result<Option<Self>, Status> {
        Ok(clients.directory.get_guest(v1::GetGuestRequest { name }).await?.into_inner().guest)
    }

    async fn update(
        clients: &mut Clients,
        person: Self,
        options: UpdateOptions,
    ) -> Result<Option<Self>, Status> {
        let UpdateOptions { mask, allow_missing, validate_only } = options;
        let (guest, update_mask) = (Some(person), Some(mask));
        let request = v1::UpdateGuestRequest { guest, update_mask, allow_missing, validate_only };
        Ok(clients.directory.update_guest(request).await?.into_inner().guest)
    }

    async fn delete(clients: &mut Clients, name: String, etag: String) -> Result<(), Status> {
        let request = v1::DeleteGuestRequest { name, etag, allow_missing: false };
        clients.directory.delete_guest(request).await.map(|_answer| ())
    }

    async fn delete_many(
        clients: &mut Clients,
        options: BulkDeleteOptions,
        rows: Vec<DeleteRow>,
    ) -> Result<BulkDeleteSummary, Status> {
        let part = |(options, rows)| v1::DeleteGuestsRequest { options, rows };
        let parts: Vec<_> = delete_parts(options, &rows).into_iter().map(part).collect();
        let answer = clients.directory.delete_guests(futures::stream::iter(parts)).await?;
        Ok(answer.into_inner().summary.unwrap_or_default())
    }

    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }

    fn table(people: &[Self]) -> Table {
        view::people::guests(people)
    }
}

impl Person for User {
    type Filter = v1::ListUsersRequest;

    const PEOPLE: &'static str = "users";

    async fn import(
        clients: &mut Clients,
        options: ImportOptions,
        rows: Vec<(i64, Self)>,
    ) -> Result<ImportSummary, Status> {
        let first = ImportUsersRequest { options: Some(options), rows: Vec::new() };
        let others = messages(rows).into_iter().map(|rows| {
            let row = |(row, user)| ImportUserRow { row, user: Some(user) };
            ImportUsersRequest { options: None, rows: rows.into_iter().map(row).collect() }
        });
        let stream = futures::stream::iter([first].into_iter().chain(others).collect::<Vec<_>>());
        let answer = clients.directory.import_users(stream).await?.into_inner();
        Ok(answer.summary.unwrap_or_default())
    }

    async fn list(
        clients: &mut Clients,
        filter: v1::ListUsersRequest,
        page_size: i32,
        page_token: String,
    ) -> Result<(Vec<Self>, String), Status> {
        let request = v1::ListUsersRequest { page_size, page_token, ..filter };
        let page = clients.directory.list_users(request).await?.into_inner();
        Ok((page.users, page.next_page_token))
    }

    async fn get(clients: &mut Clients, name: String) -> Result<Option<Self>, Status> {
        Ok(clients.directory.get_user(v1::GetUserRequest { name }).await?.into_inner().user)
    }

    async fn update(
        clients: &mut Clients,
        person: Self,
        options: UpdateOptions,
    ) -> Result<Option<Self>, Status> {
        let UpdateOptions { mask, allow_missing, validate_only } = options;
        let (user, update_mask) = (Some(person), Some(mask));
        let request = v1::UpdateUserRequest { user, update_mask, allow_missing, validate_only };
        Ok(clients.directory.update_user(request).await?.into_inner().user)
    }

    async fn delete(clients: &mut Clients, name: String, etag: String) -> Result<(), Status> {
        let request = v1::DeleteUserRequest { name, etag, allow_missing: false };
        clients.directory.delete_user(request).await.map(|_answer| ())
    }

    async fn delete_many(
        clients: &mut Clients,
        options: BulkDeleteOptions,
        rows: Vec<DeleteRow>,
    ) -> Result<BulkDeleteSummary, Status> {
        let part = |(options, rows)| v1::DeleteUsersRequest { options, rows };
        let parts: Vec<_> = delete_parts(options, &rows).into_iter().map(part).collect();
        let answer = clients.directory.delete_users(futures::stream::iter(parts)).await?;
        Ok(answer.into_inner().summary.unwrap_or_default())
    }

    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }

    fn table(people: &[Self]) -> Table {
        view::people::users(people)
    }
}

/// Rows by message.
fn messages<P: Person>(rows: Vec<(i64, P)>) -> Vec<Vec<(i64, P)>> {
    let (mut messages, mut message, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (number, person) in rows {
        let size = person.encoded_len();
        let is_full = message.len() == MESSAGE_ROWS_MAX || MESSAGE_BYTES_MAX < bytes + size;
        if is_full && !message.is_empty() {
            messages.push(std::mem::take(&mut message));
            bytes = 0;
        }
        bytes += size;
        message.push((number, person));
    }
    messages.push(message);
    messages
}

/// Lists up to `limit`, and the token of the rest.
pub(crate) async fn list<P: Person>(
    context: &mut Context<'_>,
    filter: P::Filter,
    limit: i32,
    mut page_token: String,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut people = Vec::new();
    let mut wanted = limit;
    while 0 < wanted {
        let page = P::list(&mut clients, filter.clone(), wanted, page_token).await?;
        wanted -= i32::try_from(page.0.len()).unwrap_or(i32::MAX);
        people.extend(page.0);
        page_token = page.1;
        // A page may be short, or empty, although more fit: the server looks at a part at a time.
        if page_token.is_empty() {
            break;
        }
    }
    match context.out.format() {
        Format::Json => {
            for person in &people {
                context.out.message_line(person)?;
            }
        }
        Format::Table if people.is_empty() => {
            context.out.note(format!("no {} fit", P::PEOPLE))?;
        }
        Format::Table => context.out.table(&P::table(&people))?,
    }
    if !page_token.is_empty() {
        context.out.note(format!("there are more: add `--page-token {page_token}`"))?;
    }
    Ok(Exit::Ok)
}

pub(crate) async fn get<P: Person>(context: &mut Context<'_>, id: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let person = P::get(&mut clients, full_name::<P>(id)).await?;
    tell(context, person)
}

/// What `save` was told.
pub(crate) struct Save {
    pub(crate) id: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) etag: String,
    pub(crate) must_exist: bool,
    pub(crate) validate_only: bool,
}

pub(crate) async fn save<P: Person>(
    context: &mut Context<'_>,
    save: Save,
) -> Result<Exit, Failure> {
    let mut person = P::default();
    person.set_id(&save.id);
    let zone = save.fields.iter().find(|(field, _)| field == "time_zone");
    let zone = zone.and_then(|(_, name)| jiff::tz::TimeZone::get(name.trim()).ok());
    let mut paths = Vec::new();
    for (field, cell) in save.fields {
        if !P::COLUMNS.contains(&field.as_str()) {
            let known = P::COLUMNS.join(", ");
            let problem = format!("`{field}` is no field to change; there are: {known}");
            return Err(Failure::input(problem, "give `FIELD=VALUE` with one of them"));
        }
        let set = person.set(&field, &cell, zone.as_ref());
        set.map_err(|problem| Failure::input(format!("{field}: {problem}"), "give another value"))?;
        paths.push(field);
    }
    if paths.is_empty() {
        let problem = "no field is given";
        return Err(Failure::input(problem, "say what to save: `FIELD=VALUE …`"));
    }
    person.set_etag(save.etag);
    let options = UpdateOptions {
        mask: FieldMask { paths },
        allow_missing: !save.must_exist,
        validate_only: save.validate_only,
    };
    let mut clients = context.connect().await?;
    let person = P::update(&mut clients, person, options).await?;
    tell(context, person)
}

/// The messages of a removal of many: the options in the first one, rows in the others.
fn delete_parts(
    options: BulkDeleteOptions,
    rows: &[DeleteRow],
) -> Vec<(Option<BulkDeleteOptions>, Vec<DeleteRow>)> {
    let parts = rows.chunks(MESSAGE_ROWS_MAX).map(|rows| (None, rows.to_vec()));
    [(Some(options), Vec::new())].into_iter().chain(parts).collect()
}

pub(crate) async fn delete<P: Person>(
    context: &mut Context<'_>,
    id: &str,
    etag: String,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let name = full_name::<P>(id);
    P::delete(&mut clients, name.clone(), etag).await?;
    if context.out.format() == Format::Table {
        context.out.line(format!("{name} was removed"))?;
    }
    Ok(Exit::Ok)
}

/// Shows somebody with all fields.
pub(crate) fn tell<P: Person>(
    context: &mut Context<'_>,
    person: Option<P>,
) -> Result<Exit, Failure> {
    let person = person.ok_or(Failure::Incomplete("guest or user"))?;
    match context.out.format() {
        Format::Json => context.out.message(&person)?,
        Format::Table => context.out.table(&view::people::one(&person))?,
    }
    Ok(Exit::Ok)
}
