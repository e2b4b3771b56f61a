//! Portal mail for people.

use nuncio_api::v1::{Approval, BulkGuestResult, NoticeMail, RefusedSender};

use crate::output::{Cell, Table, Tone};
use crate::time::moment;

pub(crate) fn mails(mails: &[NoticeMail]) -> Table {
    let mut table = Table::with_head(["TEMPLATE", "TO", "COPY", "MAIL JOB"]);
    for mail in mails {
        table.row([&mail.template, &mail.to, &mail.cc, &mail.mail_job].map(Cell::from));
    }
    table
}

pub(crate) fn refusals(results: &[&BulkGuestResult]) -> Table {
    let mut table = Table::with_head(["LINE", "REASON", "MESSAGE"]);
    for result in results {
        let refusal = result.refusal.clone().unwrap_or_default();
        table.row([
            Cell::from((result.index + 1).to_string()),
            Cell::toned(Tone::Warning, refusal.code),
            Cell::from(refusal.message),
        ]);
    }
    table
}

pub(crate) fn approvals(approvals: &[Approval]) -> Table {
    let mut table = Table::with_head(["NAME", "GUEST", "STATE", "EXPIRES", "DECIDED BY"]);
    for approval in approvals {
        table.row([
            Cell::from(&approval.name),
            Cell::from(&approval.guest),
            Cell::from(state(approval)),
            Cell::from(moment(approval.expire_time.as_ref())),
            Cell::from(&approval.decided_by),
        ]);
    }
    table
}

pub(crate) fn approval(approval: &Approval) -> Table {
    let mut table = Table::list();
    table.value("name", &approval.name);
    table.value("guest", &approval.guest);
    table.value("state", state(approval));
    table.value("approvers", approval.approvers.join(", "));
    table.value("created", moment(approval.create_time.as_ref()));
    table.value("expires", moment(approval.expire_time.as_ref()));
    let sent = moment(approval.send_time.as_ref());
    table.value("sent", format!("{sent}, {} times in all", approval.send_count));
    if approval.credentials_waiting {
        table.value("credentials", "wait for the approval");
    }
    if approval.decide_time.is_some() {
        table.value("decided", moment(approval.decide_time.as_ref()));
    }
    table.value("decided by", &approval.decided_by);
    table.value("reason", &approval.reason);
    table
}

pub(crate) fn senders(senders: &[RefusedSender]) -> Table {
    let head = ["SENDER", "REFUSED SINCE", "LAST TRIED", "NEXT TRY", "REFUSALS", "REPLY"];
    let mut table = Table::with_head(head);
    for sender in senders {
        table.row([
            Cell::from(&sender.address),
            Cell::from(moment(sender.refuse_time.as_ref())),
            Cell::from(moment(sender.last_try_time.as_ref())),
            Cell::from(moment(sender.next_try_time.as_ref())),
            Cell::from(sender.refusal_count.to_string()),
            Cell::from(&sender.reason),
        ]);
    }
    table
}

fn state(approval: &Approval) -> &'static str {
    approval.state().as_str_name().trim_start_matches("APPROVAL_STATE_")
}
