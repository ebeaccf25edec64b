//! The system's GUID: `xyz.openbmc_project.Common.UUID` of the inventory.

use std::time::Duration;

use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::common::uuid;
use openbmc_dbus::execute::LinkState;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Where the mapper looks for an object with a UUID.
const INVENTORY: &str = "/xyz/openbmc_project/inventory";
/// How long the mapper, or the inventory, may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Pauses after which the inventory is asked again, when it had no UUID yet. Then not any more,
/// until the bus comes anew.
const ASK_AGAIN: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The GUID of a system that tells none: the bytes 1 to 16, as OpenBMC has it.
pub const FALLBACK: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// Looks the GUID up each time that the bus comes, and tells it through `found`.
pub async fn follow(mut link: LinkState, found: mpsc::UnboundedSender<[u8; 16]>) {
    while link.changed().await.is_ok() {
        let Some(bus) = link.borrow_and_update().clone() else {
            continue;
        };
        let client = Client::new(bus, DEADLINE);
        for pause in ASK_AGAIN {
            match ask(&client).await {
                Ok(Some(guid)) => {
                    if found.send(guid).is_err() {
                        return;
                    }
                    break;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "no system UUID yet"),
            }
            sleep(Duration::from_secs(pause)).await;
            if link.has_changed().unwrap_or(true) {
                break;
            }
        }
    }
}

async fn ask(client: &Client) -> Result<Option<[u8; 16]>, CallError> {
    let objects = client.sub_tree(INVENTORY, 0, &[uuid::NAME]).await?;
    for (path, owners) in objects {
        for service in owners.into_keys() {
            let text = client.get(&ObjectAt::new(service, &path), uuid::UUID).await?;
            if let Some(guid) = parse(&text) {
                return Ok(Some(guid));
            }
        }
    }
    Ok(None)
}

/// A UUID as RFC 4122 writes it, in the order in which IPMI sends it: backwards (IPMI v2.0 §20.8).
fn parse(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(&digits, 16).ok()?.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn uuids_travel_backwards() {
        let guid = parse("00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(guid, Some(hex!("ffeeddccbbaa99887766554433221100")));
        for bad in ["", "00112233-4455-6677-8899-aabbccddeef", "+0112233445566778899aabbccddeeff"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
