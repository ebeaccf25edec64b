//! The counters of rejections, by reason, on D-Bus: `org.causeway.Ipmi.Channel.Rejections`.
//!
//! OpenBMC has no such interface; this one is ours.

use std::collections::BTreeMap;

use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::names;
use tokio::sync::{mpsc, oneshot};
use zbus::{fdo, interface};

/// Counts by reason.
pub type Counts = BTreeMap<String, u64>;
/// A request to the bridge for its counts.
pub type CountsRequest = oneshot::Sender<Counts>;

/// Publishes the counts of `channel` on each new connection to the bus, for ever.
pub async fn serve(
    channel: &str,
    mut link: LinkState,
    requests: mpsc::UnboundedSender<CountsRequest>,
) {
    let path = format!("{}{}", names::CHANNEL_PATH_PREFIX, channel.replace('-', "_"));
    while link.changed().await.is_ok() {
        let Some(bus) = link.borrow_and_update().clone() else {
            continue;
        };
        let object = Object { requests: requests.clone() };
        if let Err(error) = bus.object_server().at(path.as_str(), object).await {
            tracing::warn!(%error, "cannot publish the counters of rejections");
        }
    }
}

struct Object {
    requests: mpsc::UnboundedSender<CountsRequest>,
}

#[interface(name = "org.causeway.Ipmi.Channel.Rejections")]
impl Object {
    /// How often each reason for a refusal came up since the bridge was started.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn counts(&self) -> fdo::Result<Counts> {
        let (request, answer) = oneshot::channel();
        let gone = |()| fdo::Error::Failed("the bridge is ending".to_owned());
        self.requests.send(request).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))
    }
}
