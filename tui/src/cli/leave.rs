//! How a command lets go of an engine that it hosts: others may still need it.

use dvp_engine::host::Attached;
use dvp_model::wire::api::Status;

use super::{Context, print};

/// Stops the engine that this process hosts, if it does. Where other jobs are open, a background engine
/// goes on with them; that is said unless all was said before.
pub(super) async fn leave(context: &Context, attached: &Attached, said: bool) {
    if !attached.is_hosting() {
        return;
    }
    let open = match attached.client.call(&Status {}).await {
        Ok(status) => {
            let busy = ["queued", "running", "waiting", "holding", "cancelling"];
            busy.iter().filter_map(|state| status.counts.get(*state)).sum::<u64>()
        }
        Err(_) => 0,
    };
    if open == 0 {
        return attached.stop().await;
    }
    let (go, wait) = match open {
        1 => ("1 open job goes on".to_owned(), "1 open job waits".to_owned()),
        open => (format!("{open} open jobs go on"), format!("{open} open jobs wait")),
    };
    match attached.hand_over().await {
        Ok(()) if said => {}
        Ok(()) => print::remark(&format!(
            "{go} in a background engine; `{} jobs` lists them",
            context.command()
        )),
        Err(reason) => print::complain(&format!(
            "{wait} for the next engine, a background engine did not start: {reason}; `{} jobs` lists them",
            context.command()
        )),
    }
}
