//! `nuncio nodes`

use nuncio_api::v1::ListNodesRequest;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::run::Context;
use crate::view;

pub(crate) async fn run(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let response = clients.nodes.list_nodes(ListNodesRequest {}).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => {
            context.out.table(&view::node::nodes(&response.nodes))?;
            let backlog = response.backlog.unwrap_or_default();
            context.out.line(format!("backlog: {}", view::node::backlog(&backlog)))?;
            let troubles = view::node::troubles(&response.nodes);
            if !troubles.is_empty() {
                context.out.line("")?;
                context.out.table(&troubles)?;
            }
        }
    }
    Ok(Exit::Ok)
}
